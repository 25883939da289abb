"""What a product reads: codes, their unit and zero point where it can be so, else reals."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from binarynet.fold.folder import F32, I32, Folder, table
from binarynet.fold.link import Array, Link
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.graph.ir import Threshold


class Recode(Exception):
    """Raised when the raw input should be read as 2c − high; the walk starts again with that."""


class Operand(NamedTuple):
    """What a product reads: an element of ``x`` means ``unit`` · (number − ``zero``), (channels,) each.

    Of reals ``unit`` is 1 and ``zero`` 0.
    """

    x: Pending
    unit: Array
    zero: Array

    @property
    def plain(self) -> bool:
        return not self.zero.any() and bool((self.unit == 1).all())


def operand(
    folder: Folder, place: Place, x: Pending, padded: bool = False, apart: bool = False, between: bool = False
) -> Operand:
    """What a product reads: codes, their unit and zero point where it can be so, else reals.

    ``padded``: whether the product itself puts the number 0 around the image; ``apart``: whether it keeps the
    channels apart, so that each may have a unit of its own; ``between``: whether the 0 that is padded may lie between
    two codes.
    """
    value, channels = folder.value(x), folder.value(x).channels
    ones, zeros = np.ones(channels), np.zeros(channels)
    if value.encoding not in (I32, F32):
        found = _line(folder, x)
        if found is not None:
            unit, zero = found
            if x.name == "input" and value.encoding.kind == "u" and np.all(zero == value.encoding.high / 2):
                raise Recode
            if x.name in folder.decided and value.encoding.kind == "u" and np.all(zero == value.encoding.high / 2):
                return Operand(replace(x, name=_bipolar(folder, place, x.name), links=()), unit / 2, zeros)
            whole = bool(np.all(zero == np.rint(zero)) and np.all(zero == zero[0]))
            alike = apart or bool((unit == unit[0]).all())
            pads = bool(padded or x.outside)
            if alike and (whole or not pads or (between and (apart or np.all(zero == zero[0])))):
                return Operand(replace(x, links=()), unit, zero)
            if not folder.allow_real and not alike:
                place.refuse(
                    "reads codes with a scale for each channel; a product needs one that all its inputs share.",
                    "Use one scale for the whole layer, or a depthwise layer, which takes one for each channel.",
                )
            if not folder.allow_real:
                place.refuse(
                    f"pads with a 0 that lies between two codes of {x.name!r}, at {float(zero[0]):g}.",
                    "Use padding=0 here, or quantize to codes of which one means 0.",
                )
    if not folder.allow_real:
        what = x.links[-1].name if x.links else x.name
        place.refuse(f"reads the real values of {what!r}, so it would run in float32.", folder.ways[0])
    outside = x.outside
    return Operand(replace(folder.real(place, replace(x, outside=None)), outside=outside), ones, zeros)


def _bipolar(folder: Folder, place: Place, name: str) -> str:
    """The same Threshold to digits ±1: what 0 and 1 become behind 2x − 1."""
    op = next(op for op in folder.ops if op.name == name)
    assert isinstance(op, Threshold)
    before, quantizer = folder.decided[name]
    high = folder.types[name].encoding.high
    again = replace(op, name=folder.free(name), encoding=f"b{folder.types[name].encoding.bits}")
    folder.decided[again.name] = before, replace(quantizer, numbers=lambda x: 2 * quantizer.numbers(x) - high)
    half, middle = np.full(folder.types[name].channels, 0.5), np.full(folder.types[name].channels, high / 2)
    folder.copies[again.name] = name, Link(name, "codes", lambda x: (x + high) / 2, (half, middle))
    return folder.emit(place, again)


def _line(folder: Folder, x: Pending) -> tuple[Array, Array] | None:
    """(unit, zero), (channels,) float64: codes behind links that amount to unit · (number − zero), or None.

    Float32 has rounded a few times on the way; what is meant is the line.
    """
    numbers = table(folder.value(x))
    made = x.evaluate(numbers).astype(np.float64)  # (count, channels)
    n = numbers.astype(np.float64)
    unit = (made[-1] - made[0]) / (n[-1] - n[0])
    if not np.isfinite(made).all() or np.any(unit == 0):
        return None
    zero = n[0] - made[0] / unit
    near = np.rint(zero * 2) / 2  # wholes, and the halves of 2c − 255
    zero = np.where(np.abs(zero - near) < 1e-5 * np.maximum(1, np.abs(near)), near, zero)
    span = np.abs(unit) * (np.abs(n).max() + np.abs(zero))
    if np.any(np.abs(made - unit * (n - zero)) > 1e-6 * span):
        return None
    if np.ptp(unit) <= 1e-6 * np.abs(unit).max():
        unit = np.full_like(unit, np.median(unit))
    return unit, zero
