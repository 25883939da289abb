"""Transposed convolutions, as convolutions of an image with zeros between its pixels."""

from __future__ import annotations

import numpy as np

from binarynet.fold.folder import Folder
from binarynet.fold.link import Array
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.fold.products import Window, conv
from binarynet.fold.weights import Weight
from binarynet.graph.ir import Pair


def transposed(
    folder: Folder, place: Place, x: Pending, weight: Weight, bias: Array | None, window: Window, more: Pair
) -> Pending:
    """The transposed convolution with weight (in, out / groups, kernel height, kernel width), as a convolution of the
    image with zeros between its pixels. ``more``: rows and columns that are added at the end."""
    value, groups = folder.value(x), window.groups
    inside, out, *kernel = weight.value.shape
    if len(value.shape) == 1:
        x = folder.take(place, folder.inside(place, x), [0], [0], range(value.channels))
    reach = [(size - 1) * step for size, step in zip(kernel, window.dilation, strict=True)]
    padding = [
        (far - before, far - behind + extra)
        for far, (before, behind), extra in zip(reach, window.padding, more, strict=True)
    ]
    if min(side for pair in padding for side in pair) < 0:
        place.refuse(
            f"pads by {window.padding}, past its kernel: it cuts off what it makes.", "Pad less, and cut off behind it."
        )
    spread = []
    for size, step in zip((1, 1) if len(value.shape) == 1 else value.shape[:2], window.stride, strict=True):
        where = np.full((size - 1) * step + 1, -1)
        where[::step] = np.arange(size)
        spread.append(where)
    if any((where < 0).any() for where in spread):
        x = folder.with_zero(place, folder.inside(place, x))
        x = folder.take(place, x, spread[0], spread[1], range(value.channels))

    def turned(numbers: Array) -> Array:
        apart = numbers[:, :, ::-1, ::-1].reshape(groups, inside // groups, out, *kernel).swapaxes(1, 2)
        return np.ascontiguousarray(apart.reshape(groups * out, inside // groups, *kernel))

    unit = weight.unit
    if unit is not None and unit.size > 1:
        unit = None
    return conv(
        folder,
        place,
        x,
        Weight(turned(weight.value), unit if unit is None else unit.reshape(())),
        bias,
        Window((1, 1), window.dilation, (padding[0], padding[1]), groups),
    )
