"""What optimizers share that move binary weights by flipping them, without latent weights: all else is Adam's."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from binarynet.errors import InputError
from binarynet.nn import latent_weights
from binarynet.nn.quantizers import sign


class Flips(Optimizer):
    """Flips the weights of groups with `latent` True, which are ±1 from the start; steps the others by Adam.

    `InputError` for a value out of its range.
    Reference of the rest: Kingma, Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980.
    """

    def __init__(self, params: ParamsT, **defaults: Any) -> None:
        common = {"betas": (0.9, 0.999), "eps": 1e-8, "latent": False}
        super().__init__(params, common | defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; the weights of a group with `latent` become their signs, in place."""
        super().add_param_group(param_group)
        group, name = self.param_groups[-1], type(self).__name__
        lr, betas, eps = group["lr"], group["betas"], group["eps"]
        if not (0 < lr < math.inf and eps > 0 and all(0 <= beta < 1 for beta in betas)):
            raise InputError(f"{name}: lr={lr!r}, betas={betas!r}, eps={eps!r} are out of range.")
        if group["latent"]:
            self._check(group)
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

    @abstractmethod
    def _check(self, group: dict[str, Any]) -> None:
        """`InputError` for settings of a group of binary weights that are out of their range."""

    @abstractmethod
    def _flip(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Flip the weights that it is time for."""

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


def flipping(kind: type[Flips], module: nn.Module, rest: float, **latent: Any) -> Flips:
    """An optimizer over the parameters of `module`: flips for `nn.latent_weights(module)`, with the settings `latent`,
    Adam with the rate `rest` for the others. The weights become ±1 here; the first group is Adam's."""
    weights = list(dict.fromkeys(weight for _, _, weight in latent_weights(module)))
    others = [parameter for parameter in module.parameters() if all(parameter is not weight for weight in weights)]
    groups: list[dict[str, Any]] = [{"params": others, "lr": rest}] if others else []
    if weights:
        groups.append({"params": weights, "latent": True, **latent})
    return kind(groups)
