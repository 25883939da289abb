"""What optimizers share that step and clip each parameter in one pass over memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch

from binarynet.nn import native
from binarynet.optim.clip import clip_groups


class OnePass(torch.optim.Optimizer):
    """Mixin in front of a torch optimizer: on a CPU one pass for a float32 parameter, else torch's step and a clamp."""

    clips = True
    plain: type[torch.optim.Optimizer]  # whose step is taken where one pass does not fit

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        stepped = [(group, parameter) for group in self.param_groups for parameter in group["params"]]
        stepped = [(group, parameter) for group, parameter in stepped if parameter.grad is not None]
        fits = all(self._is_plain(group) and native.takes(parameter, parameter.grad) for group, parameter in stepped)
        scaled = any(getattr(self, name, None) is not None for name in ("grad_scale", "found_inf"))  # by a GradScaler
        if fits and not scaled:
            for group, parameter in stepped:
                self._step(group, parameter)
        else:
            # Without the hooks, which torch puts around the step of every class that has been used: we are inside ours.
            step = self.plain.step
            (step.__wrapped__ if hasattr(step, "hooked") else step)(self)  # type: ignore[attr-defined]
            clip_groups(self.param_groups)
        return loss

    @abstractmethod
    def _is_plain(self, group: dict[str, Any]) -> bool:
        """Whether one pass computes what torch's step with these settings does."""

    @abstractmethod
    def _step(self, group: dict[str, Any], parameter: torch.Tensor) -> None:
        """The pass over one parameter."""
