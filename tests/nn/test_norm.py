"""Shift-based normalisation: values, statistics and gradients against the formulas of the reference code."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn.ap2 import ap2
from binarynet.nn.papers.shift_norm import ShiftBatchNorm1d, ShiftBatchNorm2d


def made(features: int = 5, **kwargs) -> ShiftBatchNorm1d:
    norm = ShiftBatchNorm1d(features, **kwargs)
    nn.init.uniform_(norm.weight, -3, 3)
    nn.init.normal_(norm.bias)
    return norm


def by_the_formulas(x: Tensor, norm: ShiftBatchNorm1d, g: Tensor) -> dict[str, Tensor]:
    """The rule written out for x (n, features): values, batch statistics, gradients for dL/dy = g."""
    mean = x.sum(0) / len(x)
    c = x - mean
    inv = ((ap2(c, norm.rounding) * c).sum(0) / len(x) + norm.eps) ** -0.5
    gamma, shift = ap2(norm.weight.detach(), norm.rounding), ap2(inv, norm.rounding)
    a = ap2(c, norm.rounding)
    dx = gamma * shift * (g - g.mean(0) - a * shift**2 * (a * g).mean(0))
    return {
        "y": gamma * (c * shift) + norm.bias.detach(),
        "mean": mean,
        "inv": inv,
        "dx": dx,
        "dweight": (g * ap2(c * shift, norm.rounding)).sum(0),
        "dbias": g.sum(0),
    }


@pytest.mark.parametrize("rounding", ["nearest", "floor"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_training_values_statistics_and_gradients_are_those_of_the_formulas(scale, rounding):
    norm = made(rounding=rounding)
    x = (scale * torch.randn(64, 5) + 3 * scale).requires_grad_()
    g = torch.randn(64, 5)
    expected = by_the_formulas(x.detach(), norm, g)
    y = norm(x)
    y.backward(g)
    torch.testing.assert_close(y.detach(), expected["y"])
    torch.testing.assert_close(x.grad, expected["dx"], rtol=1e-4, atol=1e-5 / scale)
    torch.testing.assert_close(norm.weight.grad, expected["dweight"])
    torch.testing.assert_close(norm.bias.grad, expected["dbias"])
    torch.testing.assert_close(norm.running_mean, 0.125 * expected["mean"])
    torch.testing.assert_close(norm.running_inv_std, 0.875 + 0.125 * expected["inv"])


def test_the_running_inverse_deviation_is_not_rounded():
    norm = made(momentum=1.0)
    norm(torch.randn(32, 5) * 0.7)
    assert not torch.equal(norm.running_inv_std, ap2(norm.running_inv_std))


def test_without_rounding_the_gradient_would_be_that_of_batch_norm():
    """Where all deviations are powers of two and so is their norm, the surrogate is the true derivative."""
    norm = ShiftBatchNorm1d(1, eps=1e-12)
    nn.init.constant_(norm.weight, 2.0)
    x = torch.tensor([[4.0], [-4.0], [4.0], [-4.0]], requires_grad=True)
    plain = nn.BatchNorm1d(1, eps=1e-12)
    nn.init.constant_(plain.weight, 2.0)
    same = x.detach().clone().requires_grad_()
    g = torch.tensor([[1.0], [0.5], [-2.0], [0.25]])
    norm(x).backward(g)
    plain(same).backward(g)
    torch.testing.assert_close(x.grad, same.grad)
    torch.testing.assert_close(norm.weight.grad, plain.weight.grad)


@pytest.mark.parametrize("rounding", ["nearest", "floor"])
def test_evaluation_uses_the_running_statistics_and_two_shifts(rounding):
    norm = made(rounding=rounding).eval()
    norm.running_mean.copy_(torch.randn(5))
    norm.running_inv_std.copy_(torch.rand(5) + 0.1)
    x = torch.randn(7, 5)
    shift = ap2(norm.running_inv_std, rounding)
    expected = ap2(norm.weight, rounding) * ((x - norm.running_mean) * shift) + norm.bias
    assert torch.equal(norm(x), expected)


def test_evaluation_is_the_affine_function_with_a_power_of_two_as_scale():
    norm = made().eval()
    norm.running_mean.normal_()
    norm.running_inv_std.uniform_(0.1, 5)
    scale, offset = norm.affine()
    assert torch.equal(scale, ap2(scale))
    x = torch.randn(9, 5)
    torch.testing.assert_close(norm(x).double(), x.double() * scale + offset, rtol=1e-6, atol=1e-6)


def test_a_gamma_of_zero_leaves_the_offset():
    norm = made()
    with torch.no_grad():
        norm.weight.zero_()
    assert torch.equal(norm(torch.randn(8, 5)), norm.bias.expand(8, 5))


def test_evaluation_passes_gradients_straight_through_the_roundings():
    norm = made().eval()
    x = torch.randn(6, 5, requires_grad=True)
    norm(x).sum().backward()
    shift = ap2(norm.running_inv_std)
    torch.testing.assert_close(x.grad, (ap2(norm.weight) * shift).detach().expand(6, 5))
    torch.testing.assert_close(norm.weight.grad, ((x.detach() - norm.running_mean) * shift).sum(0))


def test_images_and_sequences_are_normalised_over_all_but_the_channels():
    x = torch.randn(4, 3, 6, 5)
    rows = x.permute(0, 2, 3, 1).reshape(-1, 3)
    flat, images, sequences = ShiftBatchNorm1d(3), ShiftBatchNorm2d(3), ShiftBatchNorm1d(3)
    expected = flat(rows).reshape(4, 6, 5, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(images(x), expected)
    torch.testing.assert_close(sequences(x.flatten(2)), expected.flatten(2))
    torch.testing.assert_close(images.running_inv_std, flat.running_inv_std)


def test_gradients_of_images_sum_over_all_pixels():
    x = torch.randn(4, 3, 6, 5)
    g = torch.randn(4, 3, 6, 5)
    images, flat = ShiftBatchNorm2d(3), ShiftBatchNorm1d(3)
    a, b = x.clone().requires_grad_(), x.permute(0, 2, 3, 1).reshape(-1, 3).clone().requires_grad_()
    images(a).backward(g)
    flat(b).backward(g.permute(0, 2, 3, 1).reshape(-1, 3))
    torch.testing.assert_close(a.grad.permute(0, 2, 3, 1).reshape(-1, 3), b.grad)
    torch.testing.assert_close(images.weight.grad, flat.weight.grad)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_comes_back_as_it_came_and_is_normalised_in_float32(dtype):
    norm, same = made(), None
    same = copy.deepcopy(norm)
    x = (100 * torch.randn(32, 5)).to(dtype)
    y = norm(x)
    assert y.dtype == dtype
    assert torch.equal(y, same(x.float()).to(dtype))
    assert norm.running_mean.dtype == torch.float32


def test_the_state_holds_parameters_and_statistics_and_comes_back():
    norm, other = made(), made()
    norm(torch.randn(10, 5))
    assert list(norm.state_dict()) == ["weight", "bias", "running_mean", "running_inv_std"]
    other.load_state_dict(norm.state_dict())
    x = torch.randn(3, 5)
    assert torch.equal(norm.eval()(x), other.eval()(x))


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (ShiftBatchNorm1d(3), (2, 4)),
        (ShiftBatchNorm1d(3), (2, 3, 4, 4)),
        (ShiftBatchNorm2d(3), (2, 3)),
        (ShiftBatchNorm1d(3), (3,)),
    ],
)
def test_another_shape_is_refused(norm, shape):
    with pytest.raises(InputError, match=r"got an input of shape"):
        norm(torch.zeros(shape))


def test_one_value_a_channel_has_no_deviation_in_training():
    norm = made()
    with pytest.raises(InputError, match="one value per channel"):
        norm(torch.randn(1, 5))
    assert norm.eval()(torch.randn(1, 5)).isfinite().all()


def test_an_unknown_rounding_is_refused_at_once():
    with pytest.raises(InputError, match="rounding='ceil'"):
        ShiftBatchNorm2d(3, rounding="ceil")
