"""Bitwise networks: both stages against their formulas, the boundary β, and the stage as part of the state."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
from math import inf, nan

import pytest
import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn.papers.bitwise import BitwiseLinear, BitwiseNet
from binarynet.nn.quantizers import BitwiseSign, BitwiseWeight


def net(sparsity: float = 0.25, width: float = 3.0, sizes: tuple[int, ...] = (7, 6, 5, 3)) -> BitwiseNet:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [BitwiseLinear(inputs, outputs, sparsity=sparsity), BitwiseSign(width)]
    made = BitwiseNet(*layers[:-1]).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


def signs(*shape: int) -> Tensor:
    return torch.where(torch.rand(*shape) < 0.5, -1.0, 1.0).double()


def in_stage_2(quantizer: BitwiseWeight, beta: float = 0.0) -> BitwiseWeight:
    quantizer.stage = 2
    quantizer.beta.fill_(beta)
    return quantizer


def test_stage_1_is_a_network_squashed_by_tanh_everywhere() -> None:
    made, x = net(), signs(10, 7)
    plain = [(layer.weight.detach().clone(), layer.latent_bias.detach().clone()) for layer in made[::2]]
    for pair in plain:
        for tensor in pair:
            tensor.requires_grad_()
    z = x
    for depth, (weight, bias) in enumerate(plain):
        a = z @ torch.tanh(weight).T + torch.tanh(bias)
        z = torch.tanh(a) if depth < 2 else a
    torch.testing.assert_close(made(x), z)
    made(x).square().sum().backward()
    z.square().sum().backward()
    for layer, (weight, bias) in zip(made[::2], plain, strict=True):
        torch.testing.assert_close(layer.weight.grad, weight.grad)
        torch.testing.assert_close(layer.latent_bias.grad, bias.grad)


@pytest.mark.parametrize("width", [1.0, 3.0, inf])
def test_stage_2_backpropagates_through_bits_by_the_papers_rules(width: float) -> None:
    made, x = net(width=width), signs(10, 7)
    made.enter(2)
    layers = list(made[::2])
    values = [layer.weight_quantizer.value(layer.weight) for layer in layers]
    inputs, sums = [x], []
    for layer, w in zip(layers, values, strict=True):
        sums.append(inputs[-1] @ w.T + torch.where(layer.latent_bias >= 0, 1.0, -1.0))
        inputs.append(torch.where(sums[-1] >= 0, 1.0, -1.0).double())
    torch.testing.assert_close(made(x), sums[-1].detach(), rtol=0, atol=0)
    made(x).square().sum().backward()
    delta = 2 * sums[-1].detach()
    for depth in (2, 1, 0):
        torch.testing.assert_close(layers[depth].weight.grad, delta.T @ inputs[depth])  # not times tanh'
        torch.testing.assert_close(layers[depth].latent_bias.grad, delta.sum(0))
        if depth:
            window = 1 - torch.tanh(sums[depth - 1].detach() / width) ** 2
            delta = (delta @ values[depth]) * window


def test_boundary_belongs_to_the_signs() -> None:
    quantizer = in_stage_2(BitwiseWeight(0.5), 0.25)
    below, above = math.nextafter(0.25, 0), math.nextafter(0.25, 1)
    x = torch.tensor([0.25, -0.25, below, -below, above, -above, 0.0, -0.0, 9.0, -9.0], dtype=torch.float64)
    y = quantizer.value(x)
    assert y.tolist() == [1, -1, 0, 0, 1, -1, 0, 0, 1, -1]
    assert not y.signbit()[y == 0].any()
    numbers, scale = quantizer.integers(x)
    assert torch.equal(numbers, y)
    assert scale == 1


def test_without_sparsity_a_weight_is_its_sign() -> None:
    quantizer = in_stage_2(BitwiseWeight())
    quantizer.fit(torch.randn(50))
    assert quantizer.value(torch.tensor([0.0, -0.0, 1e-30, -1e-30])).tolist() == [1, 1, 1, -1]
    assert (quantizer.bits, quantizer.encoding) == (1, "b1")


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (64, 65)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_boundary_makes_the_asked_share_of_weights_zero(share: float, shape: tuple[int, int]) -> None:
    weight = torch.randn(shape)
    quantizer = in_stage_2(BitwiseWeight(share))
    quantizer.fit(weight)
    assert (quantizer.value(weight) == 0).sum() == int(share * weight.numel())
    if share:
        assert (quantizer.bits, quantizer.encoding) == (2, "t2")


def test_equal_magnitudes_at_the_boundary_all_stay() -> None:
    quantizer = in_stage_2(BitwiseWeight(0.5))
    quantizer.fit(torch.tensor([0.1, -0.5, 0.5, -0.5]))
    assert quantizer.value(torch.tensor([0.1, -0.5, 0.5, -0.5])).tolist() == [0, -1, 1, -1]


@pytest.mark.parametrize("share", [-0.1, 1.0, nan])
def test_a_share_that_leaves_no_weight_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="from 0 up to but not 1"):
        BitwiseWeight(share)


@pytest.mark.parametrize("width", [0.0, -1.0, nan])
def test_a_window_without_width_is_refused(width: float) -> None:
    with pytest.raises(InputError, match="must be positive"):
        BitwiseSign(width)


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("quantizer", [BitwiseWeight(0.3), BitwiseSign(2.0)])
def test_nan_stays_nan(quantizer: BitwiseWeight | BitwiseSign, stage: int) -> None:
    quantizer.stage = stage  # type: ignore[assignment]
    assert quantizer(torch.tensor([nan, 0.5])).isnan().tolist() == [True, False]


@pytest.mark.parametrize("quantizer", [BitwiseWeight(0.3), BitwiseSign()])
def test_stage_1_has_no_integers(quantizer: BitwiseWeight | BitwiseSign) -> None:
    quantizer.stage = 1
    assert quantizer.encoding == "f32"
    with pytest.raises(InputError, match=r"stage 1, whose values are real.*enter\(2\)"):
        quantizer.integers(torch.zeros(3))


def test_neuron_is_sign_with_plus_one_for_zero_in_stage_2() -> None:
    neuron = BitwiseSign()
    neuron.stage = 2
    assert neuron(torch.tensor([0.0, -0.0, -1e-30, 3.0])).tolist() == [1, 1, -1, 1]
    assert neuron.encoding == "b1"


def test_bias_is_what_is_added_and_trains_its_latent_value() -> None:
    made = net()
    assert torch.equal(made[0].bias, torch.tanh(made[0].latent_bias))
    made.enter(2)
    assert torch.equal(made[0].bias, torch.where(made[0].latent_bias >= 0, 1.0, -1.0).double())
    assert sorted(dict(made[0].named_parameters())) == ["latent_bias", "weight"]


def test_entering_stage_2_again_fits_the_boundaries_anew_and_stage_1_leaves_them() -> None:
    made = net(sparsity=0.5)
    made.enter(1)
    assert made[0].weight_quantizer.beta == 0
    made.enter(2)
    before = made[0].weight_quantizer.beta.clone()
    with torch.no_grad():
        made[0].weight.mul_(2)
    made.enter(2)
    assert torch.equal(made[0].weight_quantizer.beta, 2 * before)


def test_stage_and_boundaries_travel_with_the_state() -> None:
    trained, x = net(), signs(20, 7)
    trained.enter(2)
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    fresh = net()
    assert fresh.stage == 1
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert fresh.stage == 2
    assert torch.equal(fresh(x), trained(x))
    fresh.load_state_dict(net().state_dict())
    assert fresh.stage == 1
    assert [module.stage for module in fresh.modules() if isinstance(module, BitwiseSign)] == [1, 1]


def test_copies_and_pickles_are_in_the_same_stage() -> None:
    made, x = net(), signs(20, 7)
    made.enter(2)
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert twin.stage == 2
        assert torch.equal(twin(x), made(x))


def test_weights_start_in_the_range_of_a_tanh_network() -> None:
    layer = BitwiseLinear(300, 100)
    limit = math.sqrt(6 / 400)
    assert 0.99 * limit < layer.weight.abs().max() <= limit
    assert torch.equal(layer.latent_bias, torch.zeros(100))
