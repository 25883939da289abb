"""`Whitening`: a fixed linear map of whole images that the training images decide."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn.contrast import full


class Whitening(nn.Module):
    """y = (x − mean) · whitener, with x an image as one vector in the order (channels, height, width).

    Shapes: (n, c, h, w) or (n, features) with c · h · w = ``features`` → the same, of x's type. Nothing is learnt:
    ``mean`` (features,) and ``whitener`` (features, features) are buffers, which `fill` is given once, such as those
    of `binarynet.data.Zca`, and a state dict holds. Until then `forward` raises `InputError`, as for other sizes.

    Reference: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A.
    """

    mean: Tensor
    whitener: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        if features < 1:
            raise InputError(f"Whitening: features={features}; needs 1 or more.")
        self.features = features
        self.register_buffer("mean", torch.full((features,), torch.nan))
        self.register_buffer("whitener", torch.full((features, features), torch.nan))
        self._filled = False  # beside the buffers, so that no step waits for a device to say it

    @torch.no_grad()
    def fill(self, mean: Any, whitener: Any) -> None:
        """Take the two arrays or tensors over. `InputError` for other shapes, and numbers that are not finite."""
        given = [torch.as_tensor(one) for one in (mean, whitener)]
        if [tuple(one.shape) for one in given] != [(self.features,), (self.features, self.features)]:
            shapes = " and ".join(str(tuple(one.shape)) for one in given)
            raise InputError(f"Whitening: got mean and whitener of {shapes}, for {self.features} features.")
        if not all(torch.isfinite(one).all() for one in given):
            raise InputError("Whitening: mean or whitener holds a number that is not finite.")
        self.mean.copy_(given[0])
        self.whitener.copy_(given[1])
        self._filled = True

    def forward(self, x: Tensor) -> Tensor:
        if not self._filled:
            raise InputError(
                "Whitening has seen no images yet: train its recipe, load a state dict, or call fill(mean, whitener)."
            )
        flat = x.flatten(1)  # (n, c, h, w) → (n, features)
        if flat.shape[1] != self.features:
            raise InputError(f"Whitening is for {self.features} values, not for images of {tuple(x.shape[1:])}.")
        with torch.autocast(x.device.type, enabled=False):
            white = (full(flat) - full(self.mean)) @ full(self.whitener)
        return white.to(x.dtype).reshape(x.shape)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._filled = bool(torch.isfinite(self.mean).all())

    def extra_repr(self) -> str:
        return f"features={self.features}"
