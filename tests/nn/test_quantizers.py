"""Every quantizer of the table: values, pseudo-gradients, borders, NaN, modes, and how it is named."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from math import inf, nan, nextafter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.graph.encoding import Encoding
from binarynet.nn import (
    QUANTIZERS,
    EdeSign,
    IdentitySign,
    Quantizer,
    SigmoidSign,
    SteSign,
    StochasticSign,
    SwishSign,
    quantizers,
)
from binarynet.nn.quantizers import get, signs

SIGNS = [name for name, quantizer in QUANTIZERS.items() if quantizer.__module__ == signs.__name__]
WINDOWED = ["ste_sign", "stochastic_sign"]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]

# The smooth function whose derivative each pseudo-gradient is, away from its corners.
SURROGATES: dict[str, Callable[[Tensor], Tensor]] = {
    "ste_sign": nn.functional.hardtanh,
    "stochastic_sign": nn.functional.hardtanh,
    "sigmoid_sign": lambda x: 2 * torch.sigmoid(x) - 1,
    "identity_sign": lambda x: x,
    "approx_sign": lambda x: torch.where(x.abs() <= 1, 2 * x - x * x.abs(), x.sign()),
    "tanh_sign": torch.tanh,
    "swish_sign": lambda x: 2 * torch.sigmoid(5 * x) * (1 + 5 * x * (1 - torch.sigmoid(5 * x))) - 1,
    "ede_sign": torch.tanh,  # t = 1
    "byte_input": lambda x: 2 * x - 255,
}


def gradient(function: Callable[[Tensor], Tensor], x: Tensor, weights: Tensor | None = None) -> Tensor:
    x = x.detach().clone().requires_grad_()
    y = function(x)
    y.backward(torch.ones_like(y) if weights is None else weights.to(y.dtype))
    assert x.grad is not None
    return x.grad


def made(name: str) -> Quantizer:
    quantizer = get(name)
    assert quantizer is not None
    return quantizer


@pytest.mark.parametrize("name", QUANTIZERS)
def test_quantizer_says_its_formulas_and_its_source(name: str) -> None:
    text = QUANTIZERS[name].__doc__ or ""
    assert "Forward" in text
    assert re.search(r"gradient[^:.]*:", text.lower())
    assert "Reference:" in text


@pytest.mark.parametrize("name", QUANTIZERS)
def test_name_gives_a_new_quantizer_of_that_name(name: str) -> None:
    assert made(name) is not made(name)
    assert made(name).name == name
    assert type(made(name)) is QUANTIZERS[name]
    assert made(name).bits in (*range(1, 9), 32)


@pytest.mark.parametrize("name", [*SIGNS, "byte_input"])
def test_quantizer_has_no_parameters_and_no_state(name: str) -> None:
    quantizer = made(name)
    assert list(quantizer.parameters()) == []
    assert quantizer.state_dict() == {}


@pytest.mark.parametrize("name", QUANTIZERS)
def test_copies_and_pickles_quantize_alike(name: str) -> None:
    quantizer = made(name).eval()
    x = torch.tensor([[1.0, 0.0, 0.25]])
    assert torch.equal(copy.deepcopy(quantizer)(x), quantizer(x))
    assert torch.equal(pickle.loads(pickle.dumps(quantizer))(x), quantizer(x))


def test_none_and_objects_stay_what_they_are() -> None:
    quantizer = SteSign(clip=1.25)
    assert get(None) is None
    assert get(quantizer) is quantizer


@pytest.mark.parametrize("spec", ["sign", "STE_SIGN", "", 1, nn.ReLU(), SteSign])
def test_unknown_quantizer_error_lists_the_known_names(spec: object) -> None:
    with pytest.raises(InputError, match=r"byte_input.*ste_sign, stochastic_sign"):
        get(spec)  # type: ignore[arg-type]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SIGNS)
def test_values_are_plus_and_minus_one_in_the_dtype_of_the_input(name: str, dtype: torch.dtype, training: bool) -> None:
    x = torch.randn(257, dtype=dtype)
    y = made(name).train(training)(x)
    assert y.dtype == dtype
    assert y.shape == x.shape
    assert set(y.tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SIGNS)
def test_sign_at_its_edges(name: str, dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny
    x = torch.tensor([0.0, -0.0, tiny, -tiny, inf, -inf, 1.0, -1.0], dtype=dtype)
    assert made(name).eval()(x).tolist() == [1, 1, 1, -1, 1, -1, 1, -1]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SIGNS)
def test_nan_stays_nan(name: str, training: bool) -> None:
    y = made(name).train(training)(torch.tensor([nan, 0.5, nan]))
    assert y.isnan().tolist() == [True, False, True]


@pytest.mark.parametrize("name", QUANTIZERS)
def test_quantizer_leaves_its_input_alone(name: str) -> None:
    x = torch.linspace(0, 1, 9)[None] if name == "byte_input" else torch.linspace(-2, 2, 9)[None]
    before = x.clone()
    gradient(made(name), x)
    made(name)(x)
    assert torch.equal(x, before)


def test_every_sign_has_a_surrogate_to_be_checked_against() -> None:
    assert set(SURROGATES) == {*SIGNS, "byte_input"}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SURROGATES)
def test_pseudo_gradient_is_the_derivative_of_the_surrogate(name: str, training: bool) -> None:
    x = torch.linspace(-2.51, 2.49, 101, dtype=torch.float64)  # meets neither 0 nor ±1
    if name == "byte_input":
        x = torch.arange(101, dtype=torch.float64)
    weights = torch.randn(101, dtype=torch.float64)
    ours = gradient(made(name).train(training), x, weights)
    torch.testing.assert_close(ours, gradient(SURROGATES[name], x, weights), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", WINDOWED)
def test_gradient_window_is_inclusive_at_one(name: str, dtype: torch.dtype) -> None:
    one = torch.ones((), dtype=dtype)
    beyond = torch.nextafter(one, 2 * one)
    before = torch.nextafter(one, 0 * one)
    x = torch.stack([one, -one, before, -before, beyond, -beyond, 0 * one])
    assert gradient(made(name), x).tolist() == [1, 1, 1, 1, 0, 0, 1]


def test_window_moves_with_clip() -> None:
    x = torch.tensor([1.25, nextafter(1.25, 2), -1.25, -nextafter(1.25, 2)], dtype=torch.float64)
    assert gradient(SteSign(clip=1.25), x).tolist() == [1, 0, 1, 0]


def test_approx_sign_falls_to_zero_at_one_and_peaks_at_zero() -> None:
    x = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
    assert gradient(made("approx_sign"), x).tolist() == [0, 0, 1, 2, 1, 0, 0]


@pytest.mark.parametrize("name", SIGNS)
def test_gradient_is_finite_far_outside(name: str) -> None:
    for dtype in FLOATS:
        largest = torch.finfo(dtype).max
        x = torch.tensor([largest, -largest, inf, -inf, 20.0, -20.0], dtype=dtype)
        assert gradient(made(name), x).isfinite().all()


def test_swish_sign_takes_its_width_from_beta() -> None:
    x = torch.tensor([0.0, 0.3], dtype=torch.float64)
    assert gradient(SwishSign(beta=2.0), x)[0].item() == pytest.approx(2.0)
    assert gradient(SwishSign(beta=2.0), x / 2)[1] != gradient(SwishSign(beta=4.0), x / 2)[1]


@pytest.mark.parametrize(("t", "at_zero"), [(0.1, 1.0), (1.0, 1.0), (10.0, 10.0)])
def test_ede_sign_goes_from_the_identity_to_a_spike(t: float, at_zero: float) -> None:
    quantizer = EdeSign()
    quantizer.t = t
    x = torch.tensor([0.0, 0.7], dtype=torch.float64)
    slopes = gradient(quantizer, x)
    assert slopes[0].item() == pytest.approx(at_zero)
    surrogate = gradient(lambda x: max(1 / t, 1) * torch.tanh(t * x), x)
    torch.testing.assert_close(slopes, surrogate)


@pytest.mark.parametrize("value", [0.0, -1.0, nan, inf])
def test_settings_that_make_no_window_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="positive finite"):
        SteSign(clip=value)
    with pytest.raises(InputError, match="positive finite"):
        SwishSign(beta=value)
    quantizer = EdeSign(t=2.0)
    with pytest.raises(InputError, match="positive finite"):
        quantizer.t = value
    assert quantizer.t == 2.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stochastic_sign_has_the_mean_of_hardtanh(dtype: torch.dtype) -> None:
    draws = 40_000
    for x in (-1.0, -0.75, -0.01, 0.0, 0.5, 0.9375, 1.0):
        mean = StochasticSign()(torch.full((draws,), x, dtype=dtype)).float().mean().item()
        value = torch.tensor(x, dtype=dtype).item()
        deviation = ((1 - value**2) / draws) ** 0.5  # of a mean of ±1 draws
        assert abs(mean - value) <= 5 * deviation  # at ±1 exactly, as the deviation is 0 there


def test_stochastic_sign_is_certain_outside_the_window() -> None:
    x = torch.tensor([-5.0, -1.0, 1.0, 5.0, inf, -inf]).expand(2000, 6)
    y = StochasticSign()(x)
    assert (y == torch.tensor([-1.0, -1, 1, 1, 1, -1])).all()


def test_stochastic_sign_is_the_plain_sign_in_eval_and_repeats_with_the_seed() -> None:
    x = torch.randn(500)
    quantizer = StochasticSign()
    torch.manual_seed(1)
    first = quantizer(x)
    assert not torch.equal(first, quantizer(x))
    torch.manual_seed(1)
    assert torch.equal(first, quantizer(x))
    assert torch.equal(quantizer.eval()(x), IdentitySign()(x))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_sign_of_integers_is_refused_with_the_way_out(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match="ByteInput"):
        SteSign()(torch.zeros(3, dtype=dtype))


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # vmap has no in-place comparison
@pytest.mark.parametrize("name", SIGNS)
def test_per_sample_gradients_work(name: str) -> None:
    quantizer = made(name).eval()
    x = torch.randn(4, 3)
    ours = torch.func.vmap(torch.func.grad(lambda row: (quantizer(row) * row.detach()).sum()))(x)
    torch.testing.assert_close(ours, gradient(quantizer, x, x))


@pytest.mark.parametrize("name", [*SIGNS, "byte_input"])
def test_value_is_every_code_of_the_encoding_times_a_scale(name: str) -> None:
    x = torch.arange(256.0) if name == "byte_input" else torch.randn(257)
    numbers, scale = made(name).integers(x)
    assert scale.shape == ()
    assert torch.equal(numbers * scale, made(name).value(x))
    bits = int(made(name).encoding.removeprefix("b"))
    assert set(numbers.tolist()) == set(range(1 - 2**bits, 2**bits, 2))


@pytest.mark.parametrize("name", QUANTIZERS)
def test_what_a_quantizer_gives_is_what_it_stores(name: str) -> None:
    quantizer = made(name).eval()
    x = torch.arange(256.0).reshape(8, 32) if name == "byte_input" else torch.randn(8, 32)
    if hasattr(quantizer, "stage"):
        quantizer.stage = 2
    if hasattr(quantizer, "fit"):
        quantizer.fit(x)
    if name == "adabin_weight":  # whose pairs are a grid only where they lie around 0
        x = x[:, :1] * torch.tensor([1.0, -1.0])
    numbers, scale = quantizer.integers(x)
    stored = Encoding.parse(quantizer.encoding)
    assert set(numbers.unique().tolist()) <= set(range(stored.low, stored.high + 1, stored.step))
    assert torch.equal(numbers * scale, quantizer.value(x))
    assert torch.equal(quantizer(x), quantizer.value(x))
    assert quantizer.bits == stored.bits or name == "log_quant"  # whose codes are exponents


@pytest.mark.parametrize("name", QUANTIZERS)
@pytest.mark.parametrize("training", [True, False])
def test_gradient_has_the_shape_and_the_type_of_the_input_and_is_linear_in_what_arrives(
    name: str, training: bool
) -> None:
    x = torch.linspace(0.01, 0.99, 32).reshape(4, 8)
    quantizer = made(name).train(training)
    once = gradient(quantizer, x)
    assert once.shape == x.shape
    assert once.dtype == x.dtype
    assert once.isfinite().all()
    twice = gradient(quantizer, x, torch.full((4, 8), 2.0))
    torch.testing.assert_close(twice, 2 * once)


def test_two_quantizers_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from binarynet.nn.quantizers.quantizer import Quantizer\nclass Other(Quantizer):\n    name = 'ste_sign'\n"
    (tmp_path / "zz_other.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(quantizers, "__path__", [*quantizers.__path__, str(tmp_path)])
    with pytest.raises(InputError, match="two quantizers are called 'ste_sign'"):
        quantizers._found()


def test_its_value_may_be_changed_in_place() -> None:
    x = torch.tensor([0.5, -3.0, -0.25], requires_grad=True)
    y = SteSign()(x).mul_(3).relu_()
    y.sum().backward()
    assert y.tolist() == [3, 0, 0]
    assert x.grad is not None
    assert x.grad.tolist() == [3, 0, 0]


@pytest.mark.parametrize("parent", [SteSign, IdentitySign, signs.ApproxSign])
@pytest.mark.parametrize("size", [8, 1 << 15])
def test_a_pseudo_gradient_of_ones_own_is_the_one_that_is_taken(parent: type[Quantizer], size: int) -> None:
    def quarter(x: Tensor) -> Tensor:
        return torch.full_like(x, 0.25)

    child = type("Child", (parent,), {"name": "child", "pseudo_gradient": lambda self, x: quarter(x)})
    replaced = SteSign()
    replaced.pseudo_gradient = quarter  # type: ignore[method-assign]
    for quantizer in (child(), replaced):
        assert gradient(quantizer, torch.randn(size)).unique().tolist() == [0.25]


def test_sigmoid_sign_is_drawn_with_a_sigmoid_and_its_adjustment_can_be_left_out() -> None:
    torch.manual_seed(5)
    quantizer, x = SigmoidSign(), torch.tensor([-40.0, -1.0, 0.0, 2.0, 40.0])
    draws = quantizer(x.expand(40_000, 5)).mean(0)
    torch.testing.assert_close(draws, torch.tanh(x / 2), rtol=0, atol=0.025)  # five standard deviations
    assert draws[0] == -1
    assert draws[4] == 1
    assert quantizer.eval()(x).tolist() == [-1, -1, 1, 1, 1]
    assert gradient(SigmoidSign(adjusted=False), x).tolist() == [1] * 5
    with pytest.raises(InputError, match="adjusted = 'no'"):
        SigmoidSign(adjusted="no")  # type: ignore[arg-type]
