"""Kernels that make no products: pack, unpack, spread and count bits, pool on bits."""

from __future__ import annotations

import triton
import triton.language as tl

from binarynet.gpu.language import BITS, INTERPRETED, finish, lowest_digit, next_digit, popcount, store_words

_BLOCK = 512 if INTERPRETED else 1024


@triton.jit
def quantize(
    x,
    out,
    thresholds,
    rising,
    rows,
    channels,
    MODE: tl.constexpr,
    LEVELS: tl.constexpr,
    LOW: tl.constexpr,
    STEP: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
):
    """Numbers (rows, channels) of any type → words or codes. Without ``thresholds``, sign: bit 1 where x >= 0."""
    row = tl.program_id(0) * BM + tl.arange(0, BM)
    live = row < rows
    first = tl.program_id(1) * BN
    n = first + tl.arange(0, BN)
    exists = live[:, None] & (n < channels)[None, :]
    value = tl.load(x + row[:, None] * channels + n[None, :], mask=exists, other=0)
    if thresholds is None:
        store_words(((value >= 0) & exists).to(tl.int32), out, row, live, first, channels, channels)
    else:
        finish(
            value, out, row, live, first, channels, channels, thresholds, rising, x, x, MODE, LEVELS, LOW, STEP
        )  # fmt: skip


@triton.jit
def digits(x, out, rows, channels, BM: tl.constexpr, BN: tl.constexpr):
    """Codes (rows, channels) uint8 → words (planes, rows, words): digit n of each code in plane n."""
    row = tl.program_id(0) * BM + tl.arange(0, BM)
    live = row < rows
    plane = tl.program_id(2)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    exists = live[:, None] & (n < channels)[None, :]
    code = tl.load(x + row[:, None] * channels + n[None, :], mask=exists, other=0).to(tl.int32)
    bit = (code >> plane) & 1
    store_words(bit, out, plane * rows + row, live, tl.program_id(1) * BN, channels, channels)


@triton.jit
def signs(x, out, rows, channels, BM: tl.constexpr, BN: tl.constexpr):
    """Words (rows, words) → ±1 (rows, channels) int8."""
    row = tl.program_id(0) * BM + tl.arange(0, BM)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    exists = (row < rows)[:, None] & (n < channels)[None, :]
    place = row[:, None] * ((channels + 63) // 64 * 2) + (n // 32)[None, :]
    bit = (tl.load(x + place, mask=exists, other=0) >> (n % 32)[None, :]) & 1
    tl.store(out + row[:, None] * channels + n[None, :], (bit * 2 - 1).to(tl.int8), mask=exists)


@triton.jit
def pool(
    x,
    out,
    minimum,
    total,
    words,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    KERNEL_Y: tl.constexpr,
    KERNEL_X: tl.constexpr,
    STRIDE_Y: tl.constexpr,
    STRIDE_X: tl.constexpr,
    TOP: tl.constexpr,
    LEFT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Max pooling of words (n, height, width, words): OR under the window, AND where the bits of ``minimum`` say so.

    What lies outside the image is the neutral word of each.
    """
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = at < total
    word, place = at % words, at // words
    row, column, image = (place // COLUMNS) % ROWS, place % COLUMNS, place // (ROWS * COLUMNS)
    any_set = tl.zeros((BLOCK,), tl.int32)
    all_set = any_set - 1
    for tap in tl.static_range(KERNEL_Y * KERNEL_X):
        y = row * STRIDE_Y + tap // KERNEL_X - TOP
        left = column * STRIDE_X + tap % KERNEL_X - LEFT
        inside = live & (y >= 0) & (y < HEIGHT) & (left >= 0) & (left < WIDTH)
        found = tl.load(x + ((image * HEIGHT + y) * WIDTH + left) * words + word, mask=inside, other=0)
        any_set |= found
        all_set &= tl.where(inside, found, -1)
    least = tl.load(minimum + word)
    tl.store(out + at, (any_set & ~least) | (all_set & least), mask=live)


@triton.jit
def spread(x, out, rows, octets, BM: tl.constexpr, BN: tl.constexpr):
    """Bytes (rows, octets) → their digits 0 / 1 as int8 (rows, 8, octets), digit by digit: what tensor cores read."""
    row = tl.program_id(0) * BM + tl.arange(0, BM)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    exists = (row < rows)[:, None] & (n < octets)[None, :]
    octet = tl.load(x + row[:, None] * octets + n[None, :], mask=exists, other=0)
    for digit in tl.static_range(8):
        place = (row[:, None] * 8 + digit) * octets + n[None, :]
        tl.store(out + place, lowest_digit(octet), mask=exists)
        octet = next_digit(octet)


@triton.jit
def count_ones(x, out, rows, words, BM: tl.constexpr, BN: tl.constexpr):
    """Words (rows, words) → how many of their bits are 1 (rows,) int32."""
    row = tl.program_id(0) * BM + tl.arange(0, BM)
    live = row < rows
    count = tl.zeros((BM, BN), tl.int32)
    for start in range(0, words, BN):
        n = start + tl.arange(0, BN)
        exists = live[:, None] & (n < words)[None, :]
        count += popcount(
            tl.load(x + row[:, None] * words + n[None, :], mask=exists, other=0).to(tl.uint32, bitcast=True)
        )
    tl.store(out + row, tl.sum(count, axis=1), mask=live)


def block() -> int:
    """Elements a program of `pool` makes."""
    return _BLOCK


__all__ = ["BITS", "block", "count_ones", "digits", "pool", "quantize", "signs", "spread"]
