"""Ternary weights: fitted steps against a search, thresholds at their border, learned scales against autograd."""

from __future__ import annotations

import copy
from math import nextafter

import pytest
import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn import BinaryLinear, Quantizer
from binarynet.nn.quantizers import TtqTernary, TwnTernary, UniformLevels


def fitted(x: Tensor, levels: int = 3) -> UniformLevels:
    quantizer = UniformLevels(levels)
    quantizer.fit(x)
    return quantizer


def error(x: Tensor, step: float, levels: int) -> float:
    """Squared distance of x to the nearest levels, searched one by one."""
    half = (levels - 1) // 2
    grid = torch.arange(-half, half + 1, dtype=x.dtype) * step
    return float((x.flatten()[:, None] - grid).abs().min(1).values.square().sum())


# -- Hwang and Sung ------------------------------------------------------------------------------------------


def test_uniform_levels_by_hand() -> None:
    quantizer = UniformLevels(3)
    quantizer.step.fill_(0.5)
    below = nextafter(0.25, 0)
    x = torch.tensor([0.25, below, -0.25, -below, 0.0, -0.0, 9.0, -9.0], dtype=torch.float64)
    assert quantizer(x).tolist() == [0.5, 0, -0.5, 0, 0, 0, 0.5, -0.5]
    seven = UniformLevels(7)
    seven.step.fill_(0.5)
    assert seven(torch.tensor([0.7, 0.75, 1.3, -2.0, 0.1])).tolist() == [0.5, 1.0, 1.5, -1.5, 0.0]


@pytest.mark.parametrize("levels", [3, 5, 7, 15])
@pytest.mark.parametrize("kind", ["normal", "uniform", "heavy", "sparse"])
def test_fitted_step_is_as_good_as_a_fine_search(levels: int, kind: str) -> None:
    x = torch.randn(500, dtype=torch.float64)
    x = {"normal": x, "uniform": x.sign() * torch.rand(500), "heavy": x**3, "sparse": x * (torch.rand(500) < 0.1)}[kind]
    quantizer = fitted(x, levels)
    largest = float(x.abs().max())
    searched = min(error(x, largest * part / 400, levels) for part in range(1, 401))
    assert error(x, float(quantizer.step), levels) <= 1.05 * searched
    torch.testing.assert_close(
        float((x - quantizer(x)).square().sum()), error(x, float(quantizer.step), levels), rtol=1e-6, atol=1e-6
    )


def test_fitted_step_fits_its_own_levels_best() -> None:
    x = torch.randn(1000, dtype=torch.float64)
    numbers, step = fitted(x).integers(x)
    torch.testing.assert_close(step, (x * numbers).sum() / numbers.square().sum(), rtol=1e-6, atol=0)


def test_weights_that_are_ternary_already_are_found_exactly() -> None:
    x = torch.tensor([[0.3, -0.3, 0.0], [0.0, 0.0, -0.3]])
    assert torch.equal(fitted(x)(x), x)


def test_before_the_fit_weights_pass_as_they_are_and_have_no_integers() -> None:
    quantizer, x = UniformLevels(), torch.randn(4, 5)
    assert not quantizer.fitted
    assert torch.equal(quantizer(x), x)
    with pytest.raises(InputError, match=r"call fit\(weight\)"):
        quantizer.integers(x)


@pytest.mark.parametrize("x", [torch.zeros(3), torch.tensor([1.0, float("inf")]), torch.tensor([float("nan"), 1.0])])
def test_what_cannot_be_fitted_is_refused(x: Tensor) -> None:
    with pytest.raises(InputError, match="finite"):
        UniformLevels().fit(x)


@pytest.mark.parametrize("levels", [1, 2, 4, 17, -3])
def test_levels_that_are_not_symmetric_or_too_many_are_refused(levels: int) -> None:
    with pytest.raises(InputError, match="odd number from 3 to 15"):
        UniformLevels(levels)


def test_step_travels_with_the_state_dict_and_stays_when_the_weights_move() -> None:
    layer = BinaryLinear(6, 4, weight_quantizer=UniformLevels())
    assert isinstance(layer.weight_quantizer, UniformLevels)
    layer.weight_quantizer.fit(layer.weight)
    other = BinaryLinear(6, 4, weight_quantizer=UniformLevels())
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.binary_weight, layer.binary_weight)
    step = layer.weight_quantizer.step.clone()
    nn.init.uniform_(layer.weight)
    layer(torch.randn(2, 6))
    assert torch.equal(layer.weight_quantizer.step, step)


# -- all three -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantizer", [fitted(torch.tensor([1.0, 0.1])), TwnTernary(), TtqTernary()], ids=repr)
def test_integers_are_ternary_and_times_the_scale_the_value(quantizer: Quantizer) -> None:
    x = torch.randn(20, 30)
    numbers, scale = quantizer.integers(x)
    assert set(numbers.unique().tolist()) == {-1, 0, 1}
    assert scale.shape == ()
    assert quantizer.encoding == "t2"
    assert torch.equal(numbers * scale, quantizer.value(x))
    assert torch.equal(quantizer(x), quantizer.value(x))


