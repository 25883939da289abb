"""The clip of latent weights to [−clip, clip], which stands in an optimizer's groups (`latent_optimizer`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch


def clip_of(group: dict[str, Any]) -> float:
    """The group's limit, infinity where it has none."""
    clip = group.get("clip")
    return math.inf if clip is None else float(clip)


@torch.no_grad()
def clip_groups(groups: Iterable[dict[str, Any]]) -> None:
    """Clamp the parameters of every group that has a limit, in place."""
    for group in groups:
        if group.get("clip") is not None and group["params"]:
            torch._foreach_clamp_min_(group["params"], -group["clip"])
            torch._foreach_clamp_max_(group["params"], group["clip"])
