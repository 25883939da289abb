"""Loss and error of a model over a set of images, each image weighing the same."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from binarynet.data import Split
from binarynet.errors import takes
from binarynet.train.loader import EvaluationBatches

Loss = Callable[[Tensor, Tensor], Tensor]

EVALUATION_BATCH = 500  # big enough for a matrix product, small enough for a convolution's activations


class Scores(NamedTuple):
    """loss: mean over the images. error: wrong answers in percent. images: how many there were."""

    loss: float
    error: float
    images: int


class Tally:
    """Sums of loss and wrong answers that stay on the device until they are asked for."""

    def __init__(self) -> None:
        self.loss: Tensor | float = 0.0
        self.wrong: Tensor | int = 0
        self.images = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count one batch: its mean loss (), logits (n, classes), labels (n,)."""
        self.loss = self.loss + loss.detach() * len(labels)
        self.wrong = self.wrong + (logits.detach().argmax(1) != labels).sum()
        self.images += len(labels)

    def sums(self) -> tuple[float, float, float]:
        """(sum of losses, wrong answers, images); waits for the device."""
        return float(self.loss), float(self.wrong), float(self.images)


def scores(sums: tuple[float, float, float]) -> Scores:
    """The scores that the sums of a `Tally`, or of several processes' tallies, amount to."""
    loss, wrong, images = sums
    return Scores(loss / images, 100 * wrong / images, int(images))


@takes(
    model=(nn.Module, "a torch.nn.Module"),
    split=(Split, 'a Split, such as binarynet.data.load("digits").test'),
    loss=(FunctionType | MethodType | nn.Module, "a function of logits and labels, such as binarynet.nn.squared_hinge"),
)
def evaluate(
    model: nn.Module,
    split: Split,
    loss: Loss,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = EVALUATION_BATCH,
) -> Scores:
    """Scores of `model` in evaluation mode and float32, over all images of `split`.

    The model is moved to `device` and left there, and each module of it left in the mode it was in.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.to(device).eval()
    tally = Tally()
    try:
        with torch.inference_mode(), torch.autocast(torch.device(device).type, enabled=False):
            for images, labels in EvaluationBatches(split, batch_size):
                target = labels.to(device)
                logits = model(images.to(device))
                tally.add(loss(logits, target), logits, target)
    finally:
        for module, mode in modes:
            module.training = mode
    return scores(tally.sums())
