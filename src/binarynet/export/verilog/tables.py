"""What stands in the ROMs, and the numbers that the units count by.

A unit counts agreeing digits (``parts/binarynet_lane.v``). For codes c of the inputs (x = low + step · c, in K digits)
and one row w of weights::

    b1 … b7    S = Σ 2^(n+j) · agreeing digits        c · w = S − (2^K − 1) · Σ 2^j · (digits of w that are −1)
    t2         the same with one digit, where w is not 0
    u, i       S = Σ ±2^(n+j) · digits that are both 1   c · w = S

so x · w = factor · S + base with a base for each output that depends on w alone, and "x · w ≥ t" is "S ≥ T". Where a
zero outside the image lies between two codes, S is counted in halves and the factor is half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binarynet.export.emit import unsupported
from binarynet.export.verilog.units import Design, Pool, Product
from binarynet.format.bits import planes
from binarynet.graph.ir import Affine, Conv2d, Threshold

_MOST_RANKS = 1 << 22  # entries of the table that orders the classes: 10 MB, more than chips hold


def kind(unit: Product) -> int:
    """The KIND of binarynet_lane."""
    return {"b": 0, "t": 1}.get(unit.encoding.kind, 2)


def halves(unit: Product) -> bool:
    """Whether sums are counted in halves, since what lies outside the image is a number between two codes. A window
    that is there at once has thresholds for each kind of border instead."""
    return between(unit) and not unit.window.at_once


def between(unit: Product) -> bool:
    """Whether what lies outside the image is a number that no code means."""
    if not isinstance(unit.op, Conv2d) or not any(side for pair in unit.op.padding for side in pair):
        return False
    return (unit.op.pad_value - unit.reads.encoding.low) % unit.reads.encoding.step != 0


def fill(unit: Product) -> int:
    """The code that lies outside the image, where one does."""
    if not isinstance(unit.op, Conv2d) or between(unit):
        return 0
    return max(0, (unit.op.pad_value - unit.reads.encoding.low) // unit.reads.encoding.step)


def factor(unit: Product) -> int:
    return unit.reads.encoding.step // (2 if halves(unit) else 1)


def _depth(unit: Product) -> int:
    return int(unit.weight[0].size)


def start(unit: Product) -> int:
    """What S begins with, so that it is never negative."""
    if unit.encoding.kind != "i":
        return 0
    highest = ((1 << unit.reads.digits) - 1) << (unit.encoding.bits - 1)
    return _depth(unit) * highest * (2 if halves(unit) else 1)


def largest(unit: Product) -> int:
    """The largest S."""
    bits = {"t": 1, "i": unit.encoding.bits - 1}.get(unit.encoding.kind, unit.encoding.bits)
    highest = ((1 << unit.reads.digits) - 1) * ((1 << bits) - 1)
    return start(unit) + _depth(unit) * highest * (2 if halves(unit) else 1)


def sum_bits(unit: Product) -> int:
    """Bits of S, and of a threshold that is never reached; four at least, which is what bits are counted in."""
    return max(4, (largest(unit) + 1).bit_length())


def bases(unit: Product) -> NDArray[np.int64]:
    """(out,): x · w where S is 0."""
    rows = unit.weight.reshape(len(unit.weight), -1).astype(np.int64)
    total = unit.reads.encoding.low * rows.sum(axis=1) - factor(unit) * start(unit)
    if kind(unit) != 2:
        negative = _negative(unit, rows)
        total = total - unit.reads.encoding.step * ((1 << unit.reads.digits) - 1) * negative
    found: NDArray[np.int64] = total
    return found


def _negative(unit: Product, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Σ 2^j over the digits of each row that are −1."""
    # w = Σ 2^j d_j, so (2^J − 1 − w) / 2 is Σ 2^j over the digits that are −1.
    each = rows < 0 if unit.encoding.kind == "t" else (unit.encoding.high - rows) // 2
    found: NDArray[np.int64] = each.sum(axis=1, dtype=np.int64)
    return found


