"""IR-Net's error decay estimator: what stands in for the derivative of a sign, sharper from epoch to epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from binarynet.nn.quantizers.quantizer import Quantizer, positive


class ErrorDecay(Quantizer):
    """A sign whose gradient is k t (1 - tanh(t x)^2), k = max(1/t, 1); `t` is assigned before every epoch."""

    def __init__(self, t: float = 1.0) -> None:
        super().__init__()
        self.t = t

    @property
    def t(self) -> float:
        return self._t

    @t.setter
    def t(self, value: float) -> None:
        self._t = positive(type(self).__name__, "t", value)

    def slope(self, x: Tensor) -> Tensor:
        """k t (1 - tanh(t x)^2), elementwise."""
        t = self._t
        return max(1 / t, 1.0) * t * (1 - torch.tanh(t * x).square())

    def extra_repr(self) -> str:
        return f"t={self._t:g}"
