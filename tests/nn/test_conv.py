"""Binary convolutions against torch's own on operands that were quantized and padded by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn import BinaryConv1d, BinaryConv2d, BinaryConvTranspose2d, ByteInput

PADS = [0.0, 1.0, -1.0]


def signs(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0)


def by_hand(layer: BinaryConv2d | BinaryConv1d, x: Tensor, widths: tuple[tuple[int, int], ...]) -> Tensor:
    """Pad the signs of x explicitly, then convolve without padding."""
    flat = [width for pair in reversed(widths) for width in pair]
    padded = F.pad(signs(x), flat, value=layer.pad_value)
    convolve = F.conv2d if isinstance(layer, BinaryConv2d) else F.conv1d
    return convolve(padded, layer.binary_weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)


@pytest.mark.parametrize("pad_value", PADS)
@pytest.mark.parametrize(
    ("settings", "widths"),
    [
        ({"kernel_size": 1}, ((0, 0), (0, 0))),
        ({"kernel_size": 1, "padding": 1}, ((1, 1), (1, 1))),
        ({"kernel_size": 3, "padding": "valid"}, ((0, 0), (0, 0))),
        ({"kernel_size": 3, "padding": "same"}, ((1, 1), (1, 1))),
        ({"kernel_size": 2, "padding": "same"}, ((0, 1), (0, 1))),
        ({"kernel_size": (4, 3), "padding": "same"}, ((1, 2), (1, 1))),
        ({"kernel_size": 2, "padding": "same", "dilation": (3, 2)}, ((1, 2), (1, 1))),
        ({"kernel_size": 3, "padding": (2, 0), "stride": (2, 1)}, ((2, 2), (0, 0))),
        ({"kernel_size": 3, "padding": 4, "dilation": 2, "stride": 3}, ((4, 4), (4, 4))),
        ({"kernel_size": 3, "padding": 1, "groups": 2}, ((1, 1), (1, 1))),
        ({"kernel_size": 3, "padding": 1, "groups": 4}, ((1, 1), (1, 1))),
    ],
    ids=str,
)
def test_conv2d_equals_explicit_padding(settings: dict, widths, pad_value: float) -> None:
    layer = BinaryConv2d(4, 8, **settings, input_quantizer="ste_sign", pad_value=pad_value)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 4, 9, 7)
    assert layer.pad_widths == widths
    torch.testing.assert_close(layer(x), by_hand(layer, x, widths), rtol=0, atol=1e-5)  # only the bias is not integer


@pytest.mark.parametrize("pad_value", PADS)
@pytest.mark.parametrize(
    ("settings", "widths"),
    [
        ({"kernel_size": 1}, ((0, 0),)),
        ({"kernel_size": 4, "padding": "same"}, ((1, 2),)),
        ({"kernel_size": 3, "padding": 2, "dilation": 2, "stride": 2, "groups": 4}, ((2, 2),)),
    ],
    ids=str,
)
def test_conv1d_equals_explicit_padding(settings: dict, widths, pad_value: float) -> None:
    layer = BinaryConv1d(4, 8, **settings, bias=False, input_quantizer="ste_sign", pad_value=pad_value)
    x = torch.randn(3, 4, 11)
    assert layer.pad_widths == widths
    assert torch.equal(layer(x), by_hand(layer, x, widths))


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("pad_value", PADS)
def test_same_keeps_the_size(kernel_size: int, dilation: int, pad_value: float) -> None:
    layer = BinaryConv2d(1, 1, kernel_size, padding="same", dilation=dilation, pad_value=pad_value)
    assert layer(torch.randn(1, 1, 1, 6)).shape == (1, 1, 1, 6)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_with_an_even_kernel_puts_the_extra_element_where_torch_does() -> None:
    layer = BinaryConv2d(2, 3, (2, 4), padding="same", input_quantizer="ste_sign", bias=False)
    x = torch.randn(1, 2, 5, 5)
    assert torch.equal(layer(x), F.conv2d(signs(x), layer.binary_weight, padding="same"))


@pytest.mark.parametrize("pad_value", PADS)
def test_padding_is_added_after_the_quantizer_and_gets_no_gradient(pad_value: float) -> None:
    layer = BinaryConv2d(1, 1, 3, padding=1, bias=False, input_quantizer="ste_sign", pad_value=pad_value)
    nn.init.constant_(layer.weight, 1.0)
    x = torch.full((1, 1, 1, 1), 0.5, requires_grad=True)
    y = layer(x)
    assert y.item() == 1 + 8 * pad_value
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 1


def test_padding_of_bytes_is_in_units_of_the_quantized_input() -> None:
    layer = BinaryConv2d(1, 1, 3, padding=1, bias=False, input_quantizer=ByteInput(), pad_value=-1)
    nn.init.constant_(layer.weight, 1.0)
    assert layer(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)).item() == 255 - 8


def test_depthwise_conv_multiplies_each_channel_by_its_own_kernel() -> None:
    layer = BinaryConv2d(3, 3, 2, groups=3, bias=False, input_quantizer="ste_sign")
    x = torch.randn(1, 3, 4, 4)
    for channel in range(3):
        alone = F.conv2d(signs(x[:, channel, None]), layer.binary_weight[channel, None])
        assert torch.equal(layer(x)[:, channel, None], alone)


def test_unbatched_and_empty_inputs() -> None:
    layer = BinaryConv2d(2, 3, 3, padding=1, pad_value=1.0, input_quantizer="ste_sign")
    x = torch.randn(1, 2, 4, 5)
    assert torch.equal(layer(x[0]), layer(x)[0])
    assert layer(x[:0]).shape == (0, 3, 4, 5)


@pytest.mark.parametrize("layer", [BinaryConv1d, BinaryConv2d])
@pytest.mark.parametrize("pad_value", [0.5, 2, -2, float("nan"), "same"])
def test_pad_value_that_is_not_an_operand_is_refused(layer: type[BinaryConv2d], pad_value: float) -> None:
    with pytest.raises(InputError, match=f"{layer.__name__}: pad_value"):
        layer(1, 1, 3, pad_value=pad_value)


@pytest.mark.parametrize("layer", [BinaryConv1d, BinaryConv2d, BinaryConvTranspose2d])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_mode_other_than_zeros_is_refused_with_the_way_out(layer: type[BinaryConv2d], mode: str) -> None:
    with pytest.raises(InputError, match=f"{layer.__name__}: padding_mode='{mode}'.*pad_value"):
        layer(1, 1, 3, padding_mode=mode)


@pytest.mark.parametrize(
    ("settings", "output_size"),
    [({}, None), ({"stride": 2}, None), ({"stride": 3, "padding": 1, "groups": 2, "dilation": 2}, [16, 17])],
    ids=str,
)
def test_transposed_conv_equals_torch_on_signs(settings: dict, output_size: list[int] | None) -> None:
    layer = BinaryConvTranspose2d(4, 6, 3, **settings, bias=False, input_quantizer="ste_sign")
    plain = nn.ConvTranspose2d(4, 6, 3, **settings, bias=False)
    plain.load_state_dict({"weight": layer.binary_weight})
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(layer(x, output_size), plain(signs(x), output_size))
