"""SGD that clips the latent weights in the pass over memory in which it steps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from binarynet.nn import native
from binarynet.optim.clip import clip_groups, clip_of


class SGD(torch.optim.SGD):
    """`torch.optim.SGD`, arguments, state and state dict the same, that knows the `clip` of `latent_optimizer`.

    On a CPU each float32 parameter takes one pass over memory: 20 bytes a number with momentum, 12 without, for decay,
    step and clip. Elsewhere, and with `maximize`, it is torch's step and a clamp behind it.
    """

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
            step = torch.optim.SGD.step  # without the hooks, which torch puts around it, and we are inside ours
            (step.__wrapped__ if hasattr(step, "hooked") else step)(self)  # type: ignore[attr-defined]
            clip_groups(self.param_groups)
        return loss

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


def _is_plain(group: dict[str, Any]) -> bool:
    return not (group["maximize"] or group["differentiable"] or isinstance(group["lr"], torch.Tensor))
