"""Several pending values become one: residuals, gates, the factors of XNOR-Net's K map, concatenations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from binarynet.fold.folder import I32, Folder
from binarynet.fold.link import Link, applied, scaling
from binarynet.fold.moves import expand, join
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.fold.shapes import as_vector
from binarynet.graph.ir import Add, Mul


def _both(folder: Folder, place: Place, left: Pending, right: Pending) -> tuple[Pending, Pending]:
    left, right = (folder.inside(place, one) for one in (left, right))
    if len(folder.value(left).shape) != len(folder.value(right).shape):
        left, right = (as_vector(folder, place, one) for one in (left, right))
    shapes = [folder.value(one).shape for one in (left, right)]
    if shapes[0] == shapes[1] and not np.array_equal(left.order, right.order):  # type: ignore[arg-type]
        place.refuse("joins a flattened image with a vector of another order.", "Join the images, then flatten.")
    return left, right


def add(folder: Folder, place: Place, left: Pending, right: Pending, alpha: float = 1.0) -> Pending:
    """left + alpha · right."""
    left, right = _both(folder, place, left, right)
    if alpha != 1:
        channels = folder.value(right).channels
        right = replace(right, links=(*right.links, scaling(f"{place.name}.alpha", alpha, channels)), step=None)
    sides = (left, right)
    if any(one.links or folder.value(one).encoding != I32 for one in sides):
        sides = (folder.real(place, left), folder.real(place, right))
    else:
        slack = sum(folder.slack.get(one.name, 0.0) for one in sides)
        if slack:
            folder.slack[folder.free(place.name)] = slack
    sides = _of_one_shape(folder, place, *sides)
    return sides[0].bare(folder.emit(place, Add(folder.free(place.name), (sides[0].name, sides[1].name))))


def multiply(folder: Folder, place: Place, left: Pending, right: Pending) -> Pending:
    """left · right in float32; a size that is 1 in one of them is that of the other."""
    left, right = _both(folder, place, left, right)
    left, right = (folder.real(place, side) for side in (left, right))
    if prod(folder.value(left).shape) < prod(folder.value(right).shape):
        left, right = right, left
    wanted = _sizes(folder, left)
    if any(size not in (1, full) for size, full in zip(_sizes(folder, right), wanted, strict=True)):
        left, right = _of_one_shape(folder, place, left, right)
    return left.bare(folder.emit(place, Mul(folder.free(place.name), (left.name, right.name))))


def divide(folder: Folder, place: Place, x: Pending, by: Pending) -> Pending:
    """x / by: x times the reciprocal, which rounds twice where a division rounds once."""
    over = folder.then(place, by, applied(f"{place.name}.reciprocal", "reciprocal"))
    return multiply(folder, place, x, folder.real(place, over))


def concat(folder: Folder, place: Place, parts: Sequence[Pending], axis: int) -> Pending:
    """Values one behind the other: along the channels (``axis`` 0), height (1) or width (2) of an image."""
    parts = [folder.inside(place, one) for one in parts]
    if len({len(folder.value(one).shape) for one in parts}) > 1:
        parts = [as_vector(folder, place, one) for one in parts]
    if len(parts) == 1:
        return parts[0]
    if axis == 0:
        return join(folder, place, parts)
    parts = [folder.real(place, one) for one in parts]
    sizes = [_sizes(folder, one) for one in parts]
    if axis > 2 or any((*one[: axis - 1], *one[axis:]) != (*sizes[0][: axis - 1], *sizes[0][axis:]) for one in sizes):
        place.refuse("joins values of several sizes.")
    total, begin, whole = None, 0, sum(one[axis - 1] for one in sizes)
    for one, size in zip(parts, sizes, strict=True):
        where = [np.arange(count) for count in size]
        where[axis - 1] = np.full(whole, -1)
        where[axis - 1][begin : begin + size[axis - 1]] = np.arange(size[axis - 1])
        spread, begin = folder.take(place, one, *where), begin + size[axis - 1]
        total = spread if total is None else add(folder, place, total, spread)
    assert total is not None
    return total


def _sizes(folder: Folder, x: Pending) -> tuple[int, ...]:
    """Height, width, channels; a vector is an image of one pixel."""
    return (1, 1, *folder.value(x).shape)[-3:]


def _of_one_shape(folder: Folder, place: Place, left: Pending, right: Pending) -> tuple[Pending, Pending]:
    """Both as large as the larger of them in every direction."""
    if folder.value(left).shape == folder.value(right).shape:
        return left, right
    sizes = [_sizes(folder, one) for one in (left, right)]
    shape = tuple(max(pair) for pair in zip(*sizes, strict=True))
    return expand(folder, place, left, shape), expand(folder, place, right, shape)


def magnitude(folder: Folder, place: Place, x: Pending) -> Pending:
    """|x| = relu(x) + relu(−x)."""
    x = folder.real(place, x)
    channels = folder.value(x).channels
    minus = Link(f"{place.name}.minus", "neg", np.negative, (-np.ones(channels), np.zeros(channels)))
    sides = []
    for side, links in (("above", ()), ("below", (minus,))):
        relu = Link(f"{place.name}.{side}", "ReLU", lambda y: np.maximum(y, 0), borders=(0, np.inf))
        sides.append(folder.real(place, x.bare(x.name, *links, relu)))
    return add(folder, place, sides[0], sides[1])
