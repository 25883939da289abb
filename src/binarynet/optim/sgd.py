"""SGD that clips the latent weights in the pass over memory in which it steps them."""

from __future__ import annotations

from typing import Any

import torch

from binarynet.nn import native
from binarynet.optim.clip import clip_of
from binarynet.optim.one_pass import OnePass


class SGD(OnePass, torch.optim.SGD):
    """`torch.optim.SGD`, arguments, state and state dict the same, that knows the `clip` of `latent_optimizer`.

    On a CPU each float32 parameter takes one pass over memory: 20 bytes a number with momentum, 12 without, for decay,
    step and clip. Elsewhere, and with `maximize`, it is torch's step and a clamp behind it.
    """

    plain = torch.optim.SGD

    def _is_plain(self, group: dict[str, Any]) -> bool:
        return not (group["maximize"] or group["differentiable"] or isinstance(group["lr"], torch.Tensor))

    def _step(self, group: dict[str, Any], parameter: torch.Tensor) -> None:
        momentum, average, gain = group["momentum"], None, 1.0
        if momentum:
            state = self.state[parameter]
            average = state.get("momentum_buffer")
            if average is None:  # the first step: it is the gradient
                average = state["momentum_buffer"] = torch.zeros_like(parameter)
            else:
                gain = 1 - group["dampening"]
        native.step(
            "sgd",
            parameter,
            average,
            momentum=momentum,
            gain=gain,
            decay=group["weight_decay"],
            rate=group["lr"],
            clip=clip_of(group),
            nesterov=group["nesterov"],
        )
