"""The magnitude-aware weights of Bi-Real Net: value, scale and gradient at and around the window's border."""

from __future__ import annotations

from math import nextafter

import pytest
import torch
from torch import nn

from binarynet.nn import BinaryConv2d, BinaryLinear
from binarynet.nn.quantizers import MagnitudeAwareSign


@pytest.mark.parametrize("shape", [(3, 7), (4, 2, 3, 3), (2, 1)])
def test_value_is_the_sign_times_the_mean_magnitude_of_the_filter(shape):
    w = torch.randn(shape)
    quantizer = MagnitudeAwareSign()
    numbers, scale = quantizer.integers(w)
    assert set(numbers.unique().tolist()) <= {-1.0, 1.0}
    assert scale.shape == (shape[0], *(1,) * (len(shape) - 1))
    for filter_, value in zip(w, quantizer(w), strict=True):
        alpha = filter_.abs().mean()
        torch.testing.assert_close(value, torch.where(filter_ >= 0, alpha, -alpha))
    assert torch.equal(quantizer.value(w), numbers * scale)


def test_gradient_is_the_magnitude_inside_the_window_and_on_its_border():
    w = torch.tensor([[0.0, 1.0, -1.0, 0.5], [nextafter(1, 2), -1.5, 0.25, -0.25]], dtype=torch.float64)
    w.requires_grad_()
    g = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], dtype=torch.float64)
    MagnitudeAwareSign()(w).backward(g)
    first, second = w.detach().abs().mean(1).tolist()
    assert w.grad is not None
    assert w.grad.tolist() == [[first, 2 * first, 3 * first, 4 * first], [0, 0, 7 * second, 8 * second]]


def test_a_layer_with_a_norm_behind_it_answers_as_with_plain_signs():
    torch.manual_seed(0)
    x = torch.randn(16, 3, 6, 6)
    scaled = BinaryConv2d(3, 4, 3, bias=False, input_quantizer="approx_sign", weight_quantizer=MagnitudeAwareSign())
    plain = BinaryConv2d(3, 4, 3, bias=False, input_quantizer="approx_sign")
    plain.load_state_dict(scaled.state_dict())
    norm = nn.BatchNorm2d(4, eps=1e-12, affine=False)
    torch.testing.assert_close(norm(scaled(x)), norm(plain(x)), rtol=1e-4, atol=1e-4)


def test_a_filter_of_zeros_gives_zeros():
    layer = BinaryLinear(4, 2, bias=False, weight_quantizer=MagnitudeAwareSign())
    nn.init.zeros_(layer.weight)
    assert torch.equal(layer(torch.ones(1, 4)), torch.zeros(1, 2))
