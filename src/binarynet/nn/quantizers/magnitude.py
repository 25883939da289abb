"""The magnitude-aware weights of Bi-Real Net."""

from __future__ import annotations

import torch
from torch import Tensor

from binarynet.nn.quantizers.quantizer import Quantizer, sign


class MagnitudeAwareSign(Quantizer):
    """Sign of a weight times the mean magnitude of its filter, which reaches the gradient through it.

    Forward: q(w) = α sign(w), α = mean |w| over all but the first dimension: one α for each output.
    Pseudo-gradient: α where |w| <= 1, 0 elsewhere. α counts as a constant; it makes steps proportional to the
    size of the weights that they are to flip.

    For weights (out, in) or (out, in, kh, kw). A BatchNorm behind the layer removes α, so in evaluation it
    changes no sign; it is stored as the layer's scale and not trained away.

    Reference: Liu, Wu, Luo, Yang, Liu, Cheng, "Bi-Real Net", ECCV 2018, arXiv 1808.00278, "Magnitude-aware
    gradient".
    """

    name = "magnitude_aware_sign"

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return sign(x), self._magnitude(x)

    def value(self, x: Tensor) -> Tensor:
        numbers, scale = self.integers(x)
        return numbers * scale

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        x = x.detach()
        return torch.where(x.abs() <= 1, self._magnitude(x), torch.zeros_like(x))

    def _magnitude(self, x: Tensor) -> Tensor:
        return x.detach().abs().mean(list(range(1, x.ndim)), keepdim=True)  # (out, 1, ...)
