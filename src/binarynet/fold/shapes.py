"""Views: what changes the shape of a value and none of its numbers."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from binarynet.fold.folder import Folder
from binarynet.fold.link import Array
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.graph.ir import Flatten


def is_view(folder: Folder, x: Pending, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether the same numbers in another shape stay where they are: an image may lose or gain sides of 1, and become
    one vector."""
    if before == after or _sides(before) == _sides(after):
        return True
    return x.order is None and (len(after) == 1 or after[1:] == (1,) * (len(after) - 1)) and prod(before) == prod(after)


def view(
    folder: Folder, place: Place, x: Pending, before: tuple[int, ...], after: tuple[int, ...], alone: bool
) -> Pending:
    """The same numbers in another shape, where `is_view` says so. ``before``, ``after``: of one image, channels first,
    as the network has it. ``alone``: nothing else reads the value."""
    if before == after or _sides(before) == _sides(after):
        return as_vector(folder, place, x) if len(after) == 1 and x.outside is None else x
    return flatten(folder, place, folder.inside(place, x), alone)


def flatten(folder: Folder, place: Place, x: Pending, alone: bool) -> Pending:
    """An image as one vector, (channels, height, width) as networks flatten it."""
    value = folder.value(x)
    if len(value.shape) == 1:
        return x
    height, width, channels = value.shape
    order = np.arange(prod(value.shape)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
    links = tuple(link.spread(channels, height * width) for link in x.links)
    if x.name == "input" and alone and len(folder.ops) == 1:
        folder.reshape_input((prod(value.shape),))  # the graph's input simply is the vector, in the network's order
        return replace(x, links=tuple(link.at(np.argsort(order)) for link in links))
    name = folder.emit(place, Flatten(folder.free(place.name), (x.name,)))
    if height * width == 1:
        return replace(x, name=name, links=links)
    return replace(x, name=name, links=links, order=order)


def as_vector(folder: Folder, place: Place, x: Pending) -> Pending:
    """An image of one pixel as a vector; a vector as it is."""
    value = folder.value(x)
    if len(value.shape) == 3 and value.shape[:2] == (1, 1):
        return flatten(folder, place, x, alone=False)
    return x


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Channels, and the sides that are not 1."""
    return (shape[0], *(size for size in shape[1:] if size != 1))


def graph_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(channels, height, width), (channels, length) or (features,) of an image → its shape in the graph."""
    if len(shape) == 3:
        return (shape[1], shape[2], shape[0])
    return (1, shape[1], shape[0]) if len(shape) == 2 else shape


def codes(images: Array, shape: tuple[int, ...]) -> Array:
    """Images (n, channels, …) as a graph takes them whose input has ``shape``."""
    if len(shape) == 1:
        return images.reshape(len(images), -1)
    height, width, channels = shape
    return np.ascontiguousarray(np.moveaxis(images.reshape(len(images), channels, height, width), 1, -1))
