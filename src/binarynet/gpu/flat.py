"""Products of operands that are not packed, codes or reals, with packed weights or real ones, on the tensor cores."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from binarynet.gpu.dot import tiles_of
from binarynet.gpu.language import INTERPRETED, corrected, finish, quick, window

# BM, BN, values of depth at a time, warps, stages
_FLAT_TUNED = [(128, 128, 64, 8, 3), (64, 64, 64, 4, 3), (64, 64, 32, 4, 3), (16, 64, 64, 4, 3)]
_FLAT_TILES = [(64, 64, 64, 4, 2)] if INTERPRETED else _FLAT_TUNED
_INTERPRETED = tl.constexpr(INTERPRETED)
# Triton's interpreter multiplies the bit patterns of bfloat16; float32 holds the same numbers.
_WHOLE = tl.constexpr(tl.float32 if INTERPRETED else tl.bfloat16)


def flat_tiles(configs: list[triton.Config], given: dict[str, Any], **constants: Any) -> list[triton.Config]:
    """Sums of reals want smaller tiles: three products go into each, or none that tensor cores make."""
    named = {**given, **constants}
    most = 128 * 128 if not named["REAL"] else 64 * 64
    deepest = 32 if named["DIGITS"] is None else 64
    return [
        one for one in configs
        if one.kwargs["BM"] * one.kwargs["BN"] <= most and one.kwargs["BK"] <= deepest
    ] or configs  # fmt: skip


@triton.autotune(
    tiles_of(_FLAT_TILES),
    key=["bucket", "width", "depth", "DIGITS", "REAL"],
    do_bench=quick,
    prune_configs_by={"early_config_prune": flat_tiles},
)
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
                word = (plane * channels + n[None, :]) * ((depth + 63) // 64 * 2) + (k // 32)[:, None]
                digit = (tl.load(weight + word, mask=exists, other=0) >> (k % 32)[:, None]) & 1
                total += digit * (DIGITS[plane][1] - DIGITS[plane][0]) + DIGITS[plane][0]
            w = tl.where(exists, total, 0)
        if REAL:
            real = a.to(tl.float32) * X_SCALE + X_OFFSET
            real = tl.where(inside, real, tl.where(within, PAD, 0).to(tl.float32))
            if DIGITS is None:
                raw = tl.dot(real, w.to(tl.float32), raw, input_precision="ieee")
            elif a.dtype.primitive_bitwidth == 16:
                kind: tl.constexpr = _WHOLE if _INTERPRETED else a.dtype
                raw += tl.dot(real.to(kind), w.to(tl.float32).to(kind))
            else:
                # Three numbers of 8 bits each are the 24 of a float32, and a weight has 8: all products are exact. The
                # sums of tensor cores round towards zero, so those of one tile are added up outside of them.
                whole = w.to(tl.float32).to(_WHOLE)
                high = truncated(real)
                middle = truncated(real - high)
                part = tl.dot((real - high - middle).to(_WHOLE), whole)
                part = tl.dot(middle.to(_WHOLE), whole, part)
                raw += tl.dot(high.to(_WHOLE), whole, part)
        else:
            raw = tl.dot(a, w.to(tl.int8), raw, out_dtype=tl.int32)
    acc = raw
    if not REAL:
        acc = corrected(raw, base, kinds, pixel, live, n, limit, channels, X_SCALE, GEOMETRY)
    finish(acc, out, pixel, live, first, limit, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)


@triton.jit
def truncated(x):
    """float32 → the 8 leading bits of its mantissa, as float32: what bfloat16 holds, and never more than x."""
    return (x.to(tl.int32, bitcast=True) & -65536).to(tl.float32, bitcast=True)
