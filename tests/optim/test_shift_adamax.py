"""Shift-based AdaMax: the rule by hand, powers of two only, and un-rounded state."""

from __future__ import annotations

import copy
import io
import math

import pytest
import torch

from binarynet.errors import InputError
from binarynet.nn import BinaryLinear, native
from binarynet.nn.ap2 import ap2
from binarynet.optim import latent_optimizer
from binarynet.optim.shift_adamax import ShiftAdaMax


def parameter(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


def power(x: float, rounding: str = "nearest") -> float:
    return 2.0 ** (round if rounding == "nearest" else math.floor)(math.log2(x))


@pytest.mark.parametrize("rounding", ["nearest", "floor"])
def test_five_steps_by_hand(rounding):
    weight = parameter(0.5)
    optimizer = ShiftAdaMax([weight], lr=0.011, betas=(0.8, 0.9), eps=1e-3, rounding=rounding)
    theta, m, v = 0.5, 0.0, 0.0
    for step, gradient in enumerate([0.3, -2.0, 0.0, 0.1, -0.7], start=1):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        m, v = 0.8 * m + 0.2 * gradient, max(0.9 * v, abs(gradient))
        theta -= power(0.011 / (1 - 0.8**step), rounding) * m / power(v + 1e-3, rounding)
        assert weight.item() == pytest.approx(theta, rel=1e-12)


def test_the_factor_of_the_average_gradient_is_a_power_of_two():
    weight = torch.nn.Parameter(torch.zeros(100))
    optimizer = ShiftAdaMax([weight], lr=3e-3)
    for _ in range(4):
        before = weight.detach().clone()
        weight.grad = torch.randn(100)
        optimizer.step()
        factor = (before.double() - weight.detach().double()) / optimizer.state[weight]["exp_avg"].double()
        torch.testing.assert_close(factor, ap2(factor), rtol=1e-3, atol=0)


def test_the_norm_is_kept_un_rounded_and_decays():
    """Stored rounded, 0.999 of a power of two would be that power again for ever."""
    weight = parameter(0.0)
    optimizer = ShiftAdaMax([weight])
    weight.grad = torch.tensor([1.0], dtype=torch.float64)
    optimizer.step()
    weight.grad = torch.tensor([0.0], dtype=torch.float64)
    for _ in range(1000):
        optimizer.step()
    assert optimizer.state[weight]["exp_inf"].item() == pytest.approx(0.999**1000)


def test_a_gradient_of_zero_from_the_start_moves_nothing():
    weight = parameter(0.25, -1.0)
    optimizer = ShiftAdaMax([weight])
    weight.grad = torch.zeros(2, dtype=torch.float64)
    optimizer.step()
    assert weight.tolist() == [0.25, -1.0]


def test_the_step_of_a_latent_weight_is_the_plain_step_times_the_scale():
    """lr / scale is rounded, not lr: 2^-6 stays 2^-6, whatever the layer."""
    layer = BinaryLinear(5, 4, bias=False).double()
    plain = torch.nn.Parameter(layer.weight.detach().clone())
    scaled, reference = latent_optimizer(ShiftAdaMax, layer, 2**-6, clip=None), ShiftAdaMax([plain], lr=2**-6)
    scale = scaled.param_groups[0]["step_scale"]
    before = plain.detach().clone()
    layer.weight.grad = torch.randn(4, 5, dtype=torch.float64)
    plain.grad = layer.weight.grad
    scaled.step()
    reference.step()
    torch.testing.assert_close(layer.weight - before, scale * (plain - before))


def test_with_a_power_of_two_as_scale_the_whole_update_is_shifts():
    layer = BinaryLinear(784, 512, bias=False)
    optimizer = latent_optimizer(ShiftAdaMax, layer, 2**-6, step_scale="ap2")
    assert optimizer.param_groups[0]["step_scale"] == 32.0  # of 29.4
    before = layer.weight.detach().double()
    layer.weight.grad = torch.full((512, 784), 3.0)
    optimizer.step()
    inside = layer.weight.detach().abs() < 1
    # AP2(2^-6 / 0.1) = 2^-3, m = 0.3, AP2(3) = 4
    step = (before - layer.weight.detach().double())[inside]
    torch.testing.assert_close(step, torch.full_like(step, 32 * 2**-3 * 0.3 / 4))
    assert inside.any()


def test_a_run_that_is_saved_and_loaded_goes_the_same_way():
    first = parameter(0.3, -0.4)
    optimizer = ShiftAdaMax([first], lr=0.02)
    for step in range(3):
        first.grad = torch.tensor([0.1 * step, -1.0], dtype=torch.float64)
        optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    second = copy.deepcopy(first)
    again = ShiftAdaMax([second], lr=1.0)
    again.load_state_dict(torch.load(file, weights_only=True))
    for weight, rule in ((first, optimizer), (second, again)):
        weight.grad = torch.tensor([0.7, 0.2], dtype=torch.float64)
        rule.step()
    assert torch.equal(first, second)


def test_a_closure_is_called_with_gradients_and_its_loss_returned():
    weight = parameter(1.0)
    optimizer = ShiftAdaMax([weight, parameter(2.0)])

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert weight.item() < 1.0


@pytest.mark.parametrize(
    "settings", [{"lr": 0.0}, {"lr": float("nan")}, {"eps": 0.0}, {"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}]
)
def test_settings_out_of_their_range_are_refused(settings):
    with pytest.raises(InputError, match="ShiftAdaMax: lr="):
        ShiftAdaMax([parameter(1.0)], **settings)


def test_an_unknown_rounding_is_refused():
    with pytest.raises(InputError, match="rounding='even'"):
        ShiftAdaMax([parameter(1.0)], rounding="even")


@pytest.mark.parametrize("rounding", ["nearest", "floor"])
def test_the_pass_in_native_code_takes_the_steps_of_torch(rounding):
    """Powers of two are exact, so only the roundings of m, v and the last sum may differ."""

    def trained():
        torch.manual_seed(3)
        layer = BinaryLinear(33, 7)
        optimizer = latent_optimizer(ShiftAdaMax, layer, lr=0.01, rounding=rounding)
        for _ in range(6):
            layer.weight.grad, layer.bias.grad = torch.randn(7, 33), torch.randn(7)
            optimizer.step()
        return layer.weight.detach(), layer.bias.detach()

    ours = trained()
    with native.off():
        theirs = trained()
    assert (ours[0].abs() == 1).any()
    for mine, reference in zip(ours, theirs, strict=True):
        # A norm beside a rounding border of AP2 may fall on either side: then one step is halved.
        assert ((mine - reference).abs() < 1e-5).float().mean() > 0.98
