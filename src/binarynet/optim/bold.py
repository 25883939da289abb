"""BOLD: Boolean weights that flip when enough votes against them have come together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from binarynet.errors import takes
from binarynet.optim.flips import Flips, flipping


class Bold(Flips):
    """Flips Boolean weights; all other parameters are Adam's.

    A group with `latent` True holds weights ±1. With g the gradient of a weight, and |g| its mean magnitude in the
    tensor,

        m <- β m + η g / mean |g|        w <- -w, m <- 0 where w m >= 1        β <- the share that did not flip

    m adds up what pushes against the weight; at 1 the weight flips and counts anew. β, one number for each tensor,
    forgets the votes of the past where many weights flip. η is the group's **lr**. Memory: 4 bytes a weight for m,
    besides the ±1 itself.

    Groups without `latent` are stepped by Adam with lr, `betas` and `eps`. `InputError` for a value out of its range.
    `bold_optimizer` makes the groups for a model.

    Reference: Nguyen et al., "BOLD: Boolean Logic Deep Learning", NeurIPS 2024, arXiv 2405.16339, the Boolean
    optimizer. There votes are Boolean; here they are gradients in units of their mean magnitude.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps)

    def _check(self, group: dict[str, Any]) -> None:
        pass  # any positive η is one

    def _flip(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["votes"] = torch.zeros_like(weight)
            state["kept"] = torch.ones((), dtype=weight.dtype, device=weight.device)
        unit = gradient.abs().mean().clamp(min=torch.finfo(gradient.dtype).tiny)
        votes = state["votes"].mul_(state["kept"]).add_(gradient / unit, alpha=group["lr"])
        flipped = weight * votes >= 1
        weight.copy_(torch.where(flipped, -weight, weight))
        votes.masked_fill_(flipped, 0)
        state["kept"].copy_(1 - flipped.to(weight.dtype).mean())


@takes(module=(nn.Module, "the torch.nn.Module whose weights it moves"))
def bold_optimizer(module: nn.Module, *, eta: float, lr: float = 1e-2) -> Bold:
    """`Bold` over the parameters of `module`: flips for `nn.latent_weights(module)`, Adam with `lr` for the rest.

    The weights become ±1 here. The first group is Adam's.
    """
    optimizer = flipping(Bold, module, lr, lr=eta)
    assert isinstance(optimizer, Bold)
    return optimizer
