"""XNOR-Net's scaled sign: the scale that fits best, three gradients against what they are derived from; the K map."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn import BinaryConv2d, BinaryLinear, SteSign, latent_weights
from binarynet.nn.papers.k_map import KMap
from binarynet.nn.quantizers import ScaledSign

SHAPES = [(3, 4), (2, 3, 3, 5), (4, 2, 3)]


def gradient(quantizer: ScaledSign, weight: Tensor, upstream: Tensor) -> Tensor:
    leaf = weight.detach().clone().requires_grad_()
    quantizer(leaf).backward(upstream)
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("shape", SHAPES)
def test_every_filter_is_its_signs_times_its_mean_magnitude(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape)
    q = ScaledSign()(weight)
    for filter_, quantized in zip(weight, q, strict=True):
        alpha = filter_.abs().sum() / filter_.numel()
        torch.testing.assert_close(quantized, torch.where(filter_ >= 0, alpha, -alpha))


def test_no_other_scale_comes_nearer_to_the_weights() -> None:
    weight = torch.randn(5, 40, dtype=torch.float64)
    numbers, alpha = ScaledSign().integers(weight)
    best = (weight - alpha * numbers).square().sum(1)
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert ((weight - factor * alpha * numbers).square().sum(1) > best).all()


def test_integers_times_scale_are_the_value_and_zero_counts_positive() -> None:
    weight = torch.tensor([[0.0, -0.0, -2.0], [0.5, -0.25, 0.0]])
    numbers, scale = ScaledSign().integers(weight)
    assert numbers.tolist() == [[1, 1, -1], [1, -1, 1]]
    assert scale.shape == (2, 1)
    assert torch.equal(numbers * scale, ScaledSign().value(weight))


@pytest.mark.parametrize("shape", SHAPES)
def test_exact_gradient_is_autograd_through_the_mean_and_a_clipped_sign(shape: tuple[int, ...]) -> None:
    weight = (1.5 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    upstream = torch.randn(shape, dtype=torch.float64)
    alpha = weight.abs().mean(tuple(range(1, weight.ndim)), keepdim=True)
    (alpha * SteSign()(weight)).backward(upstream)
    torch.testing.assert_close(gradient(ScaledSign(), weight, upstream), weight.grad)


def test_exact_gradient_at_the_border_of_the_window() -> None:
    one = torch.ones((), dtype=torch.float64)
    beyond = torch.nextafter(one, 2 * one)
    weight = torch.stack([one, -one, beyond, -beyond]).unsqueeze(0)
    upstream = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    # 1/4 of the sum of g sign(W) = 2 times the own sign, and alpha g only inside
    ours = gradient(ScaledSign(), weight, upstream)
    torch.testing.assert_close(ours, torch.tensor([[0.5 + 1, -0.5, 0.5, -0.5]], dtype=torch.float64))


def test_a_weight_of_zero_takes_its_share_through_alpha_as_a_positive_one() -> None:
    ours = gradient(ScaledSign(), torch.tensor([[0.0, -1.0]]), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(ours, torch.tensor([[-0.5, 0.5 + 0.5]]))


@pytest.mark.parametrize("shape", SHAPES)
def test_paper_and_released_gradient_are_their_formulas(shape: tuple[int, ...]) -> None:
    weight, upstream = 1.5 * torch.randn(shape), torch.randn(shape)
    n, channels = weight[0].numel(), shape[1]
    alpha = weight.abs().flatten(1).mean(1).reshape(-1, *[1] * (weight.ndim - 1))
    inside = (weight.abs() <= 1).float()
    paper = upstream * (1 / n + alpha * inside)
    torch.testing.assert_close(gradient(ScaledSign("paper"), weight, upstream), paper)
    torch.testing.assert_close(gradient(ScaledSign("released"), weight, upstream), paper * (1 - 1 / channels) * n)


def test_released_window_leaves_out_its_border() -> None:
    ours = gradient(ScaledSign("released"), torch.tensor([[1.0, -1.0]]), torch.ones(1, 2))
    torch.testing.assert_close(ours, torch.full((1, 2), (1 / 2) * (1 - 1 / 2) * 2))


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(InputError, match="exact, paper, released"):
        ScaledSign("best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"filters \(out, in"):
        ScaledSign()(torch.ones(3))
    with pytest.raises(InputError, match="which is 0 for a layer with one"):
        gradient(ScaledSign("released"), torch.ones(4, 1, 3, 3), torch.ones(4, 1, 3, 3))


def test_layers_find_their_scaled_weights() -> None:
    layer = BinaryConv2d(2, 3, 3, weight_quantizer=ScaledSign())
    torch.testing.assert_close(layer.binary_weight, layer._quantized_weight())
    assert [name for name, _, _ in latent_weights(nn.Sequential(layer))] == ["0"]


def hidden_conv(**window: object) -> BinaryConv2d:
    return BinaryConv2d(2, 3, bias=False, input_quantizer="ste_sign", weight_quantizer=ScaledSign(), **window)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "window",
    [
        {"kernel_size": 3},
        {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 1)},
        {"kernel_size": 3, "dilation": 2, "padding": 2},
        {"kernel_size": 5, "padding": "same"},
    ],
)
def test_k_is_the_mean_magnitude_under_the_window(window: dict[str, object]) -> None:
    layer = hidden_conv(**window)
    x = torch.randn(2, 2, 7, 8)
    k = KMap(layer).scales(x)
    # A convolution of |x| with all-ones weights, divided by the number of its products.
    box = nn.Conv2d(2, 1, bias=False, **window)  # type: ignore[arg-type]
    nn.init.constant_(box.weight, 1 / box.weight.numel())
    torch.testing.assert_close(k, box(x.abs()))
    torch.testing.assert_close(KMap(layer)(x), layer(x) * k)


def test_k_of_a_linear_layer_is_the_mean_magnitude_of_the_sample() -> None:
    layer = BinaryLinear(5, 3, bias=False, input_quantizer="ste_sign", weight_quantizer=ScaledSign())
    x = torch.randn(4, 5)
    torch.testing.assert_close(KMap(layer)(x), layer(x) * x.abs().sum(1, keepdim=True) / 5)


def test_k_restores_the_size_of_a_constant_input() -> None:
    """For |x| = c everywhere the approximation of the inputs is exact: the layer is linear in c."""
    layer = KMap(hidden_conv(kernel_size=3))
    signs = SteSign()(torch.randn(1, 2, 6, 6))
    torch.testing.assert_close(layer(3.7 * signs), F.conv2d(3.7 * signs, layer.layer.binary_weight))


def test_gradient_goes_through_k_too() -> None:
    layer = KMap(hidden_conv(kernel_size=3))
    x = torch.tensor(5.0).expand(1, 2, 3, 3).clone().requires_grad_()  # outside the sign's window
    layer(x).sum().backward()
    weight = layer.layer.binary_weight
    assert x.grad is not None
    torch.testing.assert_close(x.grad, (weight.sum() / 18).expand(1, 2, 3, 3))


def test_k_map_adds_nothing_to_checkpoints_but_the_weight() -> None:
    assert set(KMap(hidden_conv(kernel_size=3)).state_dict()) == {"layer.weight"}


@pytest.mark.parametrize(
    "layer",
    [
        BinaryLinear(2, 2, bias=False),
        BinaryLinear(2, 2, input_quantizer="ste_sign"),
        BinaryConv2d(2, 2, 3, bias=False, groups=2, input_quantizer="ste_sign"),
    ],
)
def test_k_map_refuses_layers_that_it_would_get_wrong(layer: BinaryLinear | BinaryConv2d) -> None:
    with pytest.raises(InputError, match="input_quantizer"):
        KMap(layer)