def weights(unit: Product) -> list[str]:
    """A word for each step of each tile: [output][plane][input]."""
    out, height, width, channels = unit.weight.shape
    inputs, window = unit.inputs, unit.window
    words = 1 if window.along else window.words
    digits = planes(unit.weight, unit.encoding)  # (planes, out, h, w, in)
    if window.at_once:
        height, width, channels = 1, 1, height * width * channels
        digits = digits.reshape(len(digits), out, height, width, channels)
    count = len(digits)
    padded = np.zeros((count, window.tiles * unit.outputs, height, width, words * inputs), bool)
    padded[:, :out, :, :, :channels] = digits
    split = padded.reshape(count, window.tiles, unit.outputs, height, width, words, inputs)
    ordered = split.transpose(1, 3, 4, 5, 2, 0, 6)  # (tiles, h, w, words, outputs, planes, inputs)
    return hexadecimal(ordered.reshape(window.tiles * window.steps, -1))


def thresholds(unit: Product, op: Threshold) -> list[str]:
    """A word for each tile: for each output its levels as numbers of `sum_bits`, then a bit that says falling."""
    bits, scale = sum_bits(unit), factor(unit)
    wanted = op.thresholds.astype(np.int64) - bases(unit)[:, None]
    counted = np.clip(-(-wanted // scale), 0, largest(unit) + 1)  # (out, levels), rounded up
    rows = np.zeros((unit.window.tiles * unit.outputs, counted.shape[1] * bits + 1), bool)
    digits = (counted[..., None] >> np.arange(bits)) & 1 == 1
    rows[: len(counted), :-1] = digits.reshape(len(counted), -1)
    rows[: len(counted), -1] = ~op.rising
    return hexadecimal(rows.reshape(unit.window.tiles, -1))


def minimum(unit: Pool) -> list[str]:
    """A word for each word of a pixel: whether a channel's smallest value is wanted."""
    rows = np.zeros(unit.window.words * unit.reads.lanes, bool)
    rows[: len(unit.op.minimum)] = unit.op.minimum
    return hexadecimal(rows.reshape(unit.window.words, -1))


def logit_bits(unit: Product) -> int:
    """Bits of the last layer's integers, with their sign."""
    base = bases(unit)
    ends = [int(base.min()), int(base.max()) + factor(unit) * largest(unit)]
    # One bit more than S and factor at least, which are added before the base brings them down.
    return max(sum_bits(unit) + 1, *((end if end >= 0 else ~end).bit_length() + 1 for end in ends))


def numbers(values: NDArray[np.int64], bits: int) -> list[str]:
    """One word of ``bits`` bits for each integer, in two's complement."""
    return hexadecimal((values[:, None] >> np.arange(bits)) & 1 == 1)


def ranks(unit: Product, affine: Affine) -> NDArray[np.int64]:
    """(classes, S): where the float32 logit of a class at each S stands among all of them; equal ones are equal.

    Affine rounds twice, so integers of two classes that differ can become equal logits, and no fixed-point factor
    orders them as float32 does. All that can occur is a small table, though.

    Raises:
        ExportError: it is not small.
    """
    states = largest(unit) + 1
    if unit.channels * states > _MOST_RANKS:
        raise unsupported(
            "verilog",
            affine,
            f"orders classes by a table of all sums; {unit.channels} × {states} is too large a one. Give {unit.name} "
            "narrower inputs or weights",
        )
    sums = bases(unit)[:, None] + factor(unit) * np.arange(states)  # (classes, S)
    logits = sums.astype(np.int32).astype(np.float32) * affine.scale[:, None] + affine.offset[:, None]
    found: NDArray[np.int64] = np.unique(logits, return_inverse=True)[1].reshape(sums.shape).astype(np.int64)
    return found


def address_bits(row: NDArray[np.int64]) -> int:
    """Bits of the sums of which a row of ranks has one each; those above are 0."""
    return max(1, (len(row) - 1).bit_length())


def ranked(design: Design) -> bool:
    """Whether classes need the table: integers alone order themselves, and one class needs no order."""
    return design.affine is not None and design.last.channels > 1


def hexadecimal(bits: NDArray[np.bool_]) -> list[str]:
    """(words, width) → one number of hexadecimal digits a word; column 0 is the lowest bit."""
    digits = -(-bits.shape[1] // 4)
    octets = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
    return [row.tobytes().hex()[-digits:] for row in octets]
