"""Running statistics of the norms for the weights that evaluation uses.

A net whose weights are drawn in training is normalised by statistics of drawn weights; at evaluation it has others,
and its norms misfit. One pass over some training batches, with evaluation's weights, measures what they see.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def reestimate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of every norm of `model` to their means over `batches` of images.

    Everything but the norms is in evaluation mode meanwhile, so that no random number is drawn; each module is in its
    own mode again afterwards. Norms are the modules with `running_mean` and `momentum` (torch's and ours).
    """
    norms = [module for module in model.modules() if getattr(module, "running_mean", None) is not None]
    modes = [(module, module.training) for module in model.modules()]
    momenta = [(norm, norm.momentum) for norm in norms]
    model.eval()
    for norm in norms:
        norm.train()
    try:
        for count, images in enumerate(batches, start=1):
            for norm in norms:
                norm.momentum = 1 / count  # type: ignore[assignment]  # the first batch replaces, then it is a mean
            model(images)
    finally:
        for norm, momentum in momenta:
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
