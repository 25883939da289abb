"""The binary fully connected layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from binarynet.nn.fused import products
from binarynet.nn.fused.packed_input import Input
from binarynet.nn.layer import BinaryLayer
from binarynet.nn.quantizers import Quantizer


class BinaryLinear(BinaryLayer, nn.Linear):
    """y = input_quantizer(x) @ weight_quantizer(weight).T + bias, arguments as in `torch.nn.Linear`.

    Shapes: x (..., in_features) -> y (..., out_features); `weight` (out_features, in_features).
    Quantizers are given by name, as an object, or None for "leave as is".

    Reference: Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830, algorithm 1.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        input_quantizer: str | Quantizer | None = None,
        weight_quantizer: str | Quantizer | None = "ste_sign",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self._set_quantizers(input_quantizer, weight_quantizer)

    def forward(self, x: Tensor) -> Tensor:
        return products.linear(self._quantized_input(x), self.weight, self.weight_quantizer, self.bias)

    def room_before(self, shape: torch.Size) -> Input | None:
        if self.input_quantizer is not None:
            return None
        return products.room_before(shape, self.weight, self.weight_quantizer, products.ONE_BY_ONE)

    def of_signs(self, x: Tensor, signs: Input, pooled: bool = False) -> Tensor:
        return products.linear(x, self.weight, self.weight_quantizer, self.bias, signs)
