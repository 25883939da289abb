"""Learning rate schedules of the papers."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, LRScheduler

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


@takes(optimizer=(Optimizer, "the optimizer whose learning rate falls"))
def cosine_decay(optimizer: Optimizer, epochs: int, warmup: int = 0) -> LRScheduler:
    """Learning rates that rise in a straight line for `warmup` epochs and fall to 0 as half a cosine, in epochs e of
    `epochs`: (e + 1) / (warmup + 1), then (1 + cos(π (e − warmup) / (epochs − warmup))) / 2 of each group's own rate.

    Call `step()` once an epoch. A warmup that would leave no epoch to fall in leaves one. `InputError` when `epochs` is
    below 1 or `warmup` below 0.

    Reference: Loshchilov, Hutter, "SGDR", arXiv 1608.03983, without restarts.
    """
    if epochs < 1 or warmup < 0:
        raise InputError(f"cosine_decay(epochs={epochs!r}, warmup={warmup!r}): epochs at least 1, warmup at least 0.")
    rising = min(warmup, epochs - 1)

    def factor(epoch: int) -> float:
        if epoch < rising:
            return (epoch + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * (epoch - rising) / (epochs - rising)))

    return LambdaLR(optimizer, factor)
