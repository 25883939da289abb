"""Ternary weights: Hwang and Sung's uniform levels, Ternary Weight Networks, Trained Ternary Quantization.

Dropped weights cost no product: the stored integers are -1, 0, +1 (`t2`), two bit planes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn.quantizers.grid import GridQuantizer
from binarynet.nn.quantizers.quantizer import Quantizer, positive


class UniformLevels(GridQuantizer):
    """Hwang and Sung's uniform quantizer: M levels around 0, one step for the layer, fitted and then fixed.

    Forward: q(x) = sgn(x) step min(floor(|x| / step + 1/2), (M - 1) / 2). M = 3: 0 where |x| < step / 2, else
    ±step. Until `fit(weight)` has been called, x as it is: that is the float stage of the training.
    Gradient: 1; it is taken at the quantized weights and moves the float ones.

    `step` is a buffer, 0 while not fitted: checkpoints hold it, and retraining leaves it alone.
    levels: odd, 3 to 15, else `InputError`. Stored as `t2` for 3, `i3` up to 7, `i4` up to 15.
    Reference: Hwang and Sung, "Fixed-point feedforward deep neural network design using weights +1, 0, and
    -1", IEEE SiPS 2014.
    """

    name = "uniform_levels"
    step: Tensor

    def __init__(self, levels: int = 3) -> None:
        super().__init__()
        if levels not in range(3, 16, 2):
            raise InputError(f"UniformLevels: levels={levels!r}; it takes an odd number from 3 to 15.")
        self.levels = levels
        self.bits = levels.bit_length()
        self.encoding = "t2" if levels == 3 else f"i{self.bits}"
        self.register_buffer("step", torch.zeros(()))

    def fit(self, x: Tensor) -> None:
        """Set `step` to the one with the least squared error on x, all of whose values may not be 0.

        As in Lloyd's quantizer: give every value its nearest level, then every level the step that fits its
        values best, until nothing changes; from several starts, since the error has more than one valley.
        """
        x = x.detach()
        largest = float(x.abs().max())
        if not 0 < largest < float("inf"):
            raise InputError(f"UniformLevels.fit got values up to {largest}; it needs finite ones, not all 0.")
        best, least = torch.zeros((), dtype=x.dtype), float("inf")
        for part in range(1, 9):
            step = x.new_tensor(largest * 2 * part / (8 * (self.levels - 1)))
            for _ in range(100):
                codes = self._codes(x, step)
                refined = (x * codes).sum() / codes.square().sum()
                if torch.equal(refined, step):
                    break
                step = refined
            error = float((x - self._codes(x, step) * step).square().sum())
            if error < least:
                best, least = step, error
        self.step.copy_(best)

    @property
    def fitted(self) -> bool:
        return bool(self.step > 0)

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(levels as whole numbers, step). `InputError` while there is no step."""
        if not self.fitted:
            raise InputError("UniformLevels has no step yet, so nothing is quantized: call fit(weight), then retrain.")
        step = self.step.to(x.dtype)
        return self._codes(x.detach(), step), step

    def value(self, x: Tensor) -> Tensor:
        x, step = x.detach(), self.step.to(x.dtype)
        return torch.where(step > 0, self._codes(x, step) * step, x)  # no look at `step` from the host

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient

    def _codes(self, x: Tensor, step: Tensor) -> Tensor:
        steps = x.abs() / step
        level = torch.floor(steps)
        level = level + (steps - level >= 0.5)  # not floor(steps + 1/2), whose sum rounds up just below a half
        return torch.copysign(level.clamp(max=(self.levels - 1) // 2), x) + 0.0  # + 0.0: no negative zeros

    def extra_repr(self) -> str:
        return f"levels={self.levels}, step={float(self.step):g}"


class TwnTernary(GridQuantizer):
    """Ternary Weight Networks: a threshold from the mean magnitude, and the scale that fits best above it.

    Forward: q(W) = alpha t, t = +1 where W > d, -1 where W < -d, else 0; d = 0.7 mean |W|, alpha = mean of
    |W_i| over |W_i| > d; both over the whole layer, at every step. A layer of zeros gives zeros.
    Gradient: 1; it is taken at the ternary weights and moves the latent ones.

    Reference: Li, Zhang, Liu, "Ternary Weight Networks", arXiv 1605.04711.
    """

    name = "twn"
    bits = 2
    encoding = "t2"

    def __init__(self, threshold: float = 0.7) -> None:
        super().__init__()
        self.threshold = positive("TwnTernary", "threshold", threshold)

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach()
        magnitude = x.abs()
        kept = magnitude > self.threshold * magnitude.mean()
        alpha = (magnitude * kept).sum() / kept.sum().clamp(min=1)
        return torch.sign(x) * kept, alpha

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient

    def extra_repr(self) -> str:
        return f"threshold={self.threshold:g}"


class TtqTernary(Quantizer):
    """Trained Ternary Quantization: one learned scale for the positive weights, one for the negative.

    Forward: q(W) = w_p where W > d, -w_n where W < -d, else 0; d = 0.05 max |W| over the layer; w_p and w_n
    are parameters of the layer, 1 at the start.
    Gradient, with g = dC/dq: of W: w_p g where W > d, w_n g where W < -d, g between; of w_p: the sum of g over
    the positive weights; of w_n: minus the sum over the negative ones.

    Two scales are no grid: q = (w_p + w_n) / 2 t + (w_p - w_n) / 2 |t| with the signs t of `ternary`. So
    `integers` answers only while both scales are equal; `ternary` and `scales` always do.
    Reference: Zhu, Han, Mao, Dally, "Trained Ternary Quantization", arXiv 1612.01064.
    """

    name = "ttq"
    bits = 2
    encoding = "t2"

    def __init__(self, threshold: float = 0.05) -> None:
        super().__init__()
        self.threshold = positive("TtqTernary", "threshold", threshold)
        self.positive = nn.Parameter(torch.ones(()))
        self.negative = nn.Parameter(torch.ones(()))

    @property
    def scales(self) -> tuple[Tensor, Tensor]:
        """(w_p, w_n), detached, 0-dimensional."""
        return self.positive.detach(), self.negative.detach()

    def ternary(self, x: Tensor) -> Tensor:
        """-1, 0, +1: same shape and dtype as x, without gradient."""
        x = x.detach()
        magnitude = x.abs()
        return torch.sign(x) * (magnitude > self.threshold * magnitude.max())

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(ternary, scale). `InputError` where the two scales differ, as no one scale makes the values then."""
        positive, negative = self.scales
        if not torch.equal(positive, negative):
            raise InputError(
                f"TtqTernary has two scales, {float(positive):g} and {float(negative):g}: its values are no integers "
                "times one scale. Read .ternary(weight) and .scales."
            )
        return self.ternary(x), positive.to(x.dtype)

    def value(self, x: Tensor) -> Tensor:
        signs, (positive, negative) = self.ternary(x), self.scales
        return signs * torch.where(signs > 0, positive, negative).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = _TwoScales.apply(x, self.ternary(x), self.positive, self.negative)  # type: ignore[no-untyped-call]
        return result

    def extra_repr(self) -> str:
        return f"threshold={self.threshold:g}"


class _TwoScales(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, signs: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        ctx.save_for_backward(signs, positive, negative)
        return signs * torch.where(signs > 0, positive, negative).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        signs, positive, negative = ctx.saved_tensors
        g = gradients[0]
        scale = torch.where(signs > 0, positive, torch.where(signs < 0, negative, 1)).to(g.dtype)
        above, below = (g * (signs > 0)).sum(), (g * (signs < 0)).sum()
        return g * scale, None, above.to(positive.dtype), -below.to(negative.dtype)
