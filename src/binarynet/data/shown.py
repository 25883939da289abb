"""How a picture file becomes the image that a model takes: by its input, and by what its file says of training.

A `.bnn` file says ``shape`` where the input is flat, ``background`` where pictures were transparent, ``resize`` where
photographs were cut. Whoever shows a picture to a model goes by this file, so that all get the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from binarynet.data.crops import Crops
from binarynet.data.own.values import Layout
from binarynet.data.pictures import Background, Notes, open_picture, read_picture
from binarynet.errors import InputError

Shape = tuple[int, int, int]  # (channels, height, width)


def shape_of(shape: tuple[int, ...], meta: Mapping[str, str]) -> Shape | None:
    """(channels, height, width) of the images that a model learnt from; None if a flat input's file does not say.

    shape: of the model's input, (height, width, channels) or (features,).
    Raises `InputError` for a file that says another number of features.
    """
    if len(shape) == 3:
        return shape[2], shape[0], shape[1]
    text = meta.get("shape", "")
    said = re.fullmatch(r"(\d{1,5})x(\d{1,5})x(\d{1,5})", text)
    found = tuple(map(int, said.groups())) if said else ()
    if text and (not said or prod(found) != prod(shape)):
        raise _unknown("shape", text, f"CHANNELSxHEIGHTxWIDTH of {prod(shape)} features")
    return cast(Shape, found) if found else None


def background_of(meta: Mapping[str, str]) -> Background | None:
    """What transparent places showed in the pictures that a model learnt from, if its file says so."""
    said = meta.get("background", "")
    if said not in ("", "black", "white"):
        raise _unknown("background", said, "black or white")
    return cast(Background, said) if said else None


def crops_of(shape: tuple[int, ...], meta: Mapping[str, str]) -> Crops | None:
    """How photographs were cut for a model that learnt from such, if its file says so."""
    said, image = meta.get("resize", ""), shape_of(shape, meta)
    if not said:
        return None
    if image is None or image[0] != 3 or image[1] != image[2]:
        raise _unknown("resize", said, "nothing, as its images are no squares of three colours")
    if not re.fullmatch("[0-9]{1,5}", said) or int(said) < image[1]:
        raise _unknown("resize", said, f"a number of pixels from {image[1]} on")
    return Crops(image[1], int(said))


def layout_of(meta: Mapping[str, str]) -> Layout | None:
    """Whether the arrays that a model learnt from have channels first or last, if its file says so."""
    said = meta.get("layout", "")
    if said not in ("", "nchw", "nhwc"):
        raise _unknown("layout", said, "nchw or nhwc")
    return cast(Layout, said) if said else None


def seed_of(meta: Mapping[str, str]) -> int:
    """By what seed the images that a model learnt from were told from those that test it; 0 if its file is silent."""
    said = meta.get("seed", "0")
    if not re.fullmatch("[0-9]{1,10}", said) or int(said) >= 2**32:
        raise _unknown("seed", said, "a whole number below 2^32")
    return int(said)


def _unknown(key: str, said: str, wanted: str) -> InputError:
    """How a picture was shown in training decides the answer, so what is not understood is not passed over."""
    return InputError(f"the model's file says {key}={said!r} of its pictures; it can say {wanted}. Pass a .npy array.")


@dataclass(frozen=True)
class Shown:
    """Pictures as one model takes them.

    shape: of the image. background: None takes black or white, whichever the ink stands out from. crops: None brings
    the whole picture to the shape.
    """

    shape: Shape
    background: Background | None = None
    crops: Crops | None = None

    @classmethod
    def to(cls, shape: tuple[int, ...], meta: Mapping[str, str], background: Background | None = None) -> Self:
        """For a model whose input has this shape and whose file says ``meta``; a background that is given wins.

        Raises:
            InputError: a flat input that is no square picture, and whose file does not say what it is.
        """
        image = shape_of(shape, meta) or _square(shape[0])
        return cls(image, background or background_of(meta), crops_of(shape, meta))

    def read(self, path: Path, content: bytes | None = None) -> tuple[NDArray[np.uint8], Notes]:
        """A picture as (1, channels, height, width) uint8, and what was done to it; as `read_picture` otherwise."""
        if self.crops is None:
            channels, height, width = self.shape
            return read_picture(path, height, width, channels, self.background, content)
        photograph, notes = open_picture(path, self.background, content)
        return self.crops.evaluation(photograph)[None], notes


def _square(features: int) -> Shape:
    """The image a flat input stands for: square and grey, or square and RGB."""
    for channels in (1, 3):
        side = round((features / channels) ** 0.5)
        if side * side * channels == features:
            return channels, side, side
    raise InputError(f"the model takes {features} features, which is no square picture; pass a .npy array")
