"""BinaryConnect: weights that are ±H in training, and what they are in evaluation said explicitly."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers.quantizer import Quantizer, sign

TestWeights = Literal["binary", "ternary", "real", "sampled"]  # "ternary" is that of `TernaryConnect`


class BinaryConnect(Quantizer):
    """Weights ±H, drawn or by sign; in evaluation one of three things.

    Forward (training, deterministic): H sign(w).
    Forward (training, stochastic): +H with probability clip((w / H + 1) / 2, 0, 1), else -H; E = clip(w, -H, H).
    Forward (evaluation), by `test_weights`:

        binary    H sign(w)
        real      w itself, 32 bits: what the authors' code does after stochastic training, whose mean it is
        sampled   one draw from the distribution of stochastic training, decided by `seed`: the same network
                  each time, so that it can be stored. Give each layer its own seed.

    Gradient: 1 (straight-through). The window that other quantizers have is the optimizer's clip to [-H, H].
    `limit` is H. Training draws from torch's global generator.
    `InputError` for an unknown `test_weights` and a limit that is not positive.

    Reference: Courbariaux, Bengio, David, "BinaryConnect: Training Deep Neural Networks with binary weights
    during propagations", NeurIPS 2015, arXiv 1511.00363.
    """

    name = "binary_connect"
    choices: ClassVar[tuple[str, ...]] = ("binary", "real", "sampled")

    def __init__(
        self, stochastic: bool = False, test_weights: TestWeights = "binary", limit: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        if test_weights not in self.choices:
            raise InputError(
                f"{type(self).__name__}: test_weights={test_weights!r}; choose {', '.join(map(repr, self.choices))}."
            )
        if not 0 < limit < float("inf"):
            raise InputError(f"{type(self).__name__}: limit={limit!r}; it must be a positive finite number.")
        self.stochastic, self.test_weights, self.limit, self.seed = stochastic, test_weights, limit, seed
        if test_weights == "real":
            self.bits, self.encoding = 32, "f32"

    def nearest(self, x: Tensor) -> Tensor:
        """The integers of the deterministic rule; limit times them is what they mean."""
        return sign(x)

    def drawn(self, x: Tensor, uniform: Tensor) -> Tensor:
        """The integers of the stochastic rule, given numbers uniform in [0, 1)."""
        return sign(x / self.limit - (1 - 2 * uniform).to(x.dtype))

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(-1 or +1, limit), of the weights as evaluation uses them; (x, 1) where those are real."""
        x = x.detach()
        if self.test_weights == "real":
            return x, torch.ones((), dtype=x.dtype, device=x.device)
        limit = torch.tensor(self.limit, dtype=x.dtype, device=x.device)
        return (self.drawn(x, self._fixed_draw(x)) if self.test_weights == "sampled" else self.nearest(x)), limit

    def value(self, x: Tensor) -> Tensor:
        numbers, scale = self.integers(x)
        return numbers * scale

    def training_value(self, x: Tensor) -> Tensor:
        x = x.detach()
        numbers = self.drawn(x, torch.rand_like(x, dtype=torch.float32)) if self.stochastic else self.nearest(x)
        return numbers * self.limit

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient

    def extra_repr(self) -> str:
        shown = f"stochastic={self.stochastic}, test_weights={self.test_weights!r}, limit={self.limit:g}"
        return f"{shown}, seed={self.seed}" if self.test_weights == "sampled" else shown

    def _fixed_draw(self, x: Tensor) -> Tensor:
        # From the CPU's generator on every device, so that a file does not depend on where it was written.
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(x.shape, generator=generator).to(x.device)


class TernaryConnect(BinaryConnect):
    """Weights -H, 0 or +H, drawn or the nearest of them; in evaluation one of three things.

    Forward (training, stochastic): H sgn(w) with probability min(|w| / H, 1), else 0; E = clip(w, -H, H).
    Forward (training, deterministic): the nearest of the three, H sgn(w) where |w| >= H / 2.
    Forward (evaluation), by `test_weights`: "ternary" the nearest, "real" w itself, "sampled" one draw decided
    by `seed`. Gradient: 1 (straight-through).

    Arguments and errors as in `BinaryConnect`. (The reference code's deterministic rule compares w and not
    w / H with 1/2, which gives 0 nearly everywhere, and is not used there.)

    Reference: Lin et al., arXiv 1510.03009, "Ternary connect".
    """

    name = "ternary_connect"
    bits = 2
    encoding = "t2"
    choices = ("ternary", "real", "sampled")

    def __init__(
        self, stochastic: bool = False, test_weights: TestWeights = "ternary", limit: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__(stochastic, test_weights, limit, seed)

    def nearest(self, x: Tensor) -> Tensor:
        return x.sign() * (x.abs() >= self.limit / 2)

    def drawn(self, x: Tensor, uniform: Tensor) -> Tensor:
        return x.sign() * (uniform < x.abs() / self.limit)
