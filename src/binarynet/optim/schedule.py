"""Learning rate schedules of the papers."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler

from binarynet.errors import InputError, takes


@takes(optimizer=(Optimizer, "the optimizer whose learning rate falls"))
def geometric_decay(optimizer: Optimizer, start: float, end: float, epochs: int) -> LRScheduler:
    """Learning rate start (end / start)^(e / epochs) in epoch e = 0, 1, ..: the same ratio at every `step()`.

    `end` is what the rate reaches after the last epoch, as in the Theano code of Courbariaux et al.,
    arXiv 1602.02830: the last epoch itself still runs one ratio above it. Call `step()` once an epoch.

    The learning rate of every group is set here, to `start` times the group's `step_scale` where
    `latent_optimizer` left one. The state dicts of optimizer and scheduler together resume it exactly.
    `InputError` when a rate is not positive or `epochs` is below 1.
    """
    if not (0 < start < float("inf") and 0 < end < float("inf")) or epochs < 1:
        raise InputError(
            f"geometric_decay(start={start!r}, end={end!r}, epochs={epochs!r}): "
            "rates must be positive, epochs at least 1."
        )
    for group in optimizer.param_groups:
        group["lr"] = start * group.get("step_scale", 1.0)
        group.pop("initial_lr", None)  # of an earlier schedule
    return ExponentialLR(optimizer, gamma=(end / start) ** (1 / epochs))
