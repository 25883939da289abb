"""The one packing convention, the same as native/base/bits.h.

Value i of a row is bit (i mod 64) of word (i div 64); bit 1 means +1; words are little-endian::

    value   0 1 2 … 63 | 64 65 …           a row of 70 values = 2 words
    word    ── word 0 ── | ── word 1 ──
    bit     0 1 2 … 63 |  0  1  2 3 4 5 | 6 … 63: tail, always 0

With the tail 0 on both sides, ``dot = depth − 2 · popcount(a ^ w)`` holds for every depth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from binarynet.graph.encoding import Encoding

WORD = 64
Words = NDArray[np.uint64]


def words_for(length: int) -> int:
    """How many words hold ``length`` values."""
    return -(-length // WORD)


def pack(values: ArrayLike) -> Words:
    """±1 (or bool, or 0 / 1) along the last axis → words: (…, length) → (…, words_for(length)). Positive is bit 1."""
    bits = np.asarray(values) > 0
    length = bits.shape[-1]
    padded = np.zeros((*bits.shape[:-1], words_for(length) * WORD), bool)
    padded[..., :length] = bits
    packed = np.packbits(padded, axis=-1, bitorder="little")  # (…, words · 8) bytes
    return packed.view("<u8").astype(np.uint64, copy=False)


def unpack(words: Words, length: int) -> NDArray[np.int8]:
    """Words → ±1 along the last axis: (…, words_for(length)) → (…, length) int8."""
    octets = np.ascontiguousarray(words, dtype="<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, bitorder="little", count=length)
    return (2 * bits.astype(np.int8) - 1).astype(np.int8, copy=False)


def tail_is_zero(words: NDArray[Any], length: int) -> bool:
    """Whether the bits behind the last value are 0, as the convention demands."""
    used = length % WORD
    return not used or not np.any(words[..., -1] >> np.uint64(used))


def planes(numbers: NDArray[Any], encoding: Encoding) -> NDArray[np.bool_]:
    """Integers → their binary digits, plane n (worth 2^n) first: (…) → (bits, …). t2: is not 0, then is +1."""
    wide = numbers.astype(np.int32)
    if encoding.kind == "t":
        return np.stack([wide != 0, wide > 0])
    if encoding.kind == "b":
        wide = (wide + encoding.high) // 2
    return np.stack([(wide >> n) & 1 == 1 for n in range(encoding.bits)])


def from_planes(digits: NDArray[np.bool_], encoding: Encoding) -> NDArray[np.int8]:
    """The inverse of `planes`."""
    if encoding.kind == "t":
        return np.where(digits[0], np.where(digits[1], 1, -1), 0).astype(np.int8)
    code = sum((plane.astype(np.int32) << n for n, plane in enumerate(digits)), start=np.int32(0))
    if encoding.kind == "b":
        code = 2 * code - encoding.high
    elif encoding.kind == "i":
        code = code - (digits[-1].astype(np.int32) << encoding.bits)
    return np.asarray(code, np.int8)