@pytest.mark.parametrize("levels", [3, 5, 7, 9, 15])
def test_levels_fit_their_encoding(levels: int) -> None:
    from binarynet.graph.encoding import Encoding

    encoding = Encoding.parse(UniformLevels(levels).encoding)
    assert encoding.low <= -(levels - 1) // 2
    assert (levels - 1) // 2 <= encoding.high


@pytest.mark.parametrize("quantizer", [UniformLevels(), fitted(torch.tensor([1.0, 0.1])), TwnTernary()], ids=repr)
def test_every_gradient_passes(quantizer: Quantizer) -> None:
    x = torch.tensor([[-9.0, -0.01, 0.0, 0.02, 9.0]], requires_grad=True)
    upstream = torch.randn(1, 5)
    quantizer(x).backward(upstream)
    assert x.grad is not None
    assert torch.equal(x.grad, upstream)


# -- TWN -----------------------------------------------------------------------------------------------------


def test_twn_by_hand() -> None:
    numbers, alpha = TwnTernary().integers(torch.tensor([[1.0, -1.0, 0.5, -0.5], [2.0, 0.0, 0.7, -0.3]]))
    assert numbers.tolist() == [[1, -1, 0, 0], [1, 0, 1, 0]]  # 0.7 · 6 / 8 = 0.525
    assert alpha.item() == pytest.approx((1 + 1 + 2 + 0.7) / 4)


def test_twn_drops_weights_on_the_threshold_and_survives_if_that_is_all() -> None:
    same = torch.full((4, 4), 0.5)
    assert torch.equal(TwnTernary(threshold=1.0)(same), 0 * same)
    assert torch.equal(TwnTernary(threshold=0.99)(-same), -same)
    assert torch.equal(TwnTernary()(0 * same), 0 * same)


# -- TTQ -----------------------------------------------------------------------------------------------------


def ttq(positive: float, negative: float) -> TtqTernary:
    quantizer = TtqTernary().double()
    with torch.no_grad():
        quantizer.positive.fill_(positive)
        quantizer.negative.fill_(negative)
    return quantizer


def test_ttq_has_a_scale_for_each_sign_and_drops_weights_on_the_threshold() -> None:
    x = torch.tensor([1.0, 0.05, 0.0500001, -0.05, -0.06, 0.0], dtype=torch.float64)
    assert ttq(2.0, 3.0)(x).tolist() == [2, 0, 2, 0, -3, 0]


def test_ttq_gradients_by_the_paper() -> None:
    quantizer = ttq(2.0, 3.0)
    x = torch.tensor([[1.0, -1.0, 0.01], [0.5, -0.01, -0.4]], dtype=torch.float64, requires_grad=True)
    g = torch.randn(2, 3, dtype=torch.float64)
    quantizer(x).backward(g)
    scale = torch.tensor([[2.0, 3.0, 1.0], [2.0, 1.0, 3.0]], dtype=torch.float64)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, g * scale)
    assert quantizer.positive.grad is not None
    assert quantizer.negative.grad is not None
    torch.testing.assert_close(quantizer.positive.grad, g[0, 0] + g[1, 0])
    torch.testing.assert_close(quantizer.negative.grad, -(g[0, 1] + g[1, 2]))


def test_ttq_scales_have_the_gradient_of_autograd() -> None:
    quantizer = ttq(0.7, 1.9)
    x, g = torch.randn(5, 6, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    quantizer(x).backward(g)
    plain = [p.detach().clone().requires_grad_() for p in (quantizer.positive, quantizer.negative)]
    limit = 0.05 * x.abs().max()
    (plain[0] * (x > limit) - plain[1] * (x < -limit)).backward(g)
    for ours, theirs in zip((quantizer.positive, quantizer.negative), plain, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_two_unequal_scales_are_no_grid_but_two_ternary_sums() -> None:
    quantizer, x = ttq(2.0, 3.0), torch.randn(8, 8, dtype=torch.float64)
    with pytest.raises(InputError, match=r"2 and 3.*\.scales"):
        quantizer.integers(x)
    t, (p, n) = quantizer.ternary(x), quantizer.scales
    torch.testing.assert_close((p + n) / 2 * t + (p - n) / 2 * t.abs(), quantizer.value(x))


def test_ttq_scales_are_parameters_of_the_layer() -> None:
    layer = BinaryLinear(3, 2, bias=False, weight_quantizer=TtqTernary())
    assert set(layer.state_dict()) == {"weight", "weight_quantizer.positive", "weight_quantizer.negative"}
    assert copy.deepcopy(layer).weight_quantizer is not layer.weight_quantizer
