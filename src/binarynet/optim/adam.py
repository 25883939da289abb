"""Adam and AdamW that clip the latent weights in the pass over memory in which they step them."""

from __future__ import annotations

import math
from typing import Any

import torch

from binarynet.nn import native
from binarynet.optim.clip import clip_of
from binarynet.optim.one_pass import OnePass


class _Adam(OnePass, torch.optim.Adam):
    """The pass of both."""

    plain = torch.optim.Adam

    def _is_plain(self, group: dict[str, Any]) -> bool:
        added = group["weight_decay"] and not group.get("decoupled_weight_decay", False)  # to the gradient
        special = group["amsgrad"] or added or group["maximize"] or group["differentiable"]
        return not special and not isinstance(group["lr"], torch.Tensor)

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


class Adam(_Adam):
    """`torch.optim.Adam`, arguments, state and state dict the same, that knows the `clip` of `latent_optimizer`.

    On a CPU each float32 parameter takes one pass over memory: 28 bytes a number for the step and the clip. Elsewhere,
    and with `amsgrad`, `weight_decay` or `maximize`, it is torch's step and a clamp behind it.

    Reference: Kingma, Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980.
    """


class AdamW(_Adam, torch.optim.AdamW):
    """`torch.optim.AdamW`, as `Adam` is torch's: the decay of the weights is part of the pass.

    Reference: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", arXiv 1711.05101.
    """
