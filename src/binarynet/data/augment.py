"""Random crops and mirror images of a batch: an option; the BNN papers' results have none.

The usual CIFAR augmentation: C.-Y. Lee et al., "Deeply-Supervised Nets", arXiv 1409.5185; K. He et al.,
arXiv 1512.03385.
"""

from __future__ import annotations

import numpy as np

from binarynet.errors import DataError, takes


@takes(
    images=(np.ndarray, "an array (n, channels, height, width)"),
    generator=(np.random.Generator, "a generator, such as numpy.random.default_rng(0)"),
)
def pad_crop_flip(
    images: np.ndarray, generator: np.random.Generator, pad: int = 4, flip: float = 0.5, fill: int = 0
) -> np.ndarray:
    """Move each image by up to `pad` pixels each way and mirror it left-right with probability `flip`.

    images: (n, c, h, w) uint8, or any other type; left as they are.
    generator: gives (n,) rows, (n,) columns and (n,) mirror decisions, in this order: same seed, same
    result.
    fill: the value of the pixels that move in (0 is black; 127 is the middle of the range a network sees).

    Returns a new array of the same shape and type. Digits should not be mirrored: give `flip=0`.
    Raises `DataError` for an array that is not four-dimensional, a negative `pad`, or `flip` outside 0..1.
    """
    if images.ndim != 4:
        raise DataError(f"augmentation needs images of shape (n, c, h, w), not {images.shape}")
    if pad < 0 or not 0 <= flip <= 1:
        raise DataError(f"augmentation needs pad >= 0 and 0 <= flip <= 1, not pad={pad}, flip={flip}")
    n, _, height, width = images.shape
    top = generator.integers(0, 2 * pad + 1, n)
    left = generator.integers(0, 2 * pad + 1, n)
    mirrored = generator.random(n) < flip

    padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    crops = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    moved = np.ascontiguousarray(crops[np.arange(n), :, top, left])  # (n, c, 2·pad+1, 2·pad+1, h, w) → (n, c, h, w)
    moved[mirrored] = moved[mirrored, :, :, ::-1]
    return moved
