"""Weights of eight bits, for the ends of a network."""

from __future__ import annotations

from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers.grid import GridQuantizer


class AbsMaxWeight(GridQuantizer):
    """k-bit weights with a scale for each filter, set by its largest weight.

    Forward: q(w) = s round(w / s), s = max |w| / (2^(k−1) − 1) of the filter (all but the first axis); ties go to
    even. A filter of zeros stays 0.
    Gradient: 1 (straight-through).

    Weights have shape (out, in, ...), else `InputError`. bits: 2 to 8, else `InputError`. Stored as `iK`.
    Reference: the symmetric scheme of Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", arXiv 1712.05877.
    """

    name = "absmax_weight"

    def __init__(self, bits: int = 8) -> None:
        super().__init__()
        if bits not in range(2, 9):
            raise InputError(f"AbsMaxWeight: bits={bits!r}; it takes 2 to 8. One bit is a sign: see SteSign.")
        self.bits, self.encoding = bits, f"i{bits}"

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach()
        if x.ndim < 2:
            raise InputError(f"AbsMaxWeight got a tensor of shape {tuple(x.shape)}; it scales filters (out, in, ...).")
        most = 2 ** (self.bits - 1) - 1
        largest = x.abs().amax(tuple(range(1, x.ndim)), keepdim=True)  # (out, 1, ...)
        scale = (largest / most).masked_fill(largest == 0, 1.0)
        return (x / scale).round().clamp(-most, most), scale

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient

    def extra_repr(self) -> str:
        return f"bits={self.bits}"
