"""What the quantizers share whose values are whole numbers times a scale that depends on the tensor."""

from __future__ import annotations

from torch import Tensor

from binarynet.nn.quantizers.quantizer import Quantizer


class GridQuantizer(Quantizer):
    """A quantizer whose values are `integers(x)`, multiplied out: a subclass defines that and the gradient."""

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError(f"{type(self).__name__} defines no integers.")

    def value(self, x: Tensor) -> Tensor:
        numbers, scale = self.integers(x)
        return numbers * scale
