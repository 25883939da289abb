"""K-bit quantizers: grids, roundings at their ties, gradients against closed forms, and unbiased gradient codes."""

from __future__ import annotations

from math import inf, nan, sqrt

import pytest
import torch
from torch import Tensor, fx, nn

from binarynet.errors import InputError
from binarynet.graph.encoding import Encoding
from binarynet.nn import BinaryLinear, Quantizer
from binarynet.nn.papers.gradient import BinaryGradient, GradientQuantizer, quantized_gradient
from binarynet.nn.quantizers import DorefaActivation, DorefaWeight, LinearQuant, LogQuant, XnorActivation

ALL: list[Quantizer] = [
    *(DorefaWeight(k) for k in (1, 2, 3, 8)),
    *(DorefaActivation(k) for k in (1, 2, 8)),
    *(LinearQuant(k) for k in (1, 2, 5, 8)),
    *(LogQuant(k) for k in (1, 2, 3, 4)),
    *(XnorActivation(k) for k in (1, 2, 5, 8)),
]
ACTIVATIONS = [q for q in ALL if not isinstance(q, DorefaWeight)]


def gradient(quantizer: nn.Module, x: Tensor, upstream: Tensor | None = None) -> Tensor:
    x = x.detach().clone().requires_grad_()
    quantizer(x).backward(torch.ones_like(x) if upstream is None else upstream)
    assert x.grad is not None
    return x.grad


def numbers_of(encoding: str) -> set[int]:
    """What an encoding can hold."""
    e = Encoding.parse(encoding)
    return set(range(e.low, e.high + 1, 2 if e.kind == "b" else 1))


