"""Bitwise neural networks: the two quantizers that are tanh in stage 1 and bits in stage 2.

The network they belong to, and its two stages, stand in `nn/papers/bitwise.py`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers.quantizer import Quantizer, sign

Stage = Literal[1, 2]


class Staged(Quantizer):
    """tanh in stage 1, which is real and has no integers; what a subclass calls `bitwise` in stage 2."""

    def __init__(self, bits: int, encoding: str) -> None:
        super().__init__()
        self._stored = bits, encoding
        self.stage = 1

    @property
    def stage(self) -> Stage:
        return self._stage

    @stage.setter
    def stage(self, stage: Stage) -> None:
        self._stage = stage
        self.bits, self.encoding = self._stored if stage == 2 else (32, "f32")

    def bitwise(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def value(self, x: Tensor) -> Tensor:
        return torch.tanh(x.detach()) if self.stage == 1 else self.bitwise(x.detach())

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The values of stage 2 and the scale 1. `InputError` in stage 1."""
        if self.stage == 1:
            raise InputError(
                f"{type(self).__name__} is in stage 1, whose values are real: train stage 2 (BitwiseNet.enter(2))."
            )
        return self.bitwise(x.detach()), x.new_ones(())

    def extra_repr(self) -> str:
        return f"stage={self.stage}"


class BitwiseWeight(Staged):
    """Latent weights: squashed in stage 1, −1, 0 or +1 in stage 2.

    Forward (stage 1): q(w) = tanh(w). Forward (stage 2): +1 where w >= β, −1 where w <= −β, else 0.
    Gradient: 1 − tanh(w)² in stage 1, 1 in stage 2.

    sparsity: λ, the share of weights that `fit` makes 0, from 0 up to but not 1; `InputError` outside.
    `beta` is a buffer, so that checkpoints hold the boundary that training used; with λ = 0 it stays 0, and the
    value is sign(w). `encoding` is "t2" in stage 2, "b1" with λ = 0, and "f32" in stage 1.
    Reference: Kim, Smaragdis, arXiv 1601.06071.
    """

    name = "bitwise_weight"
    beta: Tensor

    def __init__(self, sparsity: float = 0.0) -> None:
        if not 0 <= sparsity < 1:
            raise InputError(f"BitwiseWeight: sparsity={sparsity!r}; it is the share of zeros, from 0 up to but not 1.")
        super().__init__(*((1, "b1") if sparsity == 0 else (2, "t2")))
        self.sparsity = float(sparsity)
        self.register_buffer("beta", torch.zeros(()))

    def fit(self, weight: Tensor) -> None:
        """Set β such that the share `sparsity` of `weight`, rounded down to whole weights, lies strictly below."""
        zeros = int(self.sparsity * weight.numel())
        if zeros:
            self.beta.copy_(weight.detach().abs().flatten().kthvalue(zeros + 1).values)

    def bitwise(self, x: Tensor) -> Tensor:
        return sign(x) * (x.abs() >= self.beta) + 0.0  # + 0.0: no negative zeros

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient * (1 - torch.tanh(x).square()) if self.stage == 1 else gradient

    def extra_repr(self) -> str:
        return f"sparsity={self.sparsity:g}, {super().extra_repr()}"


class BitwiseSign(Staged):
    """A neuron: tanh in stage 1, sign in stage 2.

    Forward (stage 1): tanh(a). Forward (stage 2): +1 if a >= 0 else −1.
    Gradient (stage 1): 1 − tanh(a)², the true one. Pseudo-gradient (stage 2): 1 − tanh(a / s)², s = `width`;
    with s = ∞ it is 1, the rule without a window.

    The sums a of stage 2 are whole numbers of the size √K, where 1 − tanh(a)² lets next to nothing through: a
    net with several layers of some hundred inputs then learns nothing. s widens the window to where the sums are.
    Reference: Kim, Smaragdis, arXiv 1601.06071; s is ours.
    """

    name = "bitwise_sign"

    def __init__(self, width: float = 1.0) -> None:
        if not width > 0:
            raise InputError(f"BitwiseSign: width={width!r}; it must be positive, inf for no window.")
        super().__init__(1, "b1")
        self.width = float(width)

    def bitwise(self, x: Tensor) -> Tensor:
        return sign(x)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient * (1 - torch.tanh(x if self.stage == 1 else x / self.width).square())

    def extra_repr(self) -> str:
        return f"width={self.width:g}, {super().extra_repr()}"
