"""Recipes small enough to train in a blink, and a way to make something happen in the middle of an epoch."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from binarynet.data import DataSet, Split, pad_crop_flip
from binarynet.nn import BinaryLinear, ByteInput
from binarynet.recipes.bnn import BnnMlp

before_step: Callable[[int], None] | None = None  # called with the number of the training step, from 0
_steps = 0


@dataclass(frozen=True, kw_only=True)
class Tiny(BnnMlp):
    """Everything random there is: order, augmentation, dropout."""

    data: str = "blobs"
    epochs: int = 4
    full_epochs: int = 4
    batch_size: int = 20
    width: int = 24
    layers: int = 1
    dropout: float = 0.3
    input_dropout: float = 0.1
    lr_end: float = 3e-5

    def augment(self, images: Any, rng: Any) -> Any:
        global _steps
        if before_step is not None:
            before_step(_steps)
        _steps += 1
        return pad_crop_flip(images, rng, pad=1, flip=0.0)


@dataclass(frozen=True, kw_only=True)
class TinyWithoutNorm(Tiny):
    """No BatchNorm, no dropout, small inputs: several processes compute what one does, up to rounding."""

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), ByteInput(), Scaled(1 / 2**12), BinaryLinear(shape[0] * shape[1] * shape[2], classes)
        )


@dataclass(frozen=True, kw_only=True)
class TinyThatDiverges(Tiny):
    """Its loss is NaN from the second epoch on, if several processes train it."""

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        alone = not torch.distributed.is_initialized()
        return super().loss(logits, target) * (1 if alone or _steps <= 12 else float("nan"))


@dataclass(frozen=True, kw_only=True)
class TinyInStages(Tiny):
    """In its second stage the answers are scaled, by the number of the epoch in which it began."""

    first_stage: int = 2

    def model(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        model = super().model(shape, classes)
        assert isinstance(model, nn.Sequential)
        model.add_module("stage", Stage())
        return model

    def begin_epoch(self, model: nn.Module, epoch: int) -> None:
        if epoch == self.first_stage:
            model.get_submodule("stage").get_buffer("began").fill_(epoch)

    def selectable(self, epoch: int) -> bool:
        return epoch >= self.first_stage


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("began", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.get_buffer("began")


class Scaled(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def blobs(seed: int = 7, classes: int = 4) -> DataSet:
    """Noisy copies of one 12×12 image a class, in coarse blocks: 250 / 61 / 55, which no batch size divides."""
    rng = np.random.default_rng(seed)
    centres = np.kron(rng.integers(0, 2, (classes, 1, 3, 3)) * 255, np.ones((4, 4)))

    def split(n: int) -> Split:
        labels = rng.integers(0, classes, n)
        noisy = centres[labels] + rng.normal(0, 80, (n, 1, 12, 12))
        return Split(noisy.clip(0, 255).astype(np.uint8), labels.astype(np.int64))

    return DataSet("blobs", tuple(f"blob {k}" for k in range(classes)), split(250), split(61), split(55))


def send_at(step: int, signum: signal.Signals) -> Callable[[int], None]:
    """A `before_step` that sends this process a signal."""

    def before(number: int) -> None:
        if number == step:
            os.kill(os.getpid(), signum)

    return before
