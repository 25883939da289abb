"""Photographs of any size → images of one size: random crops in training, the middle in evaluation.

| step                | training                                                     | evaluation                |
|---------------------|--------------------------------------------------------------|---------------------------|
| cut                 | a share of the area, at a side ratio of 3:4 to 4:3           | the middle square         |
| or, ``area=None``   | a square of ``size`` where the shorter side is ``resize``    | the same                  |
| mirror, colours     | as asked for                                                 | as they are               |

Cuts: C. Szegedy et al., "Going Deeper with Convolutions", arXiv 1409.4842. Lighting: A. Krizhevsky et al., "ImageNet
Classification with Deep Convolutional Neural Networks", 2012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import DataError

Image = NDArray[np.uint8]  # (3, size, size)
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels

_BILINEAR, _TRIES = 2, 10
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
# Of the colours of ImageNet, in [0, 1]: standard deviations along their principal axes, and the axes as columns.
_DEVIATIONS = np.array([0.2175, 0.0188, 0.0045])
_AXES = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


@dataclass(frozen=True)
class Crops:
    """What is done to a photograph.

    size: of the square that the network sees. resize: what the shorter side counts as, of which ``size`` is shown in
        evaluation (256 of 224: the middle 87.5 %).
    area: the least and the largest share of the photograph that training cuts out; None: squares of ``size``.
    jitter: brightness, contrast and saturation are each multiplied by up to 1 ± jitter.
    lighting: deviation of the noise along the principal axes of the colours, in units of their own.

    Raises `DataError` for sizes below 1, ``resize`` below ``size``, shares outside 0 … 1.
    """

    size: int = 224
    resize: int = 256
    area: tuple[float, float] | None = (0.08, 1.0)
    flip: float = 0.5
    jitter: float = 0.0
    lighting: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.area or (1.0, 1.0)
        if not 1 <= self.size <= self.resize or not 0 < low <= high <= 1 or not 0 <= self.flip <= 1:
            raise DataError(
                f"size={self.size}, resize={self.resize}, area={self.area}, flip={self.flip}: needed are "
                "1 <= size <= resize, 0 < least <= largest <= 1, and 0 <= flip <= 1."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(3, size, size)."""
        return 3, self.size, self.size

    def evaluation(self, picture: Any) -> Image:
        """A Pillow picture → (3, size, size) uint8: the middle."""
        width, height = picture.size
        side = min(width, height) * self.size / self.resize
        left, top = (width - side) / 2, (height - side) / 2
        return _pixels(picture, (left, top, left + side, top + side), self.size)

    def training(self, picture: Any, generator: np.random.Generator) -> Image:
        """A Pillow picture → (3, size, size) uint8. The generator decides all that is random."""
        image = _pixels(picture, self._box(picture.width, picture.height, generator), self.size)
        if generator.random() < self.flip:
            image = np.ascontiguousarray(image[:, :, ::-1])
        if not self.jitter and not self.lighting:
            return image
        colours = image.astype(np.float32)
        if self.jitter:
            colours = self._jittered(colours, generator)
        if self.lighting:
            noise = 255 * (_AXES @ (generator.normal(0, self.lighting, 3) * _DEVIATIONS))  # (3, 3) @ (3,) → (3,)
            colours = colours + noise[:, None, None]
        return np.rint(colours).clip(0, 255).astype(np.uint8)

    def _box(self, width: int, height: int, generator: np.random.Generator) -> Box:
        if self.area is None:
            side = min(width, height) * self.size / self.resize
            left, top = generator.random() * (width - side), generator.random() * (height - side)
            return left, top, left + side, top + side
        for _ in range(_TRIES):
            area = width * height * generator.uniform(*self.area)
            ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
            wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < wide <= width and 0 < tall <= height:
                left = float(generator.integers(0, width - wide + 1))
                top = float(generator.integers(0, height - tall + 1))
                return left, top, left + wide, top + tall
        side = min(width, height)  # a strip, of which no part has such a ratio
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side

    def _jittered(self, colours: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        brightness, contrast, saturation = generator.uniform(1 - self.jitter, 1 + self.jitter, 3).astype(np.float32)
        for kind in generator.permutation(3):
            grey = np.tensordot(_GREY, colours, 1)  # (3,) · (3, size, size) → (size, size)
            if kind == 0:
                colours = colours * brightness
            elif kind == 1:
                colours = grey.mean() + (colours - grey.mean()) * contrast
            else:
                colours = grey + (colours - grey) * saturation
            colours = colours.clip(0, 255)
        return colours


def _pixels(picture: Any, box: Box, size: int) -> Image:
    resized = picture.convert("RGB").resize((size, size), _BILINEAR, box=box)
    return np.ascontiguousarray(np.asarray(resized, np.uint8).transpose(2, 0, 1))
