"""Products of ±1 weights whose outputs lie side by side in a word: one output in each bit, counted digit by digit.

Of a patch x = low + step · code and ±1 weights w = 2 W − 1, with taps outside the image that count as ``pad``::

    x · w = step (2 D − C) + low (2 P − n) + pad (2 Q − m)      D = Σ code · W, C = Σ code, inside
                                                                P = Σ W over n taps inside, Q over m outside

``x · w ≥ threshold`` is then ``2 D − T ≥ C`` with T = ⌈(threshold − low (2 P − n) − pad (2 Q − m)) / step⌉, which
depends on the output and on which taps are outside alone. A lane starts at −T, adds 2 D as bits of the input are
found set, and is compared with C once. (`parts/lanes.c`)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binarynet.export.c.plan import Layer, Stored
from binarynet.export.emit import pack_words
from binarynet.graph.ir import Conv2d, Linear, Threshold

_UNIT = 255  # digits of a column that are listed together at most, so that a place is a byte, also that of a 0
_FEW = 16  # codes of a column that are added one by one
_MOST_CLASSES = 81


@dataclass(frozen=True)
class Lanes:
    """A product's tables and sizes. Arrays of bits end in an axis of ``word`` lanes."""

    weights: NDArray[np.bool_]  # (groups, blocks, kernel width, digits of a column and a 0 behind each unit, word)
    starts: NDArray[np.bool_]  # (row classes, column classes, groups, blocks, digits, word)
    falls: NDArray[np.bool_]  # (groups, blocks, word)
    row_class: NDArray[np.uint8]
    column_class: NDArray[np.uint8]
    unit: int  # digits that are added together; 0 where codes are added one by one
    open: int

    @property
    def groups(self) -> int:
        return int(self.weights.shape[0])

    @property
    def blocks(self) -> int:
        return int(self.weights.shape[1])

    @property
    def digits(self) -> int:
        return int(self.starts.shape[-2])

    def memory(self, word: int, fixed_time: bool) -> int:
        """Words that hold a unit: a byte for each place that is listed, in eights, or a bit for each digit."""
        return -(-self.unit // word) if fixed_time else -(-self.unit // 8) * 64 // word


def lanes(layer: Layer, word: int) -> Lanes | None:
    """A product as lanes; None where it is none of ±1 weights that ends in one bit an output, of whole words."""
    op, x = layer.head, layer.sources[0]
    if not isinstance(op, Linear | Conv2d) or op.weight_encoding != "b1" or x.kind not in ("bits", "codes"):
        return None
    if len(layer.tail) != 1 or not isinstance(layer.tail[0], Threshold) or layer.tail[0].encoding != "b1":
        return None
    weight = op.weight if isinstance(op, Conv2d) else op.weight[:, None, None, :]
    groups = op.groups if isinstance(op, Conv2d) else 1
    if len(weight) % (groups * word):
        return None
    stride = op.stride if isinstance(op, Conv2d) else (1, 1)
    dilation = op.dilation if isinstance(op, Conv2d) else (1, 1)
    padding = op.padding if isinstance(op, Conv2d) else ((0, 0), (0, 0))
    reach = [(kernel - 1) * step for kernel, step in zip(weight.shape[1:3], dilation, strict=True)]
    if any(max(pair) > far for pair, far in zip(padding, reach, strict=True)):
        return None  # windows that lie outside whole
    size, made = x.size, layer.makes.size
    inside = [
        np.array(
            [
                [0 <= o * stride[k] + i * dilation[k] - padding[k][0] < size[k] for i in range(weight.shape[1 + k])]
                for o in range(made[k])
            ]
        )  # (outputs, taps)
        for k in range(2)
    ]
    (rows, row_class), (columns, column_class) = (np.unique(one, axis=0, return_inverse=True) for one in inside)
    if len(rows) * len(columns) > _MOST_CLASSES:
        return None
    pad = op.pad_value if isinstance(op, Conv2d) else 0
    starts = _starts(x, weight, layer.tail[0], rows, columns, pad)  # (rows, columns, out, digits)
    _, height, width, channels = weight.shape
    depth = height * channels
    unit = 0 if x.kind == "codes" and depth <= _FEW else _units(depth, word)
    columns_of_bits = (weight > 0).transpose(2, 1, 3, 0).reshape(width, depth, groups, -1, word)
    parts = [columns_of_bits[:, k : k + unit] for k in range(0, depth, unit)] if unit else [columns_of_bits]
    zero = np.zeros_like(columns_of_bits[:, :1])
    padded = np.concatenate([one for part in parts for one in (part, zero)], axis=1)
    lane = starts.reshape(len(rows), len(columns), groups, -1, word, starts.shape[-1])
    return Lanes(
        weights=padded.transpose(2, 3, 0, 1, 4),
        starts=lane.swapaxes(-1, -2),
        falls=~layer.tail[0].rising.reshape(groups, -1, word),
        row_class=row_class.reshape(-1).astype(np.uint8),
        column_class=column_class.reshape(-1).astype(np.uint8),
        unit=unit,
        open=min(reach[1] // stride[1] + 1, made[1]),
    )


def _units(depth: int, word: int) -> int:
    """Digits of a unit: whole words, and about as many in each."""
    words = -(-depth // word)
    return -(-words // -(-words // (_UNIT // word))) * word


def _planes(x: Stored) -> int:
    return 1 if x.kind == "bits" else x.planes


def _starts(
    x: Stored, weight: NDArray[np.int8], op: Threshold, rows: NDArray[np.bool_], columns: NDArray[np.bool_], pad: int
) -> NDArray[np.bool_]:
    """−T of every output (rows, columns, out, digits) in two's complement, least digit first."""
    channels = weight.shape[3]
    taps = (weight > 0).sum(axis=3, dtype=np.int64)  # (out, kernel height, kernel width)
    most = (x.value.encoding.count - 1) * weight[0].size
    # 2 D − T − C takes a sign more than 2 · most + 1; five digits of the highest plane are read at once.
    digits = max((2 * most + 1).bit_length() + 1, _planes(x) + 5)
    made = np.empty((len(rows), len(columns), len(weight)), np.int64)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = row[:, None] & column[None, :]
            n, m = channels * int(window.sum()), channels * int((~window).sum())
            plus = 2 * taps[:, window].sum(axis=1) - n
            minus = 2 * taps[:, ~window].sum(axis=1) - m
            numbers = op.thresholds[:, 0].astype(np.int64) - x.low * plus - pad * minus
            made[i, j] = np.clip(-(-numbers // x.step), -most, most + 1)
    return np.asarray((-made)[..., None] >> np.arange(digits) & 1, bool)


def packed(bits: NDArray[np.bool_], word: int) -> NDArray[np.generic]:
    """(…, word) → (…), a word each."""
    return np.asarray(pack_words(bits, word)[..., 0])
