"""Bop: when a weight flips, when it does not, and that all else is Adam."""

from __future__ import annotations

import copy
import io
from math import nextafter

import pytest
import torch
from torch import nn

from binarynet.errors import InputError
from binarynet.nn import BinaryLinear, latent_weights
from binarynet.optim import latent_optimizer
from binarynet.optim.bop import Bop, bop_optimizer


def weights(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def flips(weight: nn.Parameter, gamma: float, tau: float) -> Bop:
    return Bop([{"params": [weight], "lr": gamma, "tau": tau, "latent": True}])


def test_a_weight_flips_where_the_average_gradient_has_its_sign_and_exceeds_tau():
    weight = weights(1, 1, 1, 1, -1, -1, -1, -1)
    gradient = [0.5, -0.5, 0.25, nextafter(0.25, 1), 0.5, -0.5, -0.25, nextafter(-0.25, -1)]
    optimizer = flips(weight, gamma=1.0, tau=0.25)  # m = g
    weight.grad = torch.tensor(gradient, dtype=torch.float64)
    optimizer.step()
    assert weight.tolist() == [-1, 1, 1, -1, -1, 1, -1, 1]


def test_below_tau_nothing_ever_changes():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(1000))
    optimizer = flips(weight, gamma=0.1, tau=1.0)
    before = weight.detach().clone()
    for _ in range(50):
        weight.grad = torch.rand(1000) * 2 - 1  # |m| < 1
        optimizer.step()
    assert torch.equal(weight, before)


def test_the_average_is_exponential_and_starts_at_zero():
    weight = weights(1.0)
    optimizer = flips(weight, gamma=0.25, tau=0.6)
    average, seen = 0.0, []
    for gradient in (1.0, 1.0, 1.0, 1.0, -5.0, -5.0):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        average = 0.75 * average + 0.25 * gradient
        assert optimizer.state[weight]["exp_avg"].item() == pytest.approx(average)
        seen.append(weight.item())
    # 0.25, 0.44, 0.58, 0.68: flips at the fourth; -0.74 < -0.6 flips it back at the fifth, then w and m agree not
    assert seen == [1, 1, 1, -1, 1, 1]


def test_with_tau_zero_a_gradient_of_zero_flips_nothing():
    weight = weights(1.0, -1.0)
    optimizer = flips(weight, gamma=1.0, tau=0.0)
    weight.grad = torch.zeros(2, dtype=torch.float64)
    optimizer.step()
    assert weight.tolist() == [1.0, -1.0]


def test_weights_become_their_signs_when_the_optimizer_takes_them():
    weight = weights(0.3, -0.2, 0.0, -0.0, 1.0, -7.0)
    flips(weight, 0.1, 0.1)
    assert weight.tolist() == [1, -1, 1, 1, 1, -1]


def network() -> nn.Sequential:
    return nn.Sequential(BinaryLinear(6, 8, bias=False), nn.BatchNorm1d(8), BinaryLinear(8, 3))


def test_the_groups_of_a_model_are_adam_for_the_rest_and_flips_for_latent_weights():
    model = network()
    optimizer = bop_optimizer(model, gamma=1e-3, tau=1e-6, lr=0.02)
    rest, binary = optimizer.param_groups
    assert {id(p) for p in rest["params"]} == {id(model[1].weight), id(model[1].bias), id(model[2].bias)}
    assert {id(p) for p in binary["params"]} == {id(w) for _, _, w in latent_weights(model)}
    assert (rest["lr"], rest["latent"]) == (0.02, False)
    assert (binary["lr"], binary["tau"], binary["latent"]) == (1e-3, 1e-6, True)


def test_a_shared_weight_flips_once_a_step():
    first, second = BinaryLinear(4, 4, bias=False), BinaryLinear(4, 4, bias=False)
    second.weight = first.weight
    optimizer = bop_optimizer(nn.Sequential(first, second), gamma=1.0, tau=0.1)
    before = first.weight.detach().clone()
    first.weight.grad = before.clone()
    optimizer.step()
    assert torch.equal(first.weight, -before)


def test_the_other_parameters_are_stepped_as_by_torchs_adam():
    model = network()
    same = copy.deepcopy(model)
    optimizer = bop_optimizer(model, lr=0.01)
    adam = torch.optim.Adam([same[1].weight, same[1].bias, same[2].bias], lr=0.01)
    for step in range(5):
        generator = torch.Generator().manual_seed(step)
        for ours, theirs in zip(model.parameters(), same.parameters(), strict=True):
            ours.grad = theirs.grad = torch.randn(ours.shape, generator=generator)
        optimizer.step()
        adam.step()
    for ours, theirs in (
        (model[1].weight, same[1].weight),
        (model[1].bias, same[1].bias),
        (model[2].bias, same[2].bias),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_weights_stay_plus_or_minus_one_and_learn():
    torch.manual_seed(0)
    x = torch.randn(256, 6)
    target = (x @ torch.tensor([1.0, -1, 1, 1, -1, 1]) > 0).long()
    model = nn.Sequential(
        BinaryLinear(6, 32, bias=False), nn.BatchNorm1d(32), BinaryLinear(32, 2, input_quantizer="ste_sign")
    )
    optimizer = bop_optimizer(model, gamma=0.1, tau=1e-3)
    losses = []
    for _ in range(80):
        loss = nn.functional.cross_entropy(model(x) / 8, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for _, _, weight in latent_weights(model):
        assert torch.equal(weight.abs(), torch.ones_like(weight))
    assert losses[-1] < 0.6 * losses[0]


def test_a_schedule_changes_gamma_and_a_saved_run_goes_the_same_way():
    weight = weights(1.0, -1.0, 1.0)
    optimizer = flips(weight, 0.5, 0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    weight.grad = torch.tensor([0.1, -0.3, 0.0], dtype=torch.float64)
    optimizer.step()
    schedule.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    same = weights(*weight.tolist())
    again = flips(same, 1.0, 99.0)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert (again.param_groups[0]["lr"], again.param_groups[0]["tau"]) == (0.25, 0.1)
    for parameter, rule in ((weight, optimizer), (same, again)):
        parameter.grad = torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
        rule.step()
    assert torch.equal(weight, same)


def test_a_step_scale_for_flips_is_refused():
    with pytest.raises(InputError, match=r"Bop cannot take the step scale.*bop_optimizer"):
        latent_optimizer(Bop, BinaryLinear(3, 2), 0.1)


@pytest.mark.parametrize(
    "settings", [{"lr": 0.0}, {"tau": -1.0}, {"tau": float("nan")}, {"eps": 0.0}, {"betas": (0.9, 1.0)}]
)
def test_settings_out_of_their_range_are_refused(settings):
    with pytest.raises(InputError, match="are out of range"):
        Bop([weights(1.0)], **settings)


def test_a_gamma_above_one_is_refused():
    with pytest.raises(InputError, match="share gamma of a new gradient"):
        bop_optimizer(BinaryLinear(3, 2), gamma=1.5)
