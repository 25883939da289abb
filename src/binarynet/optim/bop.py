"""Bop: an optimizer for weights that are ±1 themselves, with no latent weights behind them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from binarynet.errors import InputError, takes
from binarynet.optim.flips import Flips, flipping


class Bop(Flips):
    """Flips binary weights; all other parameters are Adam's.

    A group with `latent` True holds binary weights. They are replaced by their signs when the group is added,
    and stay ±1 from then on:

        m <- (1 - γ) m + γ g        w <- -w where w m > τ        (m starts at 0)

    that is, a weight flips when the average gradient pushes against it and is larger than τ. γ is the group's
    **lr**, so that schedules and checkpoints reach it as they do any learning rate; τ is the group's `tau`.

    Memory: 4 bytes a weight for m, besides the ±1 itself.
    Groups without `latent` are stepped by Adam with lr, `betas` and `eps`. `InputError` for a value out of its range.
    `bop_optimizer` makes the groups for a model.

    Reference: Helwegen, Widdicombe, Geiger, Liu, Cheng, Nusselder, "Latent Weights Do Not Exist: Rethinking
    Binarized Neural Network Optimization", NeurIPS 2019, arXiv 1906.02107, algorithm 1.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        tau: float = 1e-8,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr=lr, tau=tau, betas=betas, eps=eps)

    def _check(self, group: dict[str, Any]) -> None:
        gamma = group["lr"]
        if gamma > 1:
            raise InputError(f"Bop: the lr of binary weights is the share gamma of a new gradient, not {gamma!r}.")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; the weights of a group with `latent` become their signs, in place."""
        tau = param_group.get("tau", self.defaults["tau"])
        if not 0 <= tau < math.inf:
            raise InputError(f"Bop: its settings are out of range: tau={tau!r}; it takes 0 or more.")
        super().add_param_group(param_group)

    def _flip(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["exp_avg"] = torch.zeros_like(weight)
        average = state["exp_avg"].lerp_(gradient, group["lr"])
        weight.copy_(torch.where(weight * average > group["tau"], -weight, weight))


@takes(module=(nn.Module, "the torch.nn.Module whose weights it moves"))
def bop_optimizer(module: nn.Module, *, gamma: float = 1e-4, tau: float = 1e-8, lr: float = 1e-2) -> Bop:
    """`Bop` over the parameters of `module`: flips for `nn.latent_weights(module)`, Adam with `lr` for the rest.

    The weights become ±1 here. Defaults are the paper's for CIFAR-10. The first group is Adam's.
    """
    optimizer = flipping(Bop, module, lr, lr=gamma, tau=tau)
    assert isinstance(optimizer, Bop)
    return optimizer
