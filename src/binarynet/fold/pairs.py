"""Products whose weights are two numbers a filter, or whose codes have no 0: one product with ones beside it.

Each filter holds β + α and β − α (AdaBin), each code n means a (n − z), and what is padded around the image is the
real number 0, which lies between two codes. With signs s of the weights, and Σ over the places inside the image,

    Σ (α s + β) · a (n − z)  =  α a Σ s n  +  β a Σ n  −  α a z Σ s  −  β a z Σ 1

The second sum is that of one more filter, all ones. The third and fourth depend on the place alone: near a border
fewer places lie inside. They are the same product of an image of ones, which need not be larger than a border on every
side and a middle; a `Take` repeats its middle. Each sum is a whole number, and float32 scales and adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from binarynet.fold.folder import Folder
from binarynet.fold.link import Array
from binarynet.fold.place import Place
from binarynet.graph.ir import Add, Affine, Conv2d, Op, Take, Threshold, window_output


@dataclass(frozen=True)
class Pairs:
    """Filters of two numbers: ``signs`` (out, …) int8; ``spread`` and ``centre`` (out,) float64, α and β."""

    signs: Array
    spread: Array
    centre: Array


def pairs(value: Array) -> Pairs | None:
    """Weights (out, …) of which each filter holds at most two numbers, as `Pairs`; None for others."""
    rows = value.reshape(len(value), -1).astype(np.float64)
    low, high = rows.min(axis=1), rows.max(axis=1)
    upper = rows == high[:, None]
    if not np.all(upper | (rows == low[:, None])) or not np.isfinite(rows).all():
        return None
    signs = np.where(upper, 1, -1).astype(np.int8).reshape(value.shape)
    return Pairs(signs, (high - low) / 2, (high + low) / 2)


Make = Callable[[str, str, Array, str], Op]  # name, source, numbers, their encoding → the op


def with_ones(numbers: Array, groups: int) -> tuple[Array, Array, Array]:
    """(filters and behind those of each group one of ones, where each filter is, where its group's ones are)."""
    out = len(numbers) // groups
    each = numbers.reshape(groups, out, *numbers.shape[1:])
    joined = np.concatenate([each, np.ones_like(each[:, :1])], axis=1).reshape(-1, *numbers.shape[1:])
    own = np.arange(len(numbers)) + np.arange(len(numbers)) // out
    return joined, own, (np.arange(len(numbers)) // out + 1) * (out + 1) - 1


def product(
    folder: Folder,
    place: Place,
    source: str,
    make: Make,
    numbers: Array,
    encoding: str,
    parts: Sequence[tuple[Array | None, Array]],
    zero: Array | None,
) -> str:
    """The value of Σ_i scale_i · (the product's channels_i − zero · those of an image of ones), f32, by its name.

    ``parts``: (channels, scale): which channels of the product, None for all; (out,) both. ``zero`` (out,): the number
    that means 0, where there is a border; None where there is none.
    """
    op = make(folder.free(place.name), source, numbers, encoding)
    made = _summed(folder, place, op)
    found = [_scaled(folder, place, made, channels, scale) for channels, scale in parts]
    if zero is not None:
        ones, rows, columns = _ones(folder, place, source, op)
        base = _summed(folder, place, make(folder.free(f"{place.name}.ones"), ones, numbers, encoding))
        small = [_scaled(folder, place, base, channels, -zero * scale) for channels, scale in parts]
        name = _total(folder, place, small)
        count = folder.types[name].channels
        places = (np.asarray(one, np.int32) for one in (rows, columns, range(count)))
        found.append(folder.emit(place, Take(folder.free(f"{place.name}.border"), (name,), *places)))
    return _total(folder, place, found)


def _summed(folder: Folder, place: Place, op: Op) -> str:
    name = folder.emit(place, op)
    folder.slack[name] = rounding(folder.types[name].bound)
    return name


def rounding(bound: int) -> float:
    """By how much float32 may miss a sum of at most ``bound``, added up from numbers that are no integers."""
    return 2.0**-20 * (bound + 1)


def _scaled(folder: Folder, place: Place, name: str, channels: Array | None, scale: Array) -> str:
    if channels is not None:
        height, width = (1, 1, *folder.types[name].shape)[-3:-1]
        places = (np.asarray(one, np.int32) for one in (range(height), range(width), channels))
        name = folder.emit(place, Take(folder.free(f"{place.name}.part"), (name,), *places))
    each = scale.astype(np.float32)
    return folder.emit(place, Affine(folder.free(f"{name}.real"), (name,), each, np.zeros_like(each)))


def _total(folder: Folder, place: Place, names: Sequence[str]) -> str:
    total, *more = names
    for one in more:
        total = folder.emit(place, Add(folder.free(f"{place.name}.sum"), (total, one)))
    return total


def _ones(folder: Folder, place: Place, source: str, op: Op) -> tuple[str, list[int], list[int]]:
    """(an image of ones, for each row of the product the row of it that has the same border, and each column)."""
    assert isinstance(op, Conv2d)
    height, width, channels = folder.types[source].shape
    axes = zip((height, width), op.weight_shape[1:3], op.stride, op.dilation, op.padding, strict=True)
    (rows, which_rows), (columns, which_columns) = (_border(*axis) for axis in axes)
    places = (np.asarray(one, np.int32) for one in ([0] * rows, [0] * columns, range(channels)))
    taken = folder.emit(place, Take(folder.free(f"{place.name}.inside"), (source,), *places))
    none = np.zeros(channels, np.float32)
    real = folder.emit(place, Affine(folder.free(f"{taken}.one"), (taken,), none, none + 1))
    sure = Threshold(folder.free(f"{taken}.sign"), (real,), none[:, None], np.ones(channels, np.bool_))
    return folder.emit(place, sure), which_rows, which_columns


def _border(size: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int]) -> tuple[int, list[int]]:
    """(the shortest side whose windows lie over each border that those of ``size`` lie over, which of them is that)."""

    def inside(length: int) -> list[tuple[bool, ...]]:
        begins = [k * stride - padding[0] for k in range(window_output(length, kernel, stride, dilation, padding))]
        return [tuple(0 <= begin + k * dilation < length for k in range(kernel)) for begin in begins]

    wanted = inside(size)
    for length in range(1 + (size - 1) % stride, size + 1, stride):
        found = {one: k for k, one in enumerate(inside(length))}
        if all(one in found for one in wanted):
            return length, [found[one] for one in wanted]
    raise AssertionError("the side itself has its own borders")
