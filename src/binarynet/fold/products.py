"""Linear and convolutional layers: weights become integers, and what scales or shifts them becomes links.

The algebra: inputs are a (n − z), weights α w, with whole numbers n and w. Then

    Σ α w · a (n − z) + bias  =  α a (Σ w n − z Σ w) + bias

The op is Σ w n, and the rest are links behind it. A zero around the image is the number z, which the op pads with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from binarynet.fold.folder import F32, I32, Folder
from binarynet.fold.link import Array, Link, scaling, shift
from binarynet.fold.operand import Operand, operand
from binarynet.fold.pairs import Make, Pairs, pairs, product, rounding, with_ones
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.fold.pools import added, sums
from binarynet.fold.shapes import as_vector
from binarynet.fold.weights import Weight, halves, integers
from binarynet.graph import Encoding, Op
from binarynet.graph.ir import Add, Conv2d, Linear, Padding, Pair


class Window(NamedTuple):
    """Where a convolution looks."""

    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    groups: int = 1


def linear(folder: Folder, place: Place, x: Pending, weight: Weight, bias: Array | None) -> Pending:
    """x (depth,) → x · weightᵀ + bias, weight (out, depth)."""
    x = as_vector(folder, place, folder.inside(place, x))
    depth = weight.value.shape[1]
    if depth != folder.value(x).channels:
        place.refuse(f"has weights for {depth} inputs, reads {folder.value(x)}.")
    order = np.arange(depth) if x.order is None else x.order  # the network's columns → the graph's

    def make(name: str, source: str, numbers: Array, encoding: str) -> Op:
        return Linear(name, (source,), np.ascontiguousarray(numbers[:, order]), encoding)

    def zeros(zero: Array, numbers: Array) -> Array:
        return numbers[:, order] @ zero

    read = operand(folder, place, x)
    read = read._replace(x=Pending(read.x.name, read.x.links))
    return _product(folder, place, read, weight, bias, read.unit[:1], make, zeros)


def conv(folder: Folder, place: Place, x: Pending, weight: Weight, bias: Array | None, window: Window) -> Pending:
    """x (channels, height, width) ⋆ weight (out, in / groups, kernel height, kernel width) + bias."""
    kernel = (weight.value.shape[2], weight.value.shape[3])
    value = folder.value(x)
    if len(value.shape) == 1 and kernel == (1, 1) and window.groups == 1 and not np.any(window.padding):
        return linear(folder, place, x, _flat(weight), bias)  # a vector is an image of one pixel
    if len(value.shape) != 3:
        place.refuse(f"convolves {value}, which is not an image.")
    if _is_sum(folder, x, weight, bias, window):
        padding = added(window.padding, x.outside)
        made = sums(folder, place, replace(x, outside=None), kernel, window.stride, padding)
        worth = float(weight.value.flat[0])
        return made if worth == 1 else folder.then(place, made, scaling(place.name, worth, value.channels))
    pads = bool(np.any(window.padding))
    splits = integers(weight) is not None or pairs(weight.value) is not None
    read = operand(folder, place, x, pads, apart=window.groups == value.channels, between=splits)
    padding, number = _outside(place, read, window.padding, folder.value(read.x).encoding if splits else None)
    groups, out = window.groups, len(weight.value)
    each = read.unit[:1] if (read.unit == read.unit[0]).all() else read.unit

    def make(name: str, source: str, numbers: Array, encoding: str) -> Op:
        turned = np.ascontiguousarray(numbers.transpose(0, 2, 3, 1))  # (out, in, h, w) → (out, h, w, in)
        return Conv2d(name, (source,), turned, encoding, window.stride, window.dilation, padding, number or 0, groups)

    def zeros(zero: Array, numbers: Array) -> Array:
        taps = numbers.sum(axis=(2, 3))  # (out, in / groups)
        mine = zero.reshape(groups, -1)[np.arange(len(taps)) * groups // len(taps)]  # (out, in / groups)
        found: Array = (taps * mine).sum(axis=1)
        return found

    unit = each if len(each) == 1 else np.repeat(each, out // groups)
    read = read._replace(x=Pending(read.x.name, read.x.links))
    return _product(folder, place, read, weight, bias, unit, make, zeros, groups, number is None)


def _flat(weight: Weight) -> Weight:
    out = len(weight.value)
    unit = weight.unit
    return Weight(weight.value.reshape(out, -1), unit.reshape(out, 1) if unit is not None and unit.ndim else unit)


def _is_sum(folder: Folder, x: Pending, weight: Weight, bias: Array | None, window: Window) -> bool:
    """Whether this is a depthwise convolution of accumulators or reals in which all weights are one number: a sum."""
    value, first = folder.value(x), weight.value.flat[0]
    depthwise = weight.value.shape[:2] == (value.channels, 1) and window.groups == value.channels
    alike = depthwise and first != 0 and np.isfinite(first) and bool(np.all(weight.value == first))
    zeros = x.outside is None or x.outside[1] == 0
    plain = zeros and window.dilation == (1, 1) and (bias is None or not np.any(bias))
    return alike and plain and value.encoding in (I32, F32)


def _outside(place: Place, operand: Operand, padding: Padding, codes: Encoding | None) -> tuple[Padding, int | None]:
    """Padding and the number that stands there, of the convolution's own zeros and of what was padded before it; None
    for a 0 that is none of the ``codes``, where those are given."""
    own, before = padding, operand.x.outside
    value = 0.0
    if before is not None:
        value = before[1]
        if np.any(own) and value != 0:
            place.refuse(f"pads with 0 an image that is padded with {value:g} already.", "Pad once.")
        padding = added(own, before)
    if not np.any(padding):
        return padding, 0
    number = value / float(operand.unit[0]) + float(operand.zero[0])
    whole = float(np.rint(number))
    if codes is not None and value == 0 and not codes.is_float and (number != whole or not _is_code(codes, whole)):
        return padding, None
    if abs(number - whole) > 1e-5 * max(1.0, abs(whole)) or not np.isfinite(number):
        place.refuse(
            f"{value:g} outside the image is no whole number of {float(operand.unit[0]):g}.",
            "Pad with a value that the quantizer before it makes.",
        )
    return padding, int(whole)


def _is_code(codes: Encoding, number: float) -> bool:
    """Whether a product may put the number around the image: one of the codes, or 0."""
    return number == 0 or (codes.low <= number <= codes.high and (number - codes.low) % codes.step == 0)


def _product(
    folder: Folder,
    place: Place,
    operand: Operand,
    weight: Weight,
    bias: Array | None,
    unit: Array,
    make: Make,
    zeros: Callable[[Array, Array], Array],
    groups: int = 1,
    border: bool = False,
) -> Pending:
    """The op, and behind it what is pending: the zero point, the scales of input and weights, the bias."""
    if not np.isfinite(weight.value).all() or (bias is not None and not np.isfinite(bias).all()):
        place.refuse("a latent weight is not a number.", "Training has diverged; lower a good epoch.")
    found = integers(weight)
    two = None if found or folder.types[operand.x.name].encoding.is_float else pairs(weight.value)
    if border or (two and halves(weight.value) is None):
        return _in_parts(folder, place, operand, two or found, bias, unit, make, zeros, groups, border)
    if found is None:
        sides = halves(weight.value)
        if sides is not None:
            return _two_scales(folder, place, operand, sides, bias, unit, make, zeros)
        if not folder.allow_real:
            place.refuse("its weights are real, so it would run in float32.", folder.ways[1])
        found = weight.value, "f32", np.ones(1)
    numbers, encoding, worth = found
    name = folder.emit(place, make(folder.free(place.name), operand.x.name, numbers, encoding))
    links = _behind(place.name, operand.zero, numbers, np.asarray(unit * worth, np.float64), zeros)
    channels = len(numbers)
    plain = operand.plain and bool((worth == 1).all())
    if bias is not None and np.any(bias):
        links = (*links, shift(f"{place.name}.bias", np.broadcast_to(bias.reshape(-1), (channels,))))
    integer = folder.types[name].encoding == I32
    # The network sums up α a w n and the bias in float32, which rounds each time.
    if integer and not (plain and _coarse(bias)):
        folder.slack[name] = rounding(folder.types[name].bound)
    return Pending(name, links)


def _in_parts(
    folder: Folder,
    place: Place,
    operand: Operand,
    given: Pairs | tuple[Array, str, Array] | None,
    bias: Array | None,
    unit: Array,
    make: Make,
    zeros: Callable[[Array, Array], Array],
    groups: int,
    border: bool,
) -> Pending:
    """Filters of two numbers, or a border of zeros that lie between two codes: see `binarynet.fold.pairs`."""
    parts: list[tuple[Array | None, Array]]
    assert given is not None
    if isinstance(given, Pairs):
        encoding, out = "b1", len(given.signs)
        numbers, own, ones = with_ones(given.signs, groups)
        parts = [(own, unit * given.spread), (ones, unit * given.centre)]
    else:
        numbers, encoding, each = given
        out = len(numbers)
        parts = [(None, np.broadcast_to(unit * each, (out,)))]
    # In units of the first sum, so that sums that cancel out cancel out exactly where the factors are short.
    worth = np.where(parts[0][1] == 0, 1, parts[0][1])
    parts = [(channels, scale / worth) for channels, scale in parts]
    zero = np.repeat(operand.zero.reshape(groups, -1)[:, 0], out // groups)
    name = product(folder, place, operand.x.name, make, numbers, encoding, parts, zero if border else None)
    links: tuple[Link, ...] = ()
    if operand.zero.any() and not border:
        sums = zeros(operand.zero, numbers.astype(np.float64))
        less = sum(scale * (sums if channels is None else sums[channels]) for channels, scale in parts)
        links = (shift(f"{place.name}.zero", -np.asarray(less)),)
    links = (*links, scaling(f"{place.name}.scale", worth, out))
    if bias is not None and np.any(bias):
        links = (*links, shift(f"{place.name}.bias", np.broadcast_to(bias.reshape(-1), (out,))))
    return Pending(name, links)


def _coarse(bias: Array | None) -> bool:
    """Whether sums of whole numbers and the bias are exact in float32: it is a multiple of 1/64 below 2^16."""
    return bias is None or bool(np.all(bias * 64 == np.rint(bias * 64)) and np.all(np.abs(bias) < 2**16))


def _behind(
    name: str, zero: Array, numbers: Array, scale: Array, zeros: Callable[[Array, Array], Array]
) -> tuple[Link, ...]:
    """The links of z Σ w and of the scale."""
    links: tuple[Link, ...] = ()
    if zero.any():
        links = (shift(f"{name}.zero", -zeros(zero, numbers.astype(np.float64))),)
    if not (scale == 1).all():
        links = (*links, scaling(f"{name}.scale", scale, len(numbers)))
    return links


def _two_scales(
    folder: Folder,
    place: Place,
    operand: Operand,
    sides: tuple[tuple[str, Array, Array], ...],
    bias: Array | None,
    unit: Array,
    make: Make,
    zeros: Callable[[Array, Array], Array],
) -> Pending:
    """p · (x · positive) − n · (x · negative), each of the two with weights 0 and 1: no grid holds both."""
    sums = []
    for side, numbers, worth in sides:
        made = folder.emit(place, make(folder.free(f"{place.name}.{side}"), operand.x.name, numbers, "u1"))
        if folder.types[made].encoding == I32:
            folder.slack[made] = rounding(folder.types[made].bound)
        links = _behind(made, operand.zero, numbers, np.asarray(unit * worth, np.float64), zeros)
        sums.append(folder.real(place, Pending(made, links)).name)
    added = folder.emit(place, Add(folder.free(place.name), (sums[0], sums[1])))
    links = () if bias is None else (shift(f"{place.name}.bias", np.broadcast_to(bias.reshape(-1), (len(numbers),))),)
    return Pending(added, links)


def total(folder: Folder, place: Place, x: Pending) -> Pending:
    """The sum over all channels, as a product with ones. It is a sum, so reals may be read."""
    x = folder.real(place, folder.inside(place, x))
    channels, image = folder.value(x).channels, len(folder.value(x).shape) == 3
    ones = np.ones((1, 1, 1, channels) if image else (1, channels), np.int8)
    name = folder.free(place.name)
    return Pending(folder.emit(place, Conv2d(name, (x.name,), ones) if image else Linear(name, (x.name,), ones)))
