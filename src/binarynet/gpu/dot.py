"""The same products on the tensor cores: packed operands become int8 in registers, and `tl.dot` adds them in int32.

A dot product does not care for the order of its terms, so bit i of every byte makes one small product, and eight of
them use a tile of bytes up. No bit is moved to another place: a shift and an *and* make the operand.

Activations are taken as digits 0 / 1 and weights as their values, so that a zero word (a tail, a pixel outside the
image) adds nothing; ``2 · raw + base`` puts right what the digit 0 stands for (`binarynet.gpu.product`). A weight is
the sum of its planes, each of which has one value for the digit 0 and one for 1: ``DIGITS``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from binarynet.gpu.language import INTERPRETED, corrected, finish, lowest_digit, lowest_sign, next_digit, window

# BM, BN, bytes of depth at a time (eight products of that depth), warps, stages
_TUNED = [(128, 128, 64, 8, 3), (128, 256, 64, 8, 3), (64, 64, 64, 4, 4), (16, 64, 128, 4, 4), (16, 32, 256, 4, 3)]
_TILES = [(64, 64, 64, 4, 2)] if INTERPRETED else _TUNED
# The same for operands that are not packed, with values of depth at a time.
_FLAT_TUNED = [(128, 128, 64, 8, 3), (64, 64, 64, 4, 3), (16, 64, 128, 4, 4), (16, 32, 128, 4, 4)]
_FLAT_TILES = [(64, 64, 64, 4, 2)] if INTERPRETED else _FLAT_TUNED


def _configs(tiles: list[tuple[int, int, int, int, int]]) -> list[triton.Config]:
    return [triton.Config({"BM": m, "BN": n, "BK": k}, num_warps=w, num_stages=s) for m, n, k, w, s in tiles]


@triton.autotune(_configs(_TILES), key=["bucket", "width", "depth"])
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
):
    """Packed ±1 activations (pixels, bytes) × packed weights (planes, words, channels), read as bytes."""
    group = tl.program_id(1)
    tiles_m, tiles_n = tl.cdiv(pixels, BM), tl.cdiv((width + 63) // 64 * 64, BN)
    tile_m, tile_n = tl.swizzle2d(tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n, tiles_m, tiles_n, 8)
    pixel = tile_m * BM + tl.arange(0, BM)
    live = pixel < pixels
    first, limit = group * width + tile_n * BN, (group + 1) * width
    n = first + tl.arange(0, BN)
    raw = tl.zeros((BM, BN), tl.int32)
    for start in range(0, depth, BK):
        k = start + tl.arange(0, BK)
        if GEOMETRY is None:
            at, unit, inside = pixel[:, None], k[None, :], live[:, None] & (k < depth)[None, :]
        else:
            at, unit, inside = window(pixel[:, None], k[None, :], UNITS, GEOMETRY)
            inside &= live[:, None] & (k < depth)[None, :]
        a = tl.load(x + at * x_bytes + group * UNITS + unit, mask=inside, other=0)
        for plane in tl.static_range(PLANES):
            byte = (plane * (depth // 4) + k // 4)[:, None] * (channels * 4) + n[None, :] * 4 + (k % 4)[:, None]
            w = tl.load(weight + byte, mask=(k < depth)[:, None] & (n < limit)[None, :], other=0)
            left = a
            for _ in tl.static_range(8):
                if DIGITS[plane][0] == -1 and DIGITS[plane][1] == 1:
                    right = lowest_sign(w)
                else:
                    right = tl.where(lowest_digit(w) != 0, DIGITS[plane][1], DIGITS[plane][0]).to(tl.int8)
                raw = tl.dot(lowest_digit(left), right, raw, out_dtype=tl.int32)
                left, w = next_digit(left), next_digit(w)
    acc = corrected(raw, base, kinds, pixel, live, n, limit, channels, 2, GEOMETRY)
    finish(acc, out, pixel, live, first, limit, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)


@triton.autotune(_configs(_FLAT_TILES), key=["bucket", "width", "depth"])
@triton.jit
def flat_dot(
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
    x_channels,
    depth,
    width,
    channels,
    bucket,
    X_SCALE: tl.constexpr,
    X_OFFSET: tl.constexpr,
    PAD: tl.constexpr,
    REAL: tl.constexpr,
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
):
    """Activations (pixels, channels) that are int8 codes or reals × packed weights, or real ones where DIGITS is None.

    Codes c mean ``X_SCALE · c + X_OFFSET``. Integers: ``X_SCALE · raw + base``. REAL: float32 sums, and ``PAD``
    outside the image.
    """
    group = tl.program_id(1)
    tiles_m, tiles_n = tl.cdiv(pixels, BM), tl.cdiv((width + 63) // 64 * 64, BN)
    tile_m, tile_n = tl.swizzle2d(tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n, tiles_m, tiles_n, 8)
    pixel = tile_m * BM + tl.arange(0, BM)
    live = pixel < pixels
    first, limit = group * width + tile_n * BN, (group + 1) * width
    n = first + tl.arange(0, BN)
    raw = tl.zeros((BM, BN), tl.float32 if REAL else tl.int32)
    for start in range(0, depth, BK):
        k = start + tl.arange(0, BK)
        within = live[:, None] & (k < depth)[None, :]
        if GEOMETRY is None:
            at, unit, inside = pixel[:, None], k[None, :], within
        else:
            at, unit, inside = window(pixel[:, None], k[None, :], UNITS, GEOMETRY)
            inside &= within
        a = tl.load(x + at * x_channels + group * UNITS + unit, mask=inside, other=0)
        exists = (k < depth)[:, None] & (n < limit)[None, :]
        if DIGITS is None:
            w = tl.load(weight + k[:, None] * channels + n[None, :], mask=exists, other=0)
        else:
            total = tl.zeros((BK, BN), tl.int32)
            for plane in tl.static_range(PLANES):
                word = (plane * ((depth + 63) // 64 * 2) + k // 32)[:, None] * channels + n[None, :]
                digit = (tl.load(weight + word, mask=exists, other=0) >> (k % 32)[:, None]) & 1
                total += digit * (DIGITS[plane][1] - DIGITS[plane][0]) + DIGITS[plane][0]
            w = tl.where(exists, total, 0)
        if REAL:
            real = a.to(tl.float32) * X_SCALE + X_OFFSET
            real = tl.where(inside, real, tl.where(within, PAD, 0).to(tl.float32))
            raw = tl.dot(real, w.to(tl.float32), raw, input_precision="ieee")
        else:
            raw = tl.dot(a, w.to(tl.int8), raw, out_dtype=tl.int32)
    acc = raw
    if not REAL:
        acc = corrected(raw, base, kinds, pixel, live, n, limit, channels, X_SCALE, GEOMETRY)
    finish(acc, out, pixel, live, first, limit, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)
