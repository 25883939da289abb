"""Ternary connect, powers of two drawn at random, and the layers whose weight gradients use them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn import BinaryConv2d, BinaryLinear
from binarynet.nn.papers import few_multiplications as few
from binarynet.nn.papers.few_multiplications import (
    FewMultiplicationsConv2d,
    FewMultiplicationsLinear,
    stochastic_power_of_two,
)
from binarynet.nn.quantizers import BinaryConnect, TernaryConnect


def test_ternary_weights_are_drawn_with_the_clipped_weight_as_mean():
    x = 0.5 * torch.tensor([-2.0, -1.0, -0.25, 0.0, 0.25, 0.75, 1.0, 2.0])
    quantizer = TernaryConnect(stochastic=True, limit=0.5)
    draws = quantizer(x.expand(20_000, 8))
    assert set(draws.unique().tolist()) == {-0.5, 0.0, 0.5}
    assert torch.equal(draws[:, [1, 3, 6]], x[[1, 3, 6]].expand(20_000, 3))  # at ±H and at 0 nothing is left to chance
    torch.testing.assert_close(draws.mean(0), x.clamp(-0.5, 0.5), rtol=0, atol=0.02)


def test_a_ternary_draw_never_has_the_other_sign():
    x = torch.randn(10_000)
    assert (TernaryConnect(stochastic=True)(x) * x >= 0).all()


@pytest.mark.parametrize("limit", [1.0, 0.2])
def test_the_nearest_ternary_weight_changes_at_half_the_limit(limit):
    x = limit * torch.tensor([-1.0, -0.51, -0.5, -0.49, 0.0, 0.49, 0.5, 1.0], dtype=torch.float64)
    expected = limit * torch.tensor([-1.0, -1, -1, 0, 0, 0, 1, 1], dtype=torch.float64)
    assert torch.equal(TernaryConnect(limit=limit).value(x), expected)
    assert torch.equal(TernaryConnect(limit=limit).train()(x), expected)


@pytest.mark.parametrize("kind", ["ternary", "real", "sampled"])
def test_ternary_integers_times_scale_are_the_weights_of_evaluation(kind):
    w = torch.rand(30, 8) - 0.5
    quantizer = TernaryConnect(True, kind, limit=0.3)
    numbers, scale = quantizer.integers(w)
    assert torch.equal(numbers * scale, quantizer.eval()(w))
    assert (quantizer.encoding, quantizer.bits) == (("f32", 32) if kind == "real" else ("t2", 2))
    if kind != "real":
        assert set(numbers.unique().tolist()) == {-1.0, 0.0, 1.0}


def test_ternary_weights_do_not_take_the_binary_kind():
    with pytest.raises(InputError, match="choose 'ternary', 'real', 'sampled'"):
        TernaryConnect(test_weights="binary")


def test_powers_of_two_have_the_rounded_number_as_mean():
    x = torch.tensor([2**-4, 0.07, 0.1, 0.3, 1.0, 1.5, 3.9, 7.0, 15.9, -0.07, -1.3, -12.0])
    draws = stochastic_power_of_two(x.expand(100_000, len(x)))
    torch.testing.assert_close(draws.mean(0), x, rtol=0.01, atol=0)
    exponents = torch.log2(draws.abs()).unique()
    assert torch.equal(exponents, torch.arange(-4.0, 5.0))


def test_below_the_smallest_power_the_mean_still_holds():
    x = torch.tensor([0.06, 0.01, -0.03, 1e-6])
    draws = stochastic_power_of_two(x.expand(200_000, 4))
    assert set(draws.abs().unique().tolist()) == {0.0, 2**-4}
    torch.testing.assert_close(draws.mean(0), x, rtol=0.03, atol=3e-5)


def test_zero_stays_zero_powers_stay_themselves_and_the_rest_saturates():
    x = torch.tensor([0.0, -0.0, 2**-4, -0.25, 1.0, 8.0, 16.0, -16.0, 16.1, -1e6, float("inf")])
    expected = torch.tensor([0.0, 0.0, 2**-4, -0.25, 1.0, 8.0, 16.0, -16.0, 16.0, -16.0, 16.0])
    for _ in range(50):
        assert torch.equal(stochastic_power_of_two(x), expected)


def test_each_number_goes_to_one_of_its_two_neighbours():
    x = torch.tensor([3.0]).expand(1000)
    assert set(stochastic_power_of_two(x).tolist()) == {2.0, 4.0}
    assert set(stochastic_power_of_two(-x, (0, 1)).tolist()) == {-2.0}
    assert set(stochastic_power_of_two(x / 8, (-1, 1)).tolist()) == {0.0, 0.5}


@pytest.mark.parametrize("exponents", [(3, 3), (4, -4), (-127, 0), (0, 128)])
def test_exponents_that_are_no_range_are_refused(exponents):
    with pytest.raises(InputError, match="exponents="):
        stochastic_power_of_two(torch.ones(2), exponents)


@pytest.fixture
def halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand a rounding that is easy to write down in for the random one."""
    monkeypatch.setattr(few, "stochastic_power_of_two", lambda x, exponents: x.detach() / 2)


