"""XNOR-Net's treatment of latent weights after every step: filters without mean, and a clamp."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from binarynet.errors import InputError, takes
from binarynet.nn import BinaryLayer


@takes(optimizer=(Optimizer, "an optimizer, such as latent_optimizer(…, clip=None) makes"))
def center_latent_weights(optimizer: Optimizer, layers: Iterable[BinaryLayer], clip: float = 1.0) -> None:
    """Keep the latent weights of `layers` centred and within [-clip, clip]: now, and after every `step()`.

    For each filter and each place in it (y, x), the mean over the input channels is subtracted, then the
    weights are clamped, both in place and in this order. Weights are (out, in, ...); of a Linear, in are the
    features. The authors do this at the beginning of every iteration, which is the same but for the weights
    that are saved: here those, too, are centred.

    Build `optimizer` with `latent_optimizer(..., clip=None)` or it clips first. `InputError` for a layer with
    one input channel, whose weights would all become 0 (a first layer on grey images: leave it out), and for a
    `clip` that is not positive.

    Reference: the code to Rastegari et al., "XNOR-Net", arXiv 1603.05279 (`meancenterConvParms`,
    `clampConvParms`).
    """
    if not clip > 0:
        raise InputError(f"clip={clip!r}; it is the largest magnitude of a latent weight: positive.")
    weights: list[nn.Parameter] = []
    for layer in layers:
        assert isinstance(layer.weight, nn.Parameter)
        if layer.weight.shape[1] == 1:
            raise InputError(
                f"{layer} has one input channel: without their mean its weights are all 0. Leave the layer out."
            )
        weights.append(layer.weight)

    def center(*step: Any) -> None:
        for weight in weights:
            center_(weight, clip)

    center()
    optimizer.register_step_post_hook(center)


@torch.no_grad()
def center_(weight: Tensor, clip: float = 1.0) -> None:
    """Subtract the mean over axis 1, then clamp to [-clip, clip], in place."""
    weight.sub_(weight.mean(1, keepdim=True)).clamp_(-clip, clip)
