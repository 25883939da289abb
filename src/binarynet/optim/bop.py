"""Bop: an optimizer for weights that are ±1 themselves, with no latent weights behind them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from binarynet.errors import InputError, takes
from binarynet.nn import latent_weights
from binarynet.nn.quantizers import sign


class Bop(Optimizer):
    """Flips binary weights; all other parameters are Adam's.

    A group with `latent` True holds binary weights. They are replaced by their signs when the group is added,
    and stay ±1 from then on:

        m <- (1 - γ) m + γ g        w <- -w where w m > τ        (m starts at 0)

    that is, a weight flips when the average gradient pushes against it and is larger than τ. γ is the group's
    **lr**, so that schedules and checkpoints reach it as they do any learning rate; τ is the group's `tau`.

    Groups without `latent` are stepped by Adam (Kingma, Ba, arXiv 1412.6980) with lr, `betas` and `eps`.
    `InputError` for a value out of its range. `bop_optimizer` makes the groups for a model.

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
        super().__init__(params, {"lr": lr, "tau": tau, "betas": betas, "eps": eps, "latent": False})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; the weights of a group with `latent` become their signs, in place."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        lr, tau, betas = group["lr"], group["tau"], group["betas"]
        if not (0 < lr < math.inf and 0 <= tau < math.inf and group["eps"] > 0 and all(0 <= b < 1 for b in betas)):
            raise InputError(f"Bop: lr={lr!r}, tau={tau!r}, betas={betas!r}, eps={group['eps']!r} are out of range.")
        if group["latent"]:
            if lr > 1:
                raise InputError(f"Bop: the lr of binary weights is the share gamma of a new gradient, not {lr!r}.")
            for weight in group["params"]:
                with torch.no_grad():
                    weight.copy_(sign(weight))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._flip if group["latent"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update(parameter, parameter.grad, group)
        return loss

    def _flip(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["exp_avg"] = torch.zeros_like(weight)
        average = state["exp_avg"].lerp_(gradient, group["lr"])
        weight.copy_(torch.where(weight * average > group["tau"], -weight, weight))

    def _adam(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first = state["exp_avg"].lerp_(gradient, 1 - beta1)
        second = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        deviation = (second.sqrt() / math.sqrt(1 - beta2 ** state["step"])).add_(group["eps"])
        parameter.addcdiv_(first, deviation, value=-group["lr"] / (1 - beta1 ** state["step"]))


@takes(module=(nn.Module, "the torch.nn.Module whose weights it moves"))
def bop_optimizer(module: nn.Module, *, gamma: float = 1e-4, tau: float = 1e-8, lr: float = 1e-2) -> Bop:
    """`Bop` over the parameters of `module`: flips for `nn.latent_weights(module)`, Adam with `lr` for the rest.

    The weights become ±1 here. Defaults are the paper's for CIFAR-10. The first group is Adam's.
    """
    weights = list(dict.fromkeys(weight for _, _, weight in latent_weights(module)))
    others = [parameter for parameter in module.parameters() if all(parameter is not weight for weight in weights)]
    groups: list[dict[str, Any]] = [{"params": others, "lr": lr}] if others else []
    if weights:
        groups.append({"params": weights, "lr": gamma, "tau": tau, "latent": True})
    return Bop(groups)