@pytest.mark.usefixtures("halved")
@pytest.mark.parametrize("shape", [(9, 6), (4, 3, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_only_the_weight_gradient_of_a_linear_layer_sees_the_rounded_input(bias, shape):
    torch.manual_seed(0)
    rounding, plain = FewMultiplicationsLinear(6, 5, bias), BinaryLinear(6, 5, bias)
    plain.load_state_dict(rounding.state_dict())
    x, g = torch.randn(shape), torch.randn(*shape[:-1], 5)
    gradients = []
    for layer in (rounding, plain):
        a = x.clone().requires_grad_()
        y = layer(a)
        y.backward(g)
        gradients.append((y.detach(), a.grad, layer.weight.grad, layer.bias.grad if bias else torch.zeros(1)))
    ours, theirs = gradients
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1])
    torch.testing.assert_close(ours[2], theirs[2] / 2)
    torch.testing.assert_close(ours[3], theirs[3])


@pytest.mark.usefixtures("halved")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"padding": 1, "bias": False},
        {"stride": 2, "padding": 1},
        {"groups": 2},
        {"dilation": 2},
        {"padding": 1, "pad_value": 1.0},
        {"padding": "same"},
    ],
)
def test_only_the_weight_gradient_of_a_convolution_sees_the_rounded_input(settings):
    torch.manual_seed(0)
    rounding, plain = FewMultiplicationsConv2d(2, 4, 3, **settings), BinaryConv2d(2, 4, 3, **settings)
    plain.load_state_dict(rounding.state_dict())
    x = torch.randn(3, 2, 7, 6)
    gradients = []
    for layer in (rounding, plain):
        a = x.clone().requires_grad_()
        y = layer(a)
        y.square().sum().backward()
        gradients.append((y.detach(), a.grad, layer.weight.grad))
    ours, theirs = gradients
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours[2], theirs[2] / 2, rtol=1e-4, atol=1e-4)


def test_the_weight_gradient_has_the_exact_one_as_mean():
    torch.manual_seed(0)
    x, g = torch.randn(8, 4).abs(), torch.randn(8, 3)
    layer = FewMultiplicationsLinear(4, 3, bias=False, weight_quantizer=BinaryConnect(limit=0.5))
    total = torch.zeros(3, 4)
    for _ in range(4000):
        layer.zero_grad()
        layer(x).backward(g)
        total += layer.weight.grad
    torch.testing.assert_close(total / 4000, g.T @ x, rtol=0, atol=0.06)
    assert not torch.allclose(layer.weight.grad, g.T @ x, atol=0.06)


@pytest.mark.parametrize(
    "layer", [FewMultiplicationsLinear(4, 3, exponents=None), FewMultiplicationsLinear(4, 3).eval()]
)
def test_without_exponents_and_in_evaluation_gradients_are_exact(layer):
    x = torch.randn(5, 4)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, torch.ones(5, 3).T @ x)


def test_an_input_that_needs_no_gradient_gets_none():
    x = torch.randn(2, 2, 5, 5)
    layer = FewMultiplicationsConv2d(2, 3, 3)
    layer(x).sum().backward()
    assert x.grad is None
    assert layer.weight.grad is not None


def test_training_under_bfloat16_autocast_gives_float32_gradients():
    layer = FewMultiplicationsLinear(4, 3)
    x = torch.randn(6, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    y.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(x.grad, F.linear(torch.ones(6, 3), layer.binary_weight.T), rtol=0.02, atol=0.02)
