"""Bitwise neural networks: two stages of one network, first with tanh in the place of every sign, then bitwise.

=========== ======================================= ==============================================
what        stage 1, weight compression             stage 2, noisy backpropagation
=========== ======================================= ==============================================
weight      tanh(w)                                 +1 where w >= β, −1 where w <= −β, else 0
its grad.   1 − tanh(w)²                            1
bias        tanh(b)                                 sign(b)
its grad.   1 − tanh(b)²                            1
neuron      tanh(a)                                 sign(a)
its grad.   1 − tanh(a)²                            1 − tanh(a / s)²
=========== ======================================= ==============================================

w, b are latent, a = bias + Σ weight · neuron below. β is chosen for each layer such that the share λ of its weights
is 0: it is the λ-quantile of |w|. Stage 1 is differentiable, and weights that it makes large keep their sign in
stage 2, which starts from them.

Reference: Kim, Smaragdis, "Bitwise Neural Networks", arXiv 1601.06071.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from binarynet.nn.linear import BinaryLinear
from binarynet.nn.quantizers.bitwise import BitwiseWeight, Stage, Staged


class BitwiseLinear(BinaryLinear):
    """A fully connected layer with bitwise weights −1, 0, +1 and bitwise biases ±1; real in stage 1.

    Shapes: x (…, in_features) → (…, out_features). `weight` and `latent_bias` are the latent parameters; `bias`
    is what is added: tanh(latent_bias), or its sign. With ``biased=False``, for a layer in front of a BatchNorm,
    there is none.
    """

    latent_bias: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, *, sparsity: float = 0.0, biased: bool = True) -> None:
        super().__init__(in_features, out_features, bias=False, weight_quantizer=BitwiseWeight(sparsity))
        self.bias_quantizer = BitwiseWeight()
        self.latent_bias = nn.Parameter(torch.zeros(out_features)) if biased else None

    def reset_parameters(self) -> None:
        """Glorot's uniform range, since stage 1 is a tanh network."""
        nn.init.xavier_uniform_(self.weight)

    @property
    def bias(self) -> Any:  # type: ignore[override]  # a parameter in torch's layers
        return None if self.latent_bias is None else self.bias_quantizer(self.latent_bias)


class BitwiseNet(nn.Sequential):
    """Layers in a row that go from stage 1 to stage 2 together; a new one is in stage 1.

    The stage is part of the state dict: a checkpoint of stage 2 evaluates as stage 2.
    """

    _stage: Stage = 1

    @property
    def stage(self) -> Stage:
        return self._stage

    def enter(self, stage: Stage) -> None:
        """Go into a stage. Entering stage 2, also when in it already, fits the β of every layer anew."""
        self._set(stage)
        for layer in self.modules():
            if stage == 2 and isinstance(layer, BitwiseLinear) and isinstance(layer.weight_quantizer, BitwiseWeight):
                layer.weight_quantizer.fit(layer.weight)

    def _set(self, stage: Stage) -> None:
        self._stage = stage
        for module in self.modules():
            if isinstance(module, Staged):
                module.stage = stage

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self._stage)

    def set_extra_state(self, state: Tensor) -> None:
        self._set(2 if int(state) == 2 else 1)
