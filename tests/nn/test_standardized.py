"""IR-Net's and ReCU's weights, and weights of eight bits: against their formulas written out with autograd."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers import AbsMaxWeight, LibraSign, Quantizer, RecuSign


def standard(w: Tensor) -> Tensor:
    flat = w.flatten(1)
    ŵ = (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True, unbiased=False)
    return ŵ.reshape(w.shape)


def gradient(of: Tensor, to: Tensor, arriving: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(of, to, arriving)
    return found


def ours(quantizer: Quantizer, w: Tensor, arriving: Tensor) -> Tensor:
    leaf = w.clone().requires_grad_()
    return gradient(quantizer(leaf), leaf, arriving)


@pytest.mark.parametrize("shape", [(3, 40), (4, 5, 3, 3)])
@pytest.mark.parametrize("t", [0.1, 1.0, 10.0])
def test_libra_sign_is_its_formula(shape: tuple[int, ...], t: float) -> None:
    torch.manual_seed(0)
    w, arriving = torch.randn(shape, dtype=torch.float64) + 0.3, torch.randn(shape, dtype=torch.float64)
    seen = standard(w)
    power = 2.0 ** torch.log2(seen.flatten(1).abs().mean(1)).round().reshape(-1, *(1,) * (w.ndim - 1))
    quantizer = LibraSign(t)
    assert torch.equal(quantizer.value(w), power * torch.where(seen >= 0, 1.0, -1.0))
    leaf = w.clone().requires_grad_()
    surrogate = power * max(1 / t, 1) * torch.tanh(t * standard(leaf))
    torch.testing.assert_close(ours(quantizer, w, arriving), gradient(surrogate, leaf, arriving))


@pytest.mark.parametrize("tau", [0.85, 0.99])
def test_recu_sign_is_its_formula(tau: float) -> None:
    torch.manual_seed(1)
    w, arriving = torch.randn(4, 60, dtype=torch.float64) * 2 - 1, torch.randn(4, 60, dtype=torch.float64)
    quantizer = RecuSign(tau)
    seen = standard(w)
    assert torch.equal(quantizer.value(w), torch.where(seen >= 0, 1.0, -1.0).double())
    limit = -seen.abs().mean(1, keepdim=True) * math.log(2 - 2 * tau)
    assert (seen.abs() > limit).any() or tau == 0.99
    leaf = w.clone().requires_grad_()
    clipped = torch.minimum(torch.maximum(standard(leaf), -limit), limit)
    torch.testing.assert_close(ours(quantizer, w, arriving), gradient(clipped, leaf, arriving))


@pytest.mark.parametrize("quantizer", [LibraSign(), RecuSign()], ids=["libra", "recu"])
def test_a_filter_of_equal_weights_is_plus_one_and_has_a_finite_gradient(quantizer: Quantizer) -> None:
    w = torch.full((2, 9), 0.5)
    numbers, _ = quantizer.integers(w)
    assert torch.equal(numbers, torch.ones(2, 9))
    assert ours(quantizer, w, torch.ones(2, 9)).isfinite().all()


def test_eight_bits_reach_127_and_ties_go_to_even() -> None:
    w = torch.tensor([[127.0, -2.5, 1.5, 0.0], [0.0, 0.0, 0.0, 0.0], [-1e-30, 1e-30, 0.0, 5e-31]])
    numbers, scale = AbsMaxWeight().integers(w)
    assert numbers[0].tolist() == [127, -2, 2, 0]
    assert numbers[1].tolist() == [0, 0, 0, 0]
    assert numbers[2, :2].tolist() == [-127, 127]
    assert scale[:2].flatten().tolist() == [1, 1]
    arriving = torch.randn(3, 4)
    assert torch.equal(ours(AbsMaxWeight(), w, arriving), arriving)


@pytest.mark.parametrize(
    "make", [lambda: RecuSign(0.5), lambda: RecuSign(1.0), lambda: LibraSign(0), lambda: AbsMaxWeight(1)]
)
def test_settings_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(InputError):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("quantizer", [LibraSign(), RecuSign(), AbsMaxWeight()])
def test_what_is_no_filter_is_refused(quantizer: Quantizer) -> None:
    with pytest.raises(InputError, match=r"filters \(out, in"):
        quantizer(torch.randn(5))
