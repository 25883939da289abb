"""Expectation backpropagation's neuron: its mean in training, its most probable value in the network of signs."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers.quantizer import Quantizer

Evaluation = Literal["ebp-d", "ebp-p"]


class ExpectedSign(Quantizer):
    """A random ±1 neuron: its mean in training and in EBP-P, its most probable value in EBP-D.

    Forward (training, EBP-P): m(z) = 2Φ(z) − 1 = erf(z / √2). Forward (EBP-D): +1 if x >= 0 else −1.
    Gradient: 2 φ(z) = √(2/π) exp(−z² / 2), the true derivative of m.

    Reference: Soudry, Hubara, Meir, "Expectation Backpropagation", NIPS 2014.
    """

    name = "expected_sign"

    def __init__(self, evaluation: Evaluation = "ebp-d") -> None:
        super().__init__()
        self.evaluation = one_of("evaluation", evaluation, ("ebp-d", "ebp-p"))

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return math.sqrt(2 / math.pi) * torch.exp(-x.detach().square() / 2)

    def training_value(self, x: Tensor) -> Tensor:
        return torch.erf(x.detach() / math.sqrt(2))

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.evaluation == "ebp-d":
            return super().forward(x)
        return self.training_value(x)

    def extra_repr(self) -> str:
        return f"evaluation={self.evaluation}"


def one_of(setting: str, value: Any, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise InputError(f"{setting}={value!r}; choose {' or '.join(map(repr, choices))}.")
    return value
