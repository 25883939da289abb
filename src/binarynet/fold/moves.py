"""Numbers that change places: slices, permutations, repetitions, enlargements, paddings with 0.

A network may reshape and permute a value in several steps of which none has a counterpart, and end at something plain:
a channel shuffle goes through five dimensions. So steps that only move numbers are put together, as a map from each
place to the place of the graph value that its number comes from. Who reads the value gets it settled: as one `Take`
where rows, columns and channels are chosen independently, as a few of them joined where they are not (PixelShuffle),
and as an `Unflatten` where a vector becomes an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from binarynet.fold.folder import Folder
from binarynet.fold.link import Array, Link
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.fold.shapes import as_vector
from binarynet.graph.ir import Add, Concat, Unflatten

Places = NDArray[np.int64]
_PARTS = 64  # that one value is put together of, at most


class _Axes(NamedTuple):
    """Where rows, columns and channels come from, −1: nowhere."""

    rows: Places
    columns: Places
    channels: Places


def places(folder: Folder, x: Pending) -> Places:
    """The map of a value: of one image as the network has it, channels first, the places counted in that order."""
    if x.moved is not None:
        return x.moved
    shape = folder.value(x).shape
    return np.arange(np.prod(shape)).reshape(shape[-1], *shape[:-1])


def move(
    folder: Folder, place: Place, x: Pending, before: tuple[int, ...], run: Callable[[NDArray[Any]], NDArray[Any]]
) -> Pending:
    """A step that moves numbers and changes none. ``run`` is the step itself, on one image (1, *before) of float64 that
    holds a number for each place; a 0 that it puts in is a 0 of the network."""
    x = x if x.moved is not None else folder.inside(place, x)
    found = places(folder, x)
    made = np.asarray(run((found + 1).reshape(1, *before).astype(np.float64)))
    whole = np.rint(made).astype(np.int64)
    if not np.array_equal(whole, made):
        place.refuse("changes numbers while it moves them.")
    moved = whole[0] - 1
    shape = folder.value(x).shape
    natural = (shape[-1], *shape[:-1]) if len(shape) == 3 else shape
    same = moved.shape == natural and np.array_equal(moved.reshape(-1), np.arange(moved.size))
    return replace(x, moved=None if same else moved, step=None)


def together(folder: Folder, parts: Sequence[Pending], shapes: Sequence[tuple[int, ...]], axis: int) -> Pending | None:
    """Parts of one graph value one behind the other, which is a move as well; None if they are of several.
    ``shapes``: of one image of each, as the network has it."""
    first = parts[0]
    if any((one.name, one.links, one.outside) != (first.name, first.links, None) for one in parts):
        return None
    found = [places(folder, one).reshape(shape) for one, shape in zip(parts, shapes, strict=True)]
    return replace(first, moved=np.concatenate(found, axis), step=None)


def settle(folder: Folder, place: Place, x: Pending) -> Pending:
    """The value with all of its numbers in place."""
    found = x.moved
    if found is None:
        return x
    x = replace(x, moved=None, step=None)
    shape, rank = folder.value(x).shape, found.ndim
    if x.order is not None:  # of a flattened image
        found = np.where(found < 0, -1, np.argsort(x.order)[np.maximum(found, 0)])
    image = _as_image(place, found)
    sizes: tuple[int, int, int] = (1, 1, shape[0]) if len(shape) == 1 else (shape[0], shape[1], shape[2])
    x = folder.with_zero(place, x) if (found < 0).any() else x
    made = _settled(folder, place, x, image, sizes)
    if rank == 1:
        return as_vector(folder, place, made)
    return made


def expand(folder: Folder, place: Place, x: Pending, shape: tuple[int, ...]) -> Pending:
    """A value of one pixel, row, column or channel as often as ``shape`` (height, width, channels) wants it."""
    sizes = (1, 1, *folder.value(x).shape)[-3:]
    if any(size not in (1, wanted) for size, wanted in zip(sizes, shape, strict=True)):
        place.refuse(
            f"joins values of {_shown(sizes)} and {_shown(shape)}; both must have one shape.",
            "Pool or pad the larger one first.",
        )
    if sizes == shape:
        return x
    if x.order is not None:
        place.refuse("spreads a flattened image.", "Spread the image before it is flattened.")
    return folder.take(place, x, *(np.arange(wanted) % size for wanted, size in zip(shape, sizes, strict=True)))


def _settled(folder: Folder, place: Place, x: Pending, image: Places, sizes: tuple[int, int, int]) -> Pending:
    axes = _axes(image, sizes)
    if axes is not None:
        return folder.take(place, x, *axes)
    if sizes[:2] == (1, 1):
        return _unflattened(folder, place, x, image)
    by_channel = _groups(place, image.reshape(len(image), -1) % (sizes[0] * sizes[1]), image)
    if by_channel is not None:  # each channel from other pixels: PixelUnshuffle
        parts = [_settled(folder, place, x, image[chosen], sizes) for chosen in by_channel]
        order = np.argsort(np.concatenate([np.flatnonzero(chosen) for chosen in by_channel]))
        joined = join(folder, place, parts)
        return folder.take(place, joined, np.arange(image.shape[1]), np.arange(image.shape[2]), order)
    pixels = image.reshape(len(image), -1).T
    by_pixel = _groups(place, pixels // (sizes[0] * sizes[1]), pixels)
    if by_pixel is None:
        place.refuse(
            f"moves {_shown(image.shape)} numbers in a way that no few rows, columns and channels tell.",
            "Slices, permutations, PixelShuffle and nearest enlargement have a counterpart.",
        )
    x = folder.with_zero(place, x)  # each pixel from other channels: PixelShuffle, as a sum of what lies apart
    x = folder.real(place, x) if x.links or str(folder.value(x).encoding) not in ("i32", "f32") else x
    total: Pending | None = None
    for chosen in by_pixel:
        part = np.where(chosen.reshape(1, *image.shape[1:]), image, -1)
        apart = _axes(part, sizes)
        if apart is None:
            place.refuse("moves pixels in a way that no few rows and columns tell.")
        one = folder.take(place, x, *apart)
        if total is not None:
            slack = folder.slack.get(one.name, 0.0) + folder.slack.get(total.name, 0.0)
            name = folder.emit(place, Add(folder.free(place.name), (total.name, one.name)))
            one = Pending(name)
            if slack:
                folder.slack[name] = slack
        total = one
    assert total is not None
    return total


def _unflattened(folder: Folder, place: Place, x: Pending, image: Places) -> Pending:
    """A vector as an image (channels, height, width) of its places, each of them from anywhere in it."""
    x = as_vector(folder, place, x)
    x = folder.real(place, x) if x.links or str(folder.value(x).encoding) not in ("i32", "f32") else x
    channels, height, width = image.shape
    wanted = image.transpose(1, 2, 0).reshape(-1)  # (channels, height, width) → (height · width · channels,)
    if not np.array_equal(wanted, np.arange(folder.value(x).channels)):
        x = folder.take(place, x, [0], [0], wanted)
    return Pending(folder.emit(place, Unflatten(folder.free(place.name), (x.name,), (height, width, channels))))


def _groups(place: Place, keys: Places, within: Places) -> list[NDArray[np.bool_]] | None:
    """Rows of ``keys`` that are alike, as masks; None where there is one kind of them, or too many."""
    keys = np.where(within.reshape(keys.shape) < 0, -1, keys)
    kinds, of = np.unique(keys, axis=0, return_inverse=True)
    if not 1 < len(kinds) <= _PARTS:
        return None
    return [of.reshape(-1) == kind for kind in range(len(kinds))]


def _axes(image: Places, sizes: tuple[int, int, int]) -> _Axes | None:
    """The places (channels, height, width) as one choice for each axis, if they are that."""
    height, width, _ = sizes
    there = image >= 0
    channel, row, column = image // (height * width), image // width % height, image % width
    found = []
    for axis, one in ((1, row), (2, column), (0, channel)):
        others = tuple(k for k in range(3) if k != axis)
        first = np.where(there, one, -1).max(axis=others)
        wanted = np.expand_dims(first, others)
        if np.any(there & (one != wanted)):
            return None
        found.append(first)
    rows, columns, channels = found
    nowhere = (channels < 0)[:, None, None] | (rows < 0)[None, :, None] | (columns < 0)[None, None, :]
    return _Axes(rows, columns, channels) if np.array_equal(nowhere, ~there) else None


def _as_image(place: Place, found: Places) -> Places:
    """(channels, …) → (channels, height, width)."""
    shape = found.shape
    if len(shape) > 3:
        shape = (shape[0], *(size for size in shape[1:] if size != 1))
    if len(shape) > 3:
        place.refuse(
            f"makes {_shown(found.shape)}, which is read as it is; a graph has images and vectors.",
            "Bring it back to (channels, height, width) before a layer reads it.",
        )
    shape = {1: (*shape, 1, 1), 2: (shape[0], 1, shape[-1])}.get(len(shape), shape)
    return found.reshape(shape)


def join(folder: Folder, place: Place, parts: Sequence[Pending]) -> Pending:
    """Values with their channels one behind the other, and nothing pending but one link, a line."""
    encodings = {str(folder.value(one).encoding) for one in parts}
    lines = all(link.affine is not None for one in parts for link in one.links)
    if len(encodings) > 1 or not lines or (encodings == {"f32"} and any(one.links for one in parts)):
        parts = [folder.real(place, one) for one in parts]
    channels = [folder.value(one).channels for one in parts]
    name = folder.emit(place, Concat(folder.free(place.name), tuple(one.name for one in parts)))
    order = None
    if any(one.order is not None for one in parts):
        ends = np.cumsum([0, *channels])
        order = np.concatenate(
            [
                (np.arange(size) if one.order is None else one.order) + begin
                for one, size, begin in zip(parts, channels, ends, strict=False)
            ]
        )
    links = (_beside(f"{name}.unit", parts, channels),) if any(one.links for one in parts) else ()
    return Pending(name, links, order)


def _beside(name: str, parts: Sequence[Pending], channels: Sequence[int]) -> Link:
    """The links of values whose channels stand one behind the other, all of which are lines, as one."""
    ends = np.cumsum(channels)[:-1]

    def run(x: Array) -> Array:
        shown = np.split(x, ends, axis=1)
        return np.concatenate([one.evaluate(part) for one, part in zip(parts, shown, strict=True)], axis=1)

    lines = [one.composed(size) for one, size in zip(parts, channels, strict=True)]
    return Link(name, "concat", run, (np.concatenate([a for a, _ in lines]), np.concatenate([b for _, b in lines])))


def _shown(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
