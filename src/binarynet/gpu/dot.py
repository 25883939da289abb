"""The same products on the tensor cores: packed weights become int8 in registers, and `tl.dot` adds them in int32.

A dot product does not care for the order of its terms, so bit i of every byte makes one small product, and eight of
them use a tile of bytes up. No bit is moved to another place: a shift and an *and* make the operand.

Weights are the left operand, which tensor cores take from registers: while one digit is multiplied, the next is made
there, and nothing is written back. Activations are the right one, from shared memory, where they come as int8: `spread`
(`binarynet.gpu.pointwise`) writes their digits 0 / 1 first, digit by digit, so that both sides read bytes side by side.

A digit 0 adds nothing (a tail, a pixel outside the image); ``2 · raw + base`` puts right what it stands for
(`binarynet.gpu.product`). A weight is the sum of its planes; each has a value for the digit 0 and one for 1: DIGITS.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from binarynet.gpu.language import (
    AFFINE,
    INTERPRETED,
    corrected,
    finish,
    lowest_digit,
    lowest_sign,
    next_digit,
    quick,
    split_sum,
    under,
)

# BM, BN, bytes of depth at a time (eight products of that depth), parts of the depth, warps, stages
_TUNED = [
    (128, 128, 32, 1, 8, 3), (64, 256, 32, 1, 8, 3), (64, 128, 32, 1, 4, 3),
    (64, 64, 32, 4, 4, 2), (64, 64, 32, 1, 4, 2), (32, 64, 32, 1, 4, 2), (16, 64, 64, 1, 4, 4), (16, 64, 64, 4, 4, 4),
]  # fmt: skip
_TILES = [(16, 64, 32, 2, 4, 2)] if INTERPRETED else _TUNED
# The same without packed weights, in values of depth.
_OCTETS_TUNED = [(256, 128, 128, 16, 3), (128, 128, 128, 8, 3), (128, 128, 64, 8, 4), (64, 64, 64, 4, 4)]
_OCTETS_TILES = [(64, 64, 64, 4, 2)] if INTERPRETED else _OCTETS_TUNED


SPLIT_ROWS = 64
"""Up to so many rows there may be fewer tiles than multiprocessors, and the depth may be shared out."""
MOST_PARTS = max(tile[3] for tile in _TILES)


def tiles_of(tiles: list[tuple[int, int, int, int, int]]) -> list[triton.Config]:
    return [triton.Config({"BM": m, "BN": n, "BK": k}, num_warps=w, num_stages=s) for m, n, k, w, s in tiles]


def packed_tiles(configs: list[triton.Config], given: dict[str, Any], **constants: Any) -> list[triton.Config]:
    """Narrow tiles for few rows, and there alone parts of the depth, which cost memory; small ones for many planes."""
    named = {**given, **constants}
    few, planes = named["pixels"] <= SPLIT_ROWS, named["PLANES"]

    def fits(tile: dict[str, Any]) -> bool:
        if planes > 2:
            return tile["BM"] == 32
        return tile["BM"] <= SPLIT_ROWS if few else tile["BM"] > 32 and tile["PARTS"] == 1

    return [one for one in configs if fits(one.kwargs)] or configs


def octet_tiles(configs: list[triton.Config], given: dict[str, Any], **constants: Any) -> list[triton.Config]:
    """The widest tile leaves no registers for the addresses of images, nor for two numbers a channel."""
    named = {**given, **constants}
    room = named["GEOMETRY"] is None and named["MODE"] != AFFINE.value
    return [one for one in configs if room or one.kwargs["BM"] <= 128]


@triton.autotune(
    [triton.Config({"BM": m, "BN": n, "BK": k, "PARTS": p}, num_warps=w, num_stages=s) for m, n, k, p, w, s in _TILES],
    key=["bucket", "width", "depth", "PLANES", "GEOMETRY"],
    do_bench=quick,
    prune_configs_by={"early_config_prune": packed_tiles},
)
@triton.jit
def bit_dot(
    x,
    weight,
    out,
    base,
    kinds,
    thresholds,
    rising,
    scale,
    offset,
    sums,
    tickets,
    pixels,
    x_bytes,
    depth,
    width,
    channels,
    bucket,
    DIGITS: tl.constexpr,
    PLANES: tl.constexpr,
    UNITS: tl.constexpr,
    GEOMETRY: tl.constexpr,
    MODE: tl.constexpr,
    LEVELS: tl.constexpr,
    LOW: tl.constexpr,
    STEP: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Activations (pixels, 8 digits, bytes) int8 0 / 1 × packed weights (planes, channels, bytes).

    ``depth`` counts bytes; each tap of a convolution has UNITS of them. With PARTS, programs add up shares of the depth
    into ``sums`` (parts, pixels, channels), and the one that draws the last of a tile's ``tickets`` finishes the tile.
    """
    group = tl.program_id(1)
    tiles_m, tiles_n = tl.cdiv(pixels, BM), tl.cdiv((width + 63) // 64 * 64, BN)
    tile_m, tile_n = tl.swizzle2d(tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n, tiles_m, tiles_n, 8)
    pixel = tile_m * BM + tl.arange(0, BM)
    live = pixel < pixels
    source = tl.minimum(pixel, pixels - 1)
    first, limit = group * width + tile_n * BN, (group + 1) * width
    n = first + tl.arange(0, BN)
    rows = weight + tl.minimum(n, limit - 1)[:, None] * depth
    raw = tl.zeros((BN, BM), tl.int32)
    whole: tl.constexpr = GEOMETRY is None
    tap_steps = tl.cdiv(depth, BK) if whole else (UNITS + BK - 1) // BK
    steps = tap_steps if whole else tap_steps * (depth // UNITS)
    share = tl.cdiv(steps, PARTS)
    part = tl.program_id(2)
    for step in range(part * share, tl.minimum(steps, (part + 1) * share)):
        k = (step % tap_steps) * BK + tl.arange(0, BK)
        if GEOMETRY is None:
            at, within, there, skipped = source, (k < depth)[None, :], (k < depth)[None, :], 0
        else:
            at, inside = under(source, step // tap_steps, GEOMETRY)
            within = (k < UNITS)[None, :]
            there, skipped = within & inside[:, None], (step // tap_steps) * UNITS
        a = x + at[:, None] * (8 * x_bytes) + group * UNITS + k[None, :]
        w = tl.load(rows + skipped + k[None, :], mask=within, other=0)
        for digit in tl.static_range(8):
            if PLANES == 1 and DIGITS[0][0] == -1 and DIGITS[0][1] == 1:
                left = lowest_sign(w)
            else:
                left = tl.where(lowest_digit(w) != 0, DIGITS[0][1], DIGITS[0][0]).to(tl.int8)
                for plane in tl.static_range(1, PLANES):
                    more = tl.load(rows + plane * (channels * depth) + skipped + k[None, :], mask=within, other=0)
                    left += tl.where(((more >> digit) & 1) != 0, DIGITS[plane][1], DIGITS[plane][0]).to(tl.int8)
            right = tl.load(a + digit * x_bytes, mask=there, other=0)
            raw = tl.dot(left, tl.trans(right), raw, out_dtype=tl.int32)
            w = next_digit(w)
    total = tl.trans(raw)
    if PARTS > 1:
        total, last = split_sum(total, sums, tickets, pixel, live, n, limit, pixels, channels, part, PARTS)
        live &= last
    acc = corrected(total, base, kinds, pixel, live, n, limit, channels, 2, GEOMETRY)
    finish(acc, out, pixel, live, first, limit, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)


@triton.autotune(
    tiles_of(_OCTETS_TILES),
    key=["bucket", "width", "depth", "GEOMETRY", "MODE"],
    do_bench=quick,
    prune_configs_by={"early_config_prune": octet_tiles},
)
@triton.jit
def octet_dot(
    x,
    weight,
    out,
    base,
    kinds,
    thresholds,
    rising,
    scale,
    offset,
    pixels,
    x_octets,
    depth,
    width,
    channels,
    bucket,
    X_SCALE: tl.constexpr,
    UNITS: tl.constexpr,
    GEOMETRY: tl.constexpr,
    MODE: tl.constexpr,
    LEVELS: tl.constexpr,
    LOW: tl.constexpr,
    STEP: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """Activations (pixels, octets) int8 × weights (channels, depth) int8, which nothing expands: for large products.

    Both are read as they lie; an octet outside the image is 0. ``X_SCALE · raw + base``.
    """
    tiles_m, tiles_n = tl.cdiv(pixels, BM), tl.cdiv((width + 63) // 64 * 64, BN)
    tile_m, tile_n = tl.swizzle2d(tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n, tiles_m, tiles_n, 8)
    pixel = tile_m * BM + tl.arange(0, BM)
    live = pixel < pixels
    source = tl.minimum(pixel, pixels - 1)
    first = tile_n * BN
    n = first + tl.arange(0, BN)
    rows = weight + tl.minimum(n, width - 1)[:, None] * depth
    raw = tl.zeros((BM, BN), tl.int32)
    whole: tl.constexpr = GEOMETRY is None
    tap_steps = tl.cdiv(depth, BK) if whole else (UNITS + BK - 1) // BK
    for step in range(0, tap_steps if whole else tap_steps * (depth // UNITS)):
        k = (step % tap_steps) * BK + tl.arange(0, BK)
        if GEOMETRY is None:
            at, within, there, skipped = source, (k < depth)[None, :], (k < depth)[None, :], 0
        else:
            at, inside = under(source, step // tap_steps, GEOMETRY)
            within = (k < UNITS)[None, :]
            there, skipped = within & inside[:, None], (step // tap_steps) * UNITS
        a = tl.load(x + at[:, None] * x_octets + k[None, :], mask=there, other=0)
        w = tl.load(rows + skipped + k[None, :], mask=within, other=0)
        raw = tl.dot(a, tl.trans(w), raw, out_dtype=tl.int32)
    acc = corrected(raw, base, kinds, pixel, live, n, width, channels, X_SCALE, GEOMETRY)
    finish(acc, out, pixel, live, first, width, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)
