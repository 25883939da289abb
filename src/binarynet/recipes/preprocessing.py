"""What stands before the first layer of networks whose papers whiten images, or normalize their contrast.

``none``     bytes, read as 2x / 255 − 1 up to a factor. The default of every recipe.
``gcn_zca``  global contrast normalization to the norm 55, then ZCA whitening with bias 0.1: CIFAR-10.
``gcn_lcn``  global contrast normalization to standard deviations (bias 10), then local contrast normalization by a
             Gaussian of 9 × 9: SVHN. Local normalization undoes the scale of the global one.

What is learnt from the training images, ZCA's mean and matrix, are buffers of the network. Its first layer then reads
reals: such a network lowers to a file with a real matrix of c · h · w squared numbers (37.7 MB for CIFAR-10).
"""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np
from torch import nn

from binarynet.data import GlobalContrast, Zca
from binarynet.nn import ByteInput, GlobalContrastNorm, LocalContrastNorm, Whitening
from binarynet.recipes.networks import Modules

Preprocessing = Literal["none", "gcn_zca", "gcn_lcn"]


def head(preprocessing: Preprocessing, shape: tuple[int, int, int], scale: float = 1.0) -> Modules:
    """The modules that read bytes of images of ``shape`` (channels, height, width); ``scale``: `ByteInput`'s."""
    if preprocessing == "gcn_zca":
        return {"contrast": GlobalContrastNorm(), "whitening": Whitening(prod(shape))}
    if preprocessing == "gcn_lcn":
        return {"contrast": GlobalContrastNorm(1.0, 10.0, use_std=True), "local": LocalContrastNorm()}
    return {"bytes": ByteInput(scale=scale)}


def prepare(model: nn.Module, images: np.ndarray) -> None:
    """Fit what `head` has put into ``model`` to the training images (n, channels, height, width) uint8.

    Raises `binarynet.errors.DataError` for fewer than two images.
    """
    whitening = dict(model.named_children()).get("whitening")
    if isinstance(whitening, Whitening):
        contrast = model.get_submodule("contrast")
        assert isinstance(contrast, GlobalContrastNorm)
        fitted = Zca.fit(GlobalContrast(contrast.scale, contrast.bias, contrast.use_std).apply(images))
        whitening.fill(fitted.mean, fitted.whitener)
