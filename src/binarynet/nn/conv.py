"""Binary convolutions. The padding value is part of the layer, since ±1 has no zero."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn.fused import products
from binarynet.nn.fused.packed_input import Input
from binarynet.nn.layer import BinaryLayer
from binarynet.nn.quantizers import Quantizer

PAD_VALUES = (0.0, 1.0, -1.0)


class _BinaryConv(BinaryLayer):
    """Padding and product of `BinaryConv1d` and `BinaryConv2d`."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    padding: str | tuple[int, ...]
    pad_value: float

    def _set_pad_value(self, pad_value: float) -> None:
        if pad_value not in PAD_VALUES:
            raise InputError(
                f"{type(self).__name__}: pad_value={pad_value!r}; choose 0 (as the papers pad), 1 or -1. "
                "No other value can be stored next to ±1 activations."
            )
        self.pad_value = float(pad_value)

    @property
    def pad_widths(self) -> tuple[tuple[int, int], ...]:
        """(before, after) for each spatial dimension in order, with "same" and "valid" worked out.

        An odd total, as "same" needs for an even kernel, has its extra element after, like torch.
        """
        if isinstance(self.padding, str):
            totals = [
                dilation * (size - 1) if self.padding == "same" else 0
                for size, dilation in zip(self.kernel_size, self.dilation, strict=True)
            ]
            return tuple((total // 2, total - total // 2) for total in totals)
        return tuple((width, width) for width in self.padding)

    def _padded(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The quantized input, padded here if the convolution cannot, and the zero padding left to it."""
        widths = self.pad_widths
        if self.pad_value == 0 and all(before == after for before, after in widths):
            return x, tuple(before for before, _ in widths)
        # F.pad counts from the last dimension backwards.
        flat = [width for pair in reversed(widths) for width in pair]
        return F.pad(x, flat, value=self.pad_value), (0,) * len(widths)

    def forward(self, x: Tensor) -> Tensor:
        x, padding = self._padded(self._quantized_input(x))
        window = self.stride, padding, self.dilation
        return products.convolution(x, self.weight, self.weight_quantizer, self.bias, window, self.groups)

    def room_before(self, shape: torch.Size) -> Input | None:
        widths = self.pad_widths
        padded_here = self.pad_value != 0 or any(before != after for before, after in widths)
        if self.input_quantizer is not None or self.groups != 1 or padded_here or len(widths) != 2:
            return None
        window = self.stride, tuple(before for before, _ in widths), self.dilation
        return products.room_before(shape, self.weight, self.weight_quantizer, window)

    def pools_too(self, shape: torch.Size) -> bool:
        window = self.stride, tuple(before for before, _ in self.pad_widths), self.dilation
        return self.bias is None and products.pools_too(shape, self.weight, window)

    def of_signs(self, x: Tensor, signs: Input, pooled: bool = False) -> Tensor:
        window = self.stride, tuple(before for before, _ in self.pad_widths), self.dilation
        return products.convolution(x, self.weight, self.weight_quantizer, self.bias, window, 1, signs, pooled)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pad_value={self.pad_value:g}"


def _require_zeros_mode(layer: str, padding_mode: str) -> None:
    if padding_mode != "zeros":
        raise InputError(
            f"{layer}: padding_mode={padding_mode!r} is not supported, as no engine pads that way. "
            "Leave padding_mode at 'zeros' and choose the padded value with pad_value=0, 1 or -1."
        )


class BinaryConv2d(_BinaryConv, nn.Conv2d):
    """2-D convolution of the quantized input with the quantized weight, arguments as in `torch.nn.Conv2d`.

    Shapes: x (n, in_channels, height, width) or without n; `weight` (out_channels, in_channels / groups, kh,
    kw). `pad_value` (0, 1 or -1) is what the *quantized* input is padded with. 0, the papers' choice, makes
    the border a third value beside ±1; the integer graph reproduces it exactly. Behind a `ByteInput`, 0
    stands for grey 127.5.

    `InputError` for another `pad_value`, and for a `padding_mode` other than "zeros".
    Reference: Courbariaux et al., arXiv 1602.02830; padding with +1: larq's `pad_values`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        input_quantizer: str | Quantizer | None = None,
        weight_quantizer: str | Quantizer | None = "ste_sign",
        pad_value: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _require_zeros_mode("BinaryConv2d", padding_mode)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            device=device,
            dtype=dtype,
        )
        self._set_quantizers(input_quantizer, weight_quantizer)
        self._set_pad_value(pad_value)


class BinaryConv1d(_BinaryConv, nn.Conv1d):
    """1-D convolution of the quantized input with the quantized weight, arguments as in `torch.nn.Conv1d`.

    Shapes: x (n, in_channels, length) or without n; `weight` (out_channels, in_channels / groups,
    kernel_size). `pad_value` and errors as in `BinaryConv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: str | int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        input_quantizer: str | Quantizer | None = None,
        weight_quantizer: str | Quantizer | None = "ste_sign",
        pad_value: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _require_zeros_mode("BinaryConv1d", padding_mode)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            device=device,
            dtype=dtype,
        )
        self._set_quantizers(input_quantizer, weight_quantizer)
        self._set_pad_value(pad_value)


class BinaryConvTranspose2d(BinaryLayer, nn.ConvTranspose2d):
    """2-D transposed convolution with quantized operands, arguments as in `torch.nn.ConvTranspose2d`.

    It lowers to a `BinaryConv2d` of the image with zeros between its pixels, in integers: ±1 and 0 take two bits, and
    most of the products are with 0, so upsampling before a `BinaryConv2d` runs faster.

    Shapes: x (n, in_channels, height, width) or without n; `weight` (in_channels, out_channels / groups, kh,
    kw).
    `InputError` for a `padding_mode` other than "zeros".
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
        padding_mode: str = "zeros",
        *,
        input_quantizer: str | Quantizer | None = None,
        weight_quantizer: str | Quantizer | None = "ste_sign",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _require_zeros_mode("BinaryConvTranspose2d", padding_mode)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            device=device,
            dtype=dtype,
        )
        self._set_quantizers(input_quantizer, weight_quantizer)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        x = self._quantized_input(x)
        assert isinstance(self.padding, tuple)  # a transposed convolution takes no "same"
        stride, padding, kernel, dilation = map(list, (self.stride, self.padding, self.kernel_size, self.dilation))
        output_padding = self._output_padding(x, output_size, stride, padding, kernel, 2, dilation)
        weight = self._quantized_weight()
        return F.conv_transpose2d(x, weight, self.bias, stride, padding, output_padding, self.groups, dilation)
