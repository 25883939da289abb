"""Shift-based AdaMax: AdaMax whose products with the learning rate and the inverse norm are shifts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from binarynet.errors import InputError
from binarynet.nn import native
from binarynet.nn.ap2 import Rounding, ap2
from binarynet.optim.clip import clip_of


class ShiftAdaMax(Optimizer):
    """θ <- θ - s AP2(lr / (1 - β1^t)) m / AP2(v + ε), with m <- β1 m + (1 - β1) g and v <- max(β2 v, |g|).

    s is the group's `step_scale`, 1 where it has none: `latent_optimizer` puts it there and multiplies the
    group's lr by it. It is divided out again before lr is rounded, since rounding does not commute with it; so
    the step of a latent weight is s times the plain step, as the papers' rule says. With
    `latent_optimizer(..., step_scale="ap2")` s is a power of two, too, and the whole update is shifts.

    lr, betas, eps, rounding: as above; ε keeps v off 0. A schedule that halves lr keeps it a power of two.
    `InputError` for values out of their range.

    Reference: Courbariaux et al., arXiv 1602.02830, "Shift based AdaMax"; default lr, betas and eps are those
    of the authors' Torch7 code. That code stores the rounded v, which then can never decay, as
    AP2(0.999 2^k) = 2^k. Here the state is not rounded, only what enters the step.
    """

    clips = True  # latent weights, in the pass in which it steps them

    def __init__(
        self,
        params: ParamsT,
        lr: float = 2**-6,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 2**-27,
        *,
        rounding: Rounding = "nearest",
    ) -> None:
        if not (0 < lr < float("inf") and 0 < eps < float("inf") and all(0 <= beta < 1 for beta in betas)):
            raise InputError(f"ShiftAdaMax: lr={lr!r}, betas={betas!r}, eps={eps!r}; lr, eps > 0 and 0 <= beta < 1.")
        ap2(torch.ones(()), rounding)  # refuses an unknown rounding
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "rounding": rounding})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
            if group.get("clip") is not None:
                for parameter in group["params"]:
                    if parameter.grad is None or not native.takes(parameter, parameter.grad):
                        parameter.clamp_(-group["clip"], group["clip"])
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_inf"] = torch.zeros_like(parameter)
        state["step"] += 1
        (beta1, beta2), rounding = group["betas"], group["rounding"]
        scale = group.get("step_scale", 1.0)
        rate = torch.tensor(group["lr"] / scale / (1 - beta1 ** state["step"]), dtype=torch.float64)
        step = scale * ap2(rate, rounding).item()
        if native.takes(parameter, gradient):
            native.step(
                "shift_adamax",
                parameter,
                state["exp_avg"],
                state["exp_inf"],
                beta1=beta1,
                beta2=beta2,
                eps=group["eps"],
                rate=step,
                nearest=rounding == "nearest",
                clip=clip_of(group),
            )
            return
        average = state["exp_avg"].lerp_(gradient, 1 - beta1)
        norm = torch.maximum(state["exp_inf"].mul_(beta2), gradient.abs(), out=state["exp_inf"])
        parameter.addcdiv_(average, ap2(norm + group["eps"], rounding), value=-step)
