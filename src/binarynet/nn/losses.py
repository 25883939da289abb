"""The loss of the binarized networks: an L2-SVM on the outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from binarynet.errors import InputError, expect


def squared_hinge(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over batch **and** classes of max(0, 1 - t y)^2, with t = +1 for the target class and -1 for the
    others.

    `logits` (n, classes) of any float dtype, computed in float32 at least; `target` (n,) int64 class indices.
    Returns a scalar. Some codes sum over the classes instead: their learning rates are not comparable.
    `InputError` when the shapes or the target's dtype do not fit.

    Reference: Tang, "Deep Learning using Linear Support Vector Machines", arXiv 1306.0239; averaged as in the
    Theano code of Courbariaux et al., arXiv 1602.02830.
    """
    expect("squared_hinge: logits", logits, Tensor, "a tensor (n, classes)")
    expect("squared_hinge: target", target, Tensor, "a tensor (n,) of int64")
    if logits.ndim != 2 or target.shape != logits.shape[:1] or target.dtype != torch.int64:
        raise InputError(
            f"squared_hinge got logits of shape {tuple(logits.shape)} and a target of shape "
            f"{tuple(target.shape)}, {target.dtype}; it takes logits (n, classes) and int64 indices (n,)."
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    # 1 - t y is 1 + y for every class but the target's, where it is 1 - y.
    signs = torch.full_like(logits, -1.0).scatter(1, target.unsqueeze(1), 1.0)  # (n, classes)
    return (1 - signs * logits).clamp(min=0).square().mean()


class SquaredHinge(nn.Module):
    """`squared_hinge` as a module."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return squared_hinge(logits, target)
