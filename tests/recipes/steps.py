"""Two training steps of a recipe on random images, as the trainer does them."""

from __future__ import annotations

import torch
from torch import nn

from binarynet.recipes import Recipe


def two_steps(recipe: Recipe, shape: tuple[int, int, int] = (1, 8, 8), epoch: int = 0) -> nn.Module:
    """The model after two steps of `epoch`, in which the loss was finite and every parameter moved."""
    torch.manual_seed(0)
    model = recipe.model(shape, 10)
    optimizer, schedule = recipe.optimizer(model)
    recipe.begin_epoch(model, epoch)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for _ in range(2):
        images = torch.randint(0, 256, (16, *shape), dtype=torch.uint8)
        loss = recipe.loss(model(images), torch.arange(16) % 10)
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if schedule is not None:
        schedule.step()
    assert [name for name, value in model.named_parameters() if torch.equal(value, before[name])] == []
    return model
