"""Xor and popcount on the CUDA cores: the papers' kernel (BinaryNet, Run-time/binary_kernels.cu), without its limits.

The dot product of ±1 rows is ``depth − 2 · popcount(a ^ w)``. A bipolar code of K bits is K such rows, the n-th worth
2^n, so the first layer on raw bytes (b8) is eight of them. Both kernels read activations (planes, pixels, words) and
weights (words, channels): lanes of a warp then read neighbouring channels, and share the activation's word.
"""

from __future__ import annotations

import triton
import triton.language as tl

from binarynet.gpu.language import INTERPRETED, corrected, finish, popcount, window

_TILES = (
    [(64, 64, 2, 4)]
    if INTERPRETED
    else [(64, 64, 2, 4), (64, 128, 2, 4), (64, 128, 2, 8), (128, 128, 2, 8), (32, 64, 2, 4)]
)
_STRIPS = [(32, 64, 4)] if INTERPRETED else [(32, 32, 4), (64, 32, 4), (128, 32, 8), (64, 64, 8)]
ROWS = 16
"""Up to so many rows, a program makes one row: the time goes into reading weights, and all lanes share that."""


@triton.autotune(
    [triton.Config({"BM": m, "BN": n, "UNROLL": u}, num_warps=w) for m, n, u, w in _TILES],
    key=["bucket", "width", "depth"],
)
@triton.jit
def xnor_tile(
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
    x_pixels,
    x_words,
    depth,
    width,
    channels,
    bucket,
    PLANES: tl.constexpr,
    UNITS: tl.constexpr,
    GEOMETRY: tl.constexpr,
    MODE: tl.constexpr,
    LEVELS: tl.constexpr,
    LOW: tl.constexpr,
    STEP: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    UNROLL: tl.constexpr,
):
    """A tile of BM pixels × BN channels. ``depth`` counts words, always an even number; UNROLL divides it."""
    group = tl.program_id(1)
    tiles_m, tiles_n = tl.cdiv(pixels, BM), tl.cdiv((width + 63) // 64 * 64, BN)
    tile_m, tile_n = tl.swizzle2d(tl.program_id(0) // tiles_n, tl.program_id(0) % tiles_n, tiles_m, tiles_n, 8)
    pixel = tile_m * BM + tl.arange(0, BM)
    live = pixel < pixels
    first, limit = group * width + tile_n * BN, (group + 1) * width
    n = first + tl.arange(0, BN)
    # What lies past the end reads the last row or channel and is not stored, so that no load needs a mask.
    columns = weight + tl.minimum(n, limit - 1)
    source = tl.minimum(pixel, pixels - 1)
    count = tl.zeros((BM, BN), tl.int32)
    for start in range(0, depth, UNROLL):
        for step in tl.static_range(UNROLL):
            k = start + step
            w = tl.load(columns + k * channels).to(tl.uint32, bitcast=True)
            for plane in tl.static_range(PLANES):
                if GEOMETRY is None:
                    a = tl.load(x + plane * x_pixels * x_words + source * x_words + k)
                else:
                    at, unit, inside = window(source, k, UNITS, GEOMETRY)
                    row = x + plane * x_pixels * x_words + at * x_words + group * UNITS + unit
                    a = tl.load(row, mask=inside, other=0)
                count += popcount(a.to(tl.uint32, bitcast=True)[:, None] ^ w[None, :]) << plane
    acc = corrected(count, base, kinds, pixel, live, n, limit, channels, -2, GEOMETRY)
    finish(acc, out, pixel, live, first, limit, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)


@triton.autotune(
    [triton.Config({"BK": k, "BN": n}, num_warps=w) for k, n, w in _STRIPS],
    key=["width", "depth"],
)
@triton.jit
def xnor_row(
    x,
    weight,
    out,
    base,
    kinds,
    thresholds,
    rising,
    scale,
    offset,
    x_pixels,
    x_words,
    depth,
    width,
    channels,
    PLANES: tl.constexpr,
    UNITS: tl.constexpr,
    GEOMETRY: tl.constexpr,
    MODE: tl.constexpr,
    LEVELS: tl.constexpr,
    LOW: tl.constexpr,
    STEP: tl.constexpr,
    BK: tl.constexpr,
    BN: tl.constexpr,
):
    """One pixel × BN channels: BK words of depth at a time, added up at the end."""
    group = tl.program_id(1)
    pixel = tl.program_id(2) + tl.arange(0, 1)
    live = pixel >= 0
    first, limit = group * width + tl.program_id(0) * BN, (group + 1) * width
    n = first + tl.arange(0, BN)
    count = tl.zeros((BK, BN), tl.int32)
    for start in range(0, depth, BK):
        k = start + tl.arange(0, BK)
        exists = (k < depth)[:, None] & (n < limit)[None, :]
        w = tl.load(weight + k[:, None] * channels + n[None, :], mask=exists, other=0).to(tl.uint32, bitcast=True)
        if GEOMETRY is None:
            at, unit, inside = tl.program_id(2), k, k < depth
        else:
            at, unit, inside = window(tl.program_id(2), k, UNITS, GEOMETRY)
            inside &= k < depth
        for plane in tl.static_range(PLANES):
            row = x + (plane * x_pixels + at) * x_words + group * UNITS + unit
            a = tl.load(row, mask=inside, other=0).to(tl.uint32, bitcast=True)
            count += popcount(a[:, None] ^ w) << plane
    raw = tl.sum(count, axis=0)[None, :]
    acc = corrected(raw, base, kinds, pixel, live, n, limit, channels, -2, GEOMETRY)
    finish(acc, out, pixel, live, first, limit, channels, thresholds, rising, scale, offset, MODE, LEVELS, LOW, STEP)