@pytest.mark.parametrize("quantizer", ALL, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_whole_numbers_of_the_encoding_times_the_scale(quantizer: Quantizer, dtype: torch.dtype) -> None:
    x = 1.5 * torch.randn(40, 25, dtype=dtype)
    numbers, scale = quantizer.integers(x)
    assert set(numbers.unique().tolist()) <= numbers_of(quantizer.encoding)
    assert scale.shape == ()
    assert numbers.dtype == scale.dtype == dtype
    assert torch.equal(quantizer(x), numbers * scale)
    assert torch.equal(quantizer.value(x), numbers * scale)
    assert len(numbers.unique()) <= 2**quantizer.bits


@pytest.mark.parametrize("quantizer", ALL, ids=str)
def test_all_codes_are_used(quantizer: Quantizer) -> None:
    numbers, _ = quantizer.integers(torch.linspace(-3, 3, 6001))
    wanted = 2**quantizer.bits if not isinstance(quantizer, LogQuant) or quantizer.bits == 1 else 2**quantizer.bits - 1
    assert len(numbers.unique()) == wanted


@pytest.mark.parametrize("quantizer", ACTIVATIONS, ids=str)
def test_activation_quantizers_are_monotone_and_their_scale_knows_nothing_of_x(quantizer: Quantizer) -> None:
    x = torch.cat([torch.tensor([-inf]), torch.linspace(-2, 2, 4001), torch.tensor([inf])])
    numbers, scale = quantizer.integers(x)
    assert (numbers.diff() >= 0).all()
    assert torch.equal(scale, quantizer.integers(7 * x)[1])


@pytest.mark.parametrize("quantizer", ACTIVATIONS, ids=str)
def test_nan_stays_nan(quantizer: Quantizer) -> None:
    assert quantizer(torch.tensor([nan, 0.5])).isnan().tolist() == [True, False]


@pytest.mark.parametrize("quantizer", ALL, ids=str)
def test_formulas_and_source_are_in_the_docstring(quantizer: Quantizer) -> None:
    text = type(quantizer).__doc__ or ""
    assert "Forward" in text
    assert "gradient:" in text.lower()
    assert "Reference:" in text


@pytest.mark.parametrize(
    "kind", [DorefaWeight, DorefaActivation, LinearQuant, LogQuant, XnorActivation, GradientQuantizer]
)
@pytest.mark.parametrize("bits", [0, 9, 32, -1, 2.5])
def test_bits_out_of_range_are_refused(kind: type[nn.Module], bits: int) -> None:
    with pytest.raises(InputError, match=r"it takes 1 to [48]"):
        kind(bits)


# -- DoReFa weights ------------------------------------------------------------------------------------------


def test_one_bit_weights_share_the_mean_of_the_layer_and_pass_every_gradient() -> None:
    weight = torch.tensor([[0.0, -0.0, 3.0], [-0.5, 0.25, -2.25]])
    assert DorefaWeight(1)(weight).tolist() == [[1, 1, 1], [-1, 1, -1]]  # mean |w| = 1
    upstream = torch.randn(2, 3)
    assert torch.equal(gradient(DorefaWeight(1), weight, upstream), upstream)


def test_two_bit_weights_by_hand() -> None:
    weight = torch.atanh(torch.tensor([0.6, -0.6, 0.41, 0.39, -0.1, 0.0]))
    # tanh / (2 · 0.6) + 1/2 times 3: 3, 0, 2.525, 2.475, 1.25, 1.5 (a tie: to the even 2)
    third = 1 / 3
    expected = torch.tensor([1, -1, 1, third, -third, third])
    torch.testing.assert_close(DorefaWeight(2)(weight), expected)


@pytest.mark.parametrize("bits", range(2, 9))
def test_k_bit_weights_reach_both_ends_of_the_range_at_most(bits: int) -> None:
    weight = torch.cat([torch.randn(200), torch.tensor([9.0, -9.0])])
    q = DorefaWeight(bits)(weight)
    assert q.abs().max() == q[-2] == -q[-1]
    assert q[-2].item() == pytest.approx(1)


@pytest.mark.parametrize("max_gradient", [True, False])
def test_k_bit_gradient_is_that_of_the_formula_without_rounding(max_gradient: bool) -> None:
    weight = torch.randn(6, 7, dtype=torch.float64)
    weight[0, 0] = -4.0  # the largest is negative
    upstream = torch.randn(6, 7, dtype=torch.float64)

    def smooth(w: Tensor) -> Tensor:
        tanh = torch.tanh(w)
        largest = tanh.abs().max()
        return 2 * (tanh / (2 * (largest if max_gradient else largest.detach())) + 0.5) - 1

    leaf = weight.clone().requires_grad_()
    smooth(leaf).backward(upstream)
    ours = gradient(DorefaWeight(3, max_gradient), weight, upstream)
    torch.testing.assert_close(ours, leaf.grad)


def test_equal_largest_weights_share_the_gradient_of_the_maximum() -> None:
    weight = torch.tensor([1.0, 1.0, 0.5], dtype=torch.float64)
    ours = gradient(DorefaWeight(2), weight, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    assert ours[0] == ours[1] < 0
    once = gradient(DorefaWeight(2), weight[1:], torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(ours[0] + ours[1], once[0])


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_a_layer_of_zeros_stays_finite(bits: int) -> None:
    zeros = torch.zeros(3, 3)
    assert DorefaWeight(bits)(zeros).isfinite().all()
    assert gradient(DorefaWeight(bits), zeros).isfinite().all()


# -- DoReFa activations --------------------------------------------------------------------------------------


def test_activations_are_clipped_to_zero_and_one_with_ties_to_even() -> None:
    x = torch.tensor([-inf, -0.1, 0.0, 1 / 6, 0.5, 5 / 6, 1.0, 1.5, inf])
    numbers, scale = DorefaActivation(2).integers(x)
    assert numbers.tolist() == [0, 0, 0, 0, 2, 2, 3, 3, 3]  # 1/2, 3/2 and 5/2 go to 0, 2 and 2
    assert (3 * scale).item() == 1
    assert DorefaActivation(1)(torch.tensor([0.5, 0.500001])).tolist() == [0, 1]


def test_activation_window_includes_zero_and_one() -> None:
    x = torch.tensor([-1e-9, -0.0, 0.0, 0.3, 1.0, 1 + 1e-6], dtype=torch.float64)
    for bits in (1, 2, 8):
        assert gradient(DorefaActivation(bits), x).tolist() == [0, 1, 1, 1, 1, 0]


# -- QNN -----------------------------------------------------------------------------------------------------


def test_linear_quant_is_fixed_point_in_minus_one_to_below_one() -> None:
    x = torch.tensor([-inf, -1.0, -0.63, -0.62, 0.0, 0.126, 0.875, 1.0, inf])
    assert LinearQuant(3)(x).tolist() == [-1, -1, -0.75, -0.5, 0, 0.25, 0.75, 0.75, 0.75]
    assert LinearQuant(1)(torch.tensor([0.0, -0.1])).tolist() == [1, -1]


def test_log_quant_takes_the_nearest_power_on_the_log_scale() -> None:
    root = sqrt(2)
    x = torch.tensor(
        [1, 0.5 * root, 0.5 * root - 1e-12, 0.5, 0.3, 0.25, 0.125 * root, 0.17, 0.1, 0], dtype=torch.float64
    )
    expected = [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0, 0, 0]
    assert LogQuant(3)(x).tolist() == expected
    assert LogQuant(3)(-x).tolist() == [-value for value in expected]
    assert LogQuant(4)(torch.tensor([100.0, 0.01, 1 / 64, 0.011])).tolist() == [1, 0, 1 / 64, 0]
    assert LogQuant(4)(torch.tensor([0.0111]))[0] == 1 / 64  # 2^-6.5 = 0.01105
    assert LogQuant(2)(torch.tensor([0.7, 0.71, -0.71, 0.0])).tolist() == [0, 1, -1, 0]


@pytest.mark.parametrize("kind", [LinearQuant, LogQuant])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_qnn_window_is_inclusive_at_one(kind: type[Quantizer], bits: int) -> None:
    x = torch.tensor([1.0, -1.0, 1 + 1e-9, -1 - 1e-9, 0.0, 0.999], dtype=torch.float64)
    assert gradient(kind(bits), x).tolist() == [1, 1, 0, 0, 1, 1]  # type: ignore[call-arg]


# -- gradients -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_gradient_codes_have_the_gradient_as_their_mean(bits: int) -> None:
    gradient = torch.tensor([[1.0, -1.0, 0.3, 0.0, -0.77], [1e-3, 2e-3, -3e-3, 0.0, 5e-4]])
    draws = 20_000
    drawn = quantized_gradient(gradient.repeat(draws, 1), bits).reshape(draws, 2, 5)
    step = 2 * gradient.abs().amax(1, keepdim=True) / (2**bits - 1)
    # A draw is one of two neighbours on the grid, so its deviation is half a step at most.
    assert ((drawn.mean(0) - gradient).abs() <= 5 * step / 2 / sqrt(draws)).all()
    assert ((drawn - gradient).abs() <= step * 1.0001).all()


def test_one_bit_gradients_are_plus_and_minus_the_largest_of_their_sample() -> None:
    gradient = torch.randn(6, 3, 4, 4)
    m = gradient.abs().amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close(quantized_gradient(gradient, 1).abs(), m.expand_as(gradient))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_gradient_codes_lie_on_the_grid_of_their_sample_and_its_largest_is_kept(bits: int) -> None:
    gradient = torch.randn(50, 30, dtype=torch.float64)
    m = gradient.abs().amax(1, keepdim=True)
    drawn = quantized_gradient(gradient, bits)
    top = 2**bits - 1
    codes = (drawn / (2 * m) + 0.5) * top
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-9)
    assert codes.min() > -1e-9
    assert codes.max() < top + 1e-9
    at_largest = gradient.abs() == m
    torch.testing.assert_close(drawn[at_largest], gradient[at_largest])


def test_a_sample_without_gradient_stays_zero_and_disturbs_no_other() -> None:
    gradient = torch.stack([torch.zeros(5), torch.full((5,), 2.0)])
    drawn = quantized_gradient(gradient, 4)
    assert drawn[0].tolist() == [0] * 5
    torch.testing.assert_close(drawn[1], gradient[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_gradient_keeps_its_dtype_and_shape(dtype: torch.dtype) -> None:
    assert quantized_gradient(torch.randn(3, 2, 2, dtype=dtype), 4).dtype == dtype
    assert quantized_gradient(torch.randn(3, dtype=dtype), 4).shape == (3,)


def test_gradient_quantizer_changes_only_what_comes_back_and_only_in_training() -> None:
    module, x = GradientQuantizer(2), torch.randn(4, 10)
    upstream = torch.randn(4, 10)
    assert torch.equal(module(x), x)
    torch.manual_seed(3)
    back = gradient(module, x, upstream)
    torch.manual_seed(3)
    assert torch.equal(back, quantized_gradient(upstream, 2))
    assert not torch.equal(back, upstream)
    assert torch.equal(gradient(module.eval(), x, upstream), upstream)


def test_gradient_quantizer_leaves_no_trace_in_the_recorded_network() -> None:
    net = nn.Sequential(BinaryLinear(3, 2), GradientQuantizer(4)).eval()

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return isinstance(m, BinaryLinear)

    ops = [node.op for node in Tracer().trace(net).nodes]
    assert ops == ["placeholder", "call_module", "output"]


# -- XNOR-Net ------------------------------------------------------------------------------------------------


def test_k_bit_inputs_lie_at_equal_distances_from_minus_one_to_one() -> None:
    x = torch.tensor([-5, -1, -0.7, -0.6, -0.1, 0.1, 0.6, 0.7, 1, 5])
    values = XnorActivation(2)(x)
    torch.testing.assert_close(values, torch.tensor([-1, -1, -1, -1 / 3, -1 / 3, 1 / 3, 1 / 3, 1, 1, 1]))
    assert gradient(XnorActivation(2), x).tolist() == [0, *[1] * 8, 0]


def test_binary_gradients_are_signs_times_the_largest_of_their_sample() -> None:
    layer, x = BinaryGradient(), torch.randn(3, 2, 2)
    g = torch.tensor([[[1.0, -3], [0, 0.5]], [[0, 0], [0, 0]], [[-0.1, -0.2], [-0.3, 0.1]]])
    wanted = torch.tensor([[[3.0, -3], [0, 3]], [[0, 0], [0, 0]], [[-0.3, -0.3], [-0.3, 0.3]]])
    assert torch.equal(layer(x), x)
    assert torch.equal(gradient(layer, x, g), wanted)
    assert torch.equal(gradient(layer, x[:, 0, 0], g[:, 0, 0]), g[:, 0, 0])  # one number a sample
    assert torch.equal(gradient(layer.eval(), x, g), g)
