"""BinaryConnect's weights: what they are in training, in each kind of evaluation, and as integers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn import BinaryLinear
from binarynet.nn.quantizers import BinaryConnect

EDGES = [-2.0, -1.0, -0.25, -0.0, 0.0, 0.25, 1.0, 2.0]


def mean_of_draws(quantizer: BinaryConnect, x: Tensor, draws: int = 20_000) -> Tensor:
    return quantizer.train()(x.expand(draws, len(x))).mean(0)


@pytest.mark.parametrize("limit", [1.0, 0.125, 0.3])
@pytest.mark.parametrize("training", [True, False])
def test_deterministic_weights_are_plus_or_minus_the_limit_in_both_modes(training, limit):
    x = limit * torch.tensor(EDGES)
    value = BinaryConnect(limit=limit).train(training)(x)
    assert torch.equal(value, torch.tensor([-1.0, -1, -1, 1, 1, 1, 1, 1]) * limit)


@pytest.mark.parametrize("limit", [1.0, 0.25])
def test_stochastic_weights_are_two_valued_and_have_the_clipped_weight_as_mean(limit):
    x = limit * torch.tensor(EDGES)
    quantizer = BinaryConnect(stochastic=True, limit=limit)
    assert set(quantizer(torch.randn(1000)).tolist()) == {-limit, limit}
    torch.testing.assert_close(mean_of_draws(quantizer, x), x.clamp(-limit, limit), rtol=0, atol=0.03 * limit)


def test_weights_at_the_limit_are_never_drawn_to_the_other_side():
    x = torch.tensor([-1.0, 1.0]).expand(50_000, 2)
    value = BinaryConnect(stochastic=True)(x)
    assert torch.equal(value, x)


def test_evaluation_is_binary_real_or_one_fixed_draw_as_asked_for():
    w = torch.rand(40, 40) * 2 - 1
    binary, real, sampled = (BinaryConnect(True, kind, seed=3).eval() for kind in ("binary", "real", "sampled"))
    assert torch.equal(binary(w), torch.where(w >= 0, 1.0, -1.0))
    assert torch.equal(real(w), w)
    assert torch.equal(sampled(w), sampled(w))
    assert set(sampled(w).unique().tolist()) == {-1.0, 1.0}
    assert not torch.equal(sampled(w), binary(w))
    assert not torch.equal(sampled(w), BinaryConnect(True, "sampled", seed=4).eval()(w))


def test_sampled_networks_are_distributed_as_in_training():
    w = torch.tensor([-0.75, 0.0, 0.5]).expand(20_000, 3)
    value = BinaryConnect(True, "sampled").value(w)
    torch.testing.assert_close(value.mean(0), w[0], rtol=0, atol=0.03)


def test_a_fixed_draw_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    BinaryConnect(True, "sampled").value(torch.zeros(10))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("stochastic", [True, False])
def test_the_gradient_passes_everywhere(stochastic):
    x = torch.tensor(EDGES, requires_grad=True)
    g = torch.arange(8.0)
    BinaryConnect(stochastic)(x).backward(g)
    assert torch.equal(x.grad, g)


@pytest.mark.parametrize("kind", ["binary", "real", "sampled"])
def test_integers_times_scale_are_the_weights_of_evaluation(kind):
    w = torch.rand(6, 8) - 0.5
    quantizer = BinaryConnect(True, kind, limit=0.3)
    numbers, scale = quantizer.integers(w)
    assert torch.equal(numbers * scale, quantizer.eval()(w))
    assert scale.ndim == 0
    if kind == "real":
        assert (quantizer.encoding, quantizer.bits, scale.item()) == ("f32", 32, 1)
    else:
        assert (quantizer.encoding, quantizer.bits) == ("b1", 1)
        assert set(numbers.unique().tolist()) == {-1.0, 1.0}


def test_a_layer_shows_the_weights_of_evaluation_in_any_mode():
    layer = BinaryLinear(6, 4, weight_quantizer=BinaryConnect(True, "real"))
    assert torch.equal(layer.train().binary_weight, layer.weight)
    assert not torch.equal(layer(torch.eye(6)), layer.eval()(torch.eye(6)))


@pytest.mark.parametrize("kind", ["ternary", "mean", ""])
def test_an_unknown_kind_of_test_weights_is_refused(kind):
    with pytest.raises(InputError, match=r"test_weights=.*choose 'binary', 'real', 'sampled'"):
        BinaryConnect(test_weights=kind)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_leaves_no_range_is_refused(limit):
    with pytest.raises(InputError, match="limit="):
        BinaryConnect(limit=limit)
