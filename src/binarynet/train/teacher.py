"""A teacher: a trained network whose answers a student learns beside the labels.

    loss = (1 − share) · loss of the recipe + share · T² · KL(softmax(teacher / T) ‖ softmax(student / T))

G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, 2015. T is the
temperature. Settings of every recipe: ``teacher`` (a run folder), ``teacher_share``, ``temperature``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from binarynet.recipes import Recipe


class Teacher:
    """The best model of a run, in evaluation mode; no part of the student, so no checkpoint holds it."""

    def __init__(self, recipe: Recipe, model: nn.Module) -> None:
        self.model = model.eval().requires_grad_(False)
        self.share, self.temperature = recipe.teacher_share, recipe.temperature
        self._device: torch.device | None = None

    def loss(self, loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """The recipe's loss () joined with the distance of the logits (n, classes) to those of the teacher."""
        if self._device != images.device:
            self.model.to(images.device)
            self._device = images.device
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            wanted = functional.log_softmax(self.model(images).float() / self.temperature, 1)
        found = functional.log_softmax(logits.float() / self.temperature, 1)
        distance = functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
        return (1 - self.share) * loss + self.share * self.temperature**2 * distance
