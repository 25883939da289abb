"""Adam and AdamW that clip the latent weights in the pass over memory in which they step them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from binarynet.nn import native
from binarynet.optim.clip import clip_groups, clip_of


class _OnePass(torch.optim.Adam):
    """The step of both: on a CPU one pass over memory for each float32 parameter, else torch's step and a clamp."""

    clips = True

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        stepped = [(group, parameter) for group in self.param_groups for parameter in group["params"]]
        stepped = [(group, parameter) for group, parameter in stepped if parameter.grad is not None]
        if all(_is_plain(group) and native.takes(parameter, parameter.grad) for group, parameter in stepped):
            for group, parameter in stepped:
                self._step(group, parameter)
        else:
            _torch_step(self)
            clip_groups(self.param_groups)
        return loss

    def _step(self, group: dict[str, Any], parameter: torch.Tensor) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        steps = int(state["step"])
        native.step(
            "adam",
            parameter,
            state["exp_avg"],
            state["exp_avg_sq"],
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            rate=group["lr"] / (1 - beta1**steps),
            deviation=math.sqrt(1 - beta2**steps),
            clip=clip_of(group),
            keep=1 - group["lr"] * group["weight_decay"],
        )


class Adam(_OnePass):
    """`torch.optim.Adam`, arguments, state and state dict the same, that knows the `clip` of `latent_optimizer`.

    On a CPU each float32 parameter takes one pass over memory: 28 bytes a number for the step and the clip. Elsewhere,
    and with `amsgrad`, `weight_decay` or `maximize`, it is torch's step and a clamp behind it.

    Reference: Kingma, Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980.
    """


class AdamW(_OnePass, torch.optim.AdamW):
    """`torch.optim.AdamW`, as `Adam` is torch's: the decay of the weights is part of the pass.

    Reference: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", arXiv 1711.05101.
    """


def _is_plain(group: dict[str, Any]) -> bool:
    added = group["weight_decay"] and not group.get("decoupled_weight_decay", False)  # to the gradient
    special = group["amsgrad"] or added or group["maximize"] or group["differentiable"]
    return not special and not isinstance(group["lr"], torch.Tensor)


def _torch_step(optimizer: torch.optim.Adam) -> None:
    """Without the hooks, which torch puts around the step of every class that has been used, and we are inside ours."""
    step = torch.optim.Adam.step
    (step.__wrapped__ if hasattr(step, "hooked") else step)(optimizer)  # type: ignore[attr-defined]
