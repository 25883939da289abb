"""Two pending values become one: residuals, and the factors of XNOR-Net's K map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from binarynet.fold.folder import I32, Folder
from binarynet.fold.link import Link, scaling
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.fold.shapes import as_vector
from binarynet.graph.ir import Add, Mul


def _both(folder: Folder, place: Place, left: Pending, right: Pending) -> tuple[Pending, Pending]:
    left, right = (folder.inside(place, one) for one in (left, right))
    if len(folder.value(left).shape) != len(folder.value(right).shape):
        left, right = (as_vector(folder, place, one) for one in (left, right))
    if not np.array_equal(left.order, right.order):  # type: ignore[arg-type]
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
    if folder.value(sides[0]).shape != folder.value(sides[1]).shape:
        place.refuse(
            f"adds {folder.value(sides[0])} and {folder.value(sides[1])}; both must have one shape.",
            "Pool or pad the larger one first.",
        )
    return sides[0].bare(folder.emit(place, Add(folder.free(place.name), (sides[0].name, sides[1].name))))


def multiply(folder: Folder, place: Place, left: Pending, right: Pending) -> Pending:
    """left · right, where one of the two has one channel."""
    left, right = _both(folder, place, left, right)
    if folder.value(right).channels != 1 and folder.value(left).channels == 1:
        left, right = right, left
    one, factor = folder.value(left), folder.value(right)
    if factor.channels != 1 or one.shape[:-1] != factor.shape[:-1]:
        place.refuse(
            f"multiplies {one} by {factor}, both computed from the image.",
            "One of the two must have one channel (XNOR-Net's K map), or be a constant.",
        )
    names = tuple(folder.real(place, side).name for side in (left, right))
    return left.bare(folder.emit(place, Mul(folder.free(place.name), names)))


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
