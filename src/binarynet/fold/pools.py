"""Pools: the largest slips under pending links, sums stay integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from binarynet.fold.folder import Folder
from binarynet.fold.link import division
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.graph.ir import MaxPool2d, Padding, Pair, SumPool2d

NONE: Padding = ((0, 0), (0, 0))


def image(folder: Folder, place: Place, x: Pending) -> Pair:
    """Height and width of what a pool reads."""
    shape = folder.value(x).shape
    if x.outside is not None:
        shape = tuple(size + sum(pads) for size, pads in zip(shape, x.outside[0], strict=False))
    if x.order is not None or len(folder.value(x).shape) != 3:
        place.refuse(f"pools {folder.value(x)}, which is not an image.")
    return shape[0], shape[1]


def padded(place: Place, x: Pending, around: Padding, value: float) -> Pending:
    """A constant around the image, which a convolution has to read."""
    if x.outside is not None:
        if x.outside[1] != value:
            place.refuse(f"pads with {value:g} an image that is padded with {x.outside[1]:g} already.", "Pad once.")
        around = added(around, x.outside)
    return replace(x, outside=(around, value), step=None)


def added(padding: Padding, outside: tuple[Padding, float] | None) -> Padding:
    """A padding and the one before it."""
    if outside is None:
        return padding
    rows, columns = ((one[0] + other[0], one[1] + other[1]) for one, other in zip(padding, outside[0], strict=True))
    return rows, columns


def max_pool(folder: Folder, place: Place, x: Pending, kernel: Pair, stride: Pair, padding: Padding = NONE) -> Pending:
    """max f(x) is f(max x), or f(min x) where the links f fall."""
    x = folder.inside(place, x)
    image(folder, place, x)
    if any(not link.monotone for link in x.links):  # may turn back
        x = folder.real(place, x)
    value = folder.value(x)
    falls = x.falling(float(value.bound), value.channels)
    name = folder.emit(place, MaxPool2d(folder.free(place.name), (x.name,), kernel, stride, falls, padding))
    return replace(x, name=name, step=None)


def average(folder: Folder, place: Place, x: Pending, kernel: Pair, stride: Pair, padding: Padding = NONE) -> Pending:
    """The sum under the window, and a division by its size behind it."""
    made = sums(folder, place, x, kernel, stride, padding)
    by = prod(kernel)
    links = () if by == 1 else (division(place.name, by, folder.value(made).channels),)
    return replace(made, links=(*made.links, *links))


def sums(folder: Folder, place: Place, x: Pending, kernel: Pair, stride: Pair, padding: Padding = NONE) -> Pending:
    """The sum under the window. Codes that are all worth the same are added as they are."""
    x = folder.inside(place, x)
    image(folder, place, x)
    unit = _unit(x)
    x = folder.real(place, x) if x.links and not unit else x
    op = SumPool2d(folder.free(place.name), (x.name,), kernel, stride, padding)
    made = x.bare(folder.emit(place, op), *(x.links if unit else ()))
    if unit or x.name in folder.slack:
        size = prod(kernel) * folder.slack.get(x.name, 0.0)
        folder.slack[made.name] = size + 2.0**-20 * folder.value(made).bound + 2.0**-20
    return made


def _unit(x: Pending) -> bool:
    """Whether the links do nothing but scale."""
    return bool(x.links) and all(link.affine is not None and not np.any(link.affine[1]) for link in x.links)


def windows(
    place: Place, size: Pair, kernel: Pair, stride: Pair, padding: Padding, ceil: bool, largest: bool
) -> Padding:
    """The padding with what a ceil_mode adds: windows that begin inside and hang over the border. The ``largest`` of
    one is that of the part inside."""
    sides = []
    for axis in (0, 1):
        before, behind = padding[axis]
        rest = (size[axis] + before + behind - kernel[axis]) % stride[axis]
        begins = size[axis] + behind + before - kernel[axis] - rest + stride[axis]  # of one window more
        if ceil and rest and begins < size[axis] + before:
            if not largest:
                place.refuse(
                    f"ceil_mode adds a window that hangs over the border of {size[0]}×{size[1]}: fewer pixels "
                    "have another average.",
                    "Use ceil_mode=False, or a size that the stride divides.",
                )
            behind += stride[axis] - rest
        sides.append((before, behind))
    return sides[0], sides[1]


def adaptive_pool(
    folder: Folder,
    place: Place,
    x: Pending,
    wanted: tuple[int | None, int | None],
    pool: Callable[[Folder, Place, Pending, Pair, Pair], Pending],
) -> Pending:
    """Pooling to a size that divides the image; to a multiple of its size, which repeats pixels."""
    size = image(folder, place, x)
    target = tuple(side if one is None else int(one) for one, side in zip(wanted, size, strict=True))
    if target[0] >= size[0] and target[1] >= size[1] and not (target[0] % size[0] or target[1] % size[1]):
        x = folder.inside(place, x)
        if target == size:
            return x
        rows, columns = (np.arange(one) // (one // side) for one, side in zip(target, size, strict=True))
        return folder.take(place, x, rows, columns, np.arange(folder.value(x).channels))
    return pool(folder, place, x, *adaptive(place, size, wanted))


def adaptive(place: Place, size: Pair, wanted: tuple[int | None, int | None]) -> tuple[Pair, Pair]:
    """(kernel, stride) of an adaptive pool to ``wanted``, where that divides the image."""
    target = tuple(side if one is None else int(one) for one, side in zip(wanted, size, strict=True))
    if any(one < 1 or side % one for one, side in zip(target, size, strict=True)):
        place.refuse(
            f"adaptive pooling to {target[0]}×{target[1]} of {size[0]}×{size[1]} takes windows of several sizes.",
            "Use an output_size that divides the image, such as 1.",
        )
    kernel = (size[0] // target[0], size[1] // target[1])
    return kernel, kernel
