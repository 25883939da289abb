"""Weights as bits: what a file holds of them, and what the native engine takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from binarynet.format.bits import WORD, Words, from_planes, pack, planes, unpack, words_for
from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import Conv2d, Graph, Linear
from binarynet.graph.weights import Weights, held

_AT_ONCE = 1 << 20  # numbers that are unpacked or packed in one go, to keep memory low


@dataclass(frozen=True, eq=False)
class Packed:
    """Integer weights of ``shape`` (out, …) as rows of words, one row for each output and binary digit.

    ``words`` is (bits, out, words_for(depth)): the planes of docs/format.md, bits behind the last value 0.
    """

    words: Words
    shape: tuple[int, ...]
    encoding: str

    @classmethod
    def of(cls, weight: Weights, encoding: str) -> Packed:
        """Pack integers, values of ``encoding``."""
        code, rows = Encoding.parse(encoding), weight.reshape(len(weight), -1)
        words = np.empty((code.bits, len(rows), words_for(rows.shape[1])), np.uint64)
        for part in _parts(rows.shape):
            words[:, part] = pack(rows[part] if encoding == "b1" else planes(rows[part], code))
        return cls(words, weight.shape, encoding)

    @property
    def depth(self) -> int:
        return prod(self.shape[1:])

    def numbers(self) -> NDArray[np.int8]:
        """The integers, of ``shape``; the inverse of `of`."""
        code, rows = Encoding.parse(self.encoding), np.empty((self.shape[0], self.depth), np.int8)
        for part in _parts(rows.shape):
            digits = unpack(self.words[:, part], self.depth)
            rows[part] = digits[0] if self.encoding == "b1" else from_planes(digits > 0, code)
        return rows.reshape(self.shape)

    def are_weights(self) -> bool:
        """Whether the bits mean values that a graph can hold: +1 is not 0 in t2; b8 and u8 stay within int8."""
        top = self.words[-1]
        if self.encoding == "t2":
            return not np.any(top & ~self.words[0])
        if self.encoding == "u8":
            return not top.any()
        return self.encoding != "b8" or bool(np.all(top ^ self.words[-2] == self._used()))  # codes 64 … 191

    def codes(self) -> Words:
        """The same rows as binary digits of (w − low) / step, which counts every encoding from its lowest value.

        The digits of b and u are that already. Of i, the top one is turned round; t2 is 0, 1, 2 for −1, 0, +1.
        """
        kind = self.encoding[0]
        if kind == "t":
            nonzero, plus = self.words
            return np.stack([nonzero ^ self._used(), nonzero & plus])
        if kind == "i":
            return np.concatenate([self.words[:-1], self.words[-1:] ^ self._used()])
        return self.words

    def _used(self) -> Words:
        """A row whose bits are 1 where there is a value."""
        row = np.full(words_for(self.depth), ~np.uint64(0))
        if self.depth % WORD:
            row[-1] = np.uint64((1 << self.depth % WORD) - 1)
        return row


def packed(graph: Graph) -> Graph:
    """The same graph, which takes no more memory than its file: integer weights are bits until somebody reads them."""
    ops = [
        replace(op, weight=Packed.of(op.weight, op.weight_encoding))
        if isinstance(op, Linear | Conv2d) and isinstance(held(op), np.ndarray) and op.weight_encoding != "f32"
        else op
        for op in graph.ops
    ]
    return replace(graph, ops=tuple(ops))


def _parts(shape: tuple[int, ...]) -> list[slice]:
    """A few rows at a time."""
    step = max(1, _AT_ONCE // max(shape[1], 1))
    return [slice(start, start + step) for start in range(0, shape[0], step)]
