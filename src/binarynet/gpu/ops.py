"""The kernels as PyTorch operators ``torch.ops.binarynet.*``: what `torch.compile` and CUDA graphs see.

All of them read and make matrices (pixels, channels). A convolution is a product whose rows are the output pixels of
all images; ``geometry`` (`binarynet.gpu.language.FIELDS`) says which input pixels are under each, and is empty for a
plain product. ``made`` says what leaves: i32 or f32 sums, b1 (words) or any other encoding (int8 codes) by
``thresholds`` (channels, levels) and ``rising`` (channels,) int8, or "affine": float32 by ``scale`` and ``offset``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from binarynet.gpu import one_bit
from binarynet.gpu.baseline import BLOCK, SIDE, WARPS
from binarynet.gpu.baseline import tiled_gemm as tiled_kernel
from binarynet.gpu.baseline import untiled_gemm as untiled_kernel
from binarynet.gpu.codes import digit_values, halves_for, stored
from binarynet.gpu.dot import MOST_PARTS, SPLIT_ROWS, bit_dot, flat_dot, octet_dot
from binarynet.gpu.language import ACCUMULATOR, AFFINE, BITS, CODES, INTERPRETED
from binarynet.gpu.pointwise import block
from binarynet.gpu.pointwise import digits as digits_kernel
from binarynet.gpu.pointwise import pool as pool_kernel
from binarynet.gpu.pointwise import quantize as quantize_kernel
from binarynet.gpu.pointwise import signs as signs_kernel
from binarynet.gpu.pointwise import spread as spread_kernel
from binarynet.gpu.xnor import TOGETHER, xnor_row, xnor_tile
from binarynet.graph import Encoding


def _finish(made: str, thresholds: Tensor | None) -> tuple[int, int, int, int]:
    """MODE, LEVELS, LOW, STEP of `binarynet.gpu.language.finish`."""
    if made in ("i32", "f32"):
        return ACCUMULATOR.value, 0, 0, 0
    if made == "affine":
        return AFFINE.value, 0, 0, 0
    if made == "b1":
        return BITS.value, 1, 0, 0
    form, levels = stored(Encoding.parse(made)), thresholds.shape[1] if thresholds is not None else 0
    return CODES.value, levels, form.low, form.step


def _answer(x: Tensor, rows: int, channels: int, made: str) -> Tensor:
    if made == "b1":
        return x.new_empty((rows, halves_for(channels)), dtype=torch.int32)
    types = {"i32": torch.int32, "f32": torch.float32, "affine": torch.float32}
    return x.new_empty((rows, channels), dtype=types.get(made, torch.int8))


def rows_made(rows: int, geometry: Sequence[int]) -> int:
    """Output pixels of so many input pixels: those of all images, or the rows of a plain matrix."""
    return rows // (geometry[0] * geometry[1]) * geometry[2] * geometry[3] if geometry else rows


def _product(
    kernel: Any,
    x: Tensor,
    weight: Tensor,
    rows: int,
    channels: int,
    groups: int,
    geometry: Sequence[int],
    finish: Sequence[Any],
    **given: Any,
) -> Tensor:
    """Allocate, launch, return. ``finish``: base, kinds, thresholds, rising, scale, offset, made."""
    base, kinds, thresholds, rising, scale, offset, made = finish
    rows, width = rows_made(rows, geometry), channels // groups
    padded = -(-width // 64) * 64
    out = _answer(x, rows, channels, made)
    mode, levels, low, step = _finish(made, thresholds)
    if not rows:
        return out

    def grid(meta: dict[str, Any]) -> tuple[int, int, int]:
        if kernel is xnor_row:
            return triton.cdiv(padded, meta["BN"]), groups, triton.cdiv(rows, meta["BM"])
        return triton.cdiv(rows, meta["BM"]) * triton.cdiv(padded, meta["BN"]), groups, meta.get("PARTS", 1)

    if kernel is not xnor_row:
        given |= {"bucket": triton.next_power_of_2(rows)}
    kernel[grid](
        x,
        weight,
        out,
        base,
        kinds,
        thresholds,
        rising,
        scale,
        offset,
        pixels=rows,
        width=width,
        channels=channels,
        GEOMETRY=tuple(geometry) or None,
        MODE=mode,
        LEVELS=levels,
        LOW=low,
        STEP=step,
        **given,
    )
    return out


@torch.library.custom_op("binarynet::xnor_gemm", mutates_args=())
def xnor_gemm(
    x: Tensor,
    weight: Tensor,
    units: int,
    groups: int,
    geometry: Sequence[int],
    base: Tensor,
    kinds: Tensor | None,
    thresholds: Tensor | None,
    rising: Tensor | None,
    scale: Tensor | None,
    offset: Tensor | None,
    made: str,
) -> Tensor:
    """x (planes, pixels, words) × weight (words of depth, channels): ``base − 2 · Σ_n 2^n popcount(x_n ^ w)``.

    The words of ``weight`` are int64, and ``units`` counts such words; those of x are their halves, as everywhere.
    """
    return _product(
        xnor_tile,
        x.view(torch.int64),
        weight,
        x.shape[1],
        weight.shape[1],
        groups,
        geometry,
        (base, kinds, thresholds, rising, scale, offset, made),
        x_pixels=x.shape[1],
        x_words=x.shape[2] // 2,
        depth=weight.shape[0],
        PLANES=x.shape[0],
        UNITS=units,
        enable_fp_fusion=False,
    )


@torch.library.custom_op("binarynet::xnor_gemm_rows", mutates_args=())
def xnor_gemm_rows(
    x: Tensor,
    weight: Tensor,
    units: int,
    groups: int,
    geometry: Sequence[int],
    base: Tensor,
    kinds: Tensor | None,
    thresholds: Tensor | None,
    rising: Tensor | None,
    scale: Tensor | None,
    offset: Tensor | None,
    made: str,
) -> Tensor:
    """`xnor_gemm` for few rows, where weights are (channels, words of depth), as in the file."""
    rows = rows_made(x.shape[1], geometry)
    return _product(
        xnor_row,
        x,
        weight,
        x.shape[1],
        weight.shape[0],
        groups,
        geometry,
        (base, kinds, thresholds, rising, scale, offset, made),
        x_pixels=x.shape[1],
        x_words=x.shape[2],
        depth=weight.shape[1],
        PLANES=x.shape[0],
        UNITS=units,
        BM=min(TOGETHER, triton.next_power_of_2(max(rows, 1))),
        enable_fp_fusion=False,
    )


@torch.library.custom_op("binarynet::bit_gemm_dot", mutates_args=())
def bit_gemm_dot(
    x: Tensor,
    weight: Tensor,
    encoding: str,
    units: int,
    groups: int,
    geometry: Sequence[int],
    base: Tensor,
    kinds: Tensor | None,
    thresholds: Tensor | None,
    rising: Tensor | None,
    scale: Tensor | None,
    offset: Tensor | None,
    made: str,
) -> Tensor:
    """x (pixels, 8, bytes) of `spread` × weight (planes, channels, words of depth): ``base + 2 · Σ bit(x) · w``."""
    values = digit_values(Encoding.parse(encoding))
    rows, channels = rows_made(x.shape[0], geometry), weight.shape[1]
    sums = tickets = None
    if 0 < rows <= SPLIT_ROWS or INTERPRETED:  # there a single tile is all that there is, with parts
        sums = x.new_empty((MOST_PARTS, rows, channels), dtype=torch.int32)
        most = triton.cdiv(rows, 16) * triton.cdiv(-(-(channels // groups) // 64) * 64, 32) * groups
        tickets = x.new_zeros(most, dtype=torch.int32)
    return _product(
        bit_dot,
        x,
        weight.reshape(-1).view(torch.uint8),
        x.shape[0],
        channels,
        groups,
        geometry,
        (base, kinds, thresholds, rising, scale, offset, made),
        sums=sums,
        tickets=tickets,
        x_bytes=x.shape[2],
        depth=4 * weight.shape[2],
        DIGITS=values,
        PLANES=len(values),
        UNITS=4 * units,
        enable_fp_fusion=False,
    )


@torch.library.custom_op("binarynet::octet_gemm_dot", mutates_args=())
def octet_gemm_dot(
    x: Tensor,
    weight: Tensor,
    x_scale: int,
    units: int,
    geometry: Sequence[int],
    base: Tensor,
    kinds: Tensor | None,
    thresholds: Tensor | None,
    rising: Tensor | None,
    scale: Tensor | None,
    offset: Tensor | None,
    made: str,
) -> Tensor:
    """x (pixels, octets) int8 × weight (channels, depth) int8, ``units`` of it a tap: ``x_scale · x w + base``."""
    return _product(
        octet_dot,
        x,
        weight,
        x.shape[0],
        weight.shape[0],
        1,
        geometry,
        (base, kinds, thresholds, rising, scale, offset, made),
        x_octets=x.shape[1],
        depth=weight.shape[1],
        X_SCALE=x_scale,
        UNITS=units,
        enable_fp_fusion=False,
    )


@torch.library.custom_op("binarynet::bit_gemm_wgmma", mutates_args=())
def bit_gemm_wgmma(
    x: Tensor,
    weight: Tensor,
    pixels: int,
    base: Tensor,
    kinds: Tensor | None,
    thresholds: Tensor | None,
    rising: Tensor | None,
    scale: Tensor | None,
    offset: Tensor | None,
    made: str,
) -> Tensor:
    """x (rows, words) × weight (channels, words), of ±1, on one-bit tensor cores: ``4 popcount(x & w) − 2 |x| + base``.

    ``kinds`` (pixels,) says which row of ``base`` a row takes; rows of one image follow each other. Rows are multiples
    of four words (`one_bit.aligned`). ``made``: i32, b1 or affine.
    """
    out = _answer(x, x.shape[0], weight.shape[0], made)
    if x.shape[0]:
        one_bit.launch(x, weight, out, pixels, base, kinds, thresholds, rising, scale, offset, made)
    return out


@torch.library.custom_op("binarynet::flat_gemm_dot", mutates_args=())
def flat_gemm_dot(
    x: Tensor,
    weight: Tensor,
    reads: str,
    encoding: str,
    depth: int,
    units: int,
    groups: int,
    pad: int,
    geometry: Sequence[int],
    base: Tensor,
    kinds: Tensor | None,
    thresholds: Tensor | None,
    rising: Tensor | None,
    made: str,
) -> Tensor:
    """x (pixels, channels), codes of ``reads`` or reals × weights as in `bit_gemm_dot`, or f32 (depth, channels).

    With a real operand the sums are float32. Reals × packed weights go to the tensor cores: float32 as three numbers of
    bfloat16, whose products are exact; float16 and bfloat16 as they are. Real weights do not.
    """
    real = "f32" in (reads, encoding)
    form = None if reads == "f32" else stored(Encoding.parse(reads))
    values = None if encoding == "f32" else digit_values(Encoding.parse(encoding))
    return _product(
        flat_dot,
        x,
        weight,
        x.shape[0],
        weight.shape[1],
        groups,
        geometry,
        (base, kinds, thresholds, rising, None, None, made),
        x_channels=x.shape[1],
        depth=depth,
        X_SCALE=form.scale if form else 1,
        X_OFFSET=form.offset if form else 0,
        PAD=pad,
        REAL=real,
        DIGITS=values,
        PLANES=len(values) if values else 0,
        UNITS=units,
    )


@torch.library.custom_op("binarynet::pack", mutates_args=())
def pack(x: Tensor, thresholds: Tensor | None, rising: Tensor | None, made: str) -> Tensor:
    """x (rows, channels) of any type → words (b1) or int8 codes by thresholds; without them, by sign (x >= 0 is 1)."""
    rows, channels = x.shape
    out = _answer(x, rows, channels, made)
    mode, levels, low, step = _finish(made, thresholds)
    if rows:
        tile_m, tile_n = _rectangle(channels)
        grid = (triton.cdiv(rows, tile_m), triton.cdiv(-(-channels // 64) * 64, tile_n))
        quantize_kernel[grid](
            x, out, thresholds, rising, rows, channels, mode, levels, low, step, BM=tile_m, BN=tile_n
        )  # fmt: skip
    return out


@torch.library.custom_op("binarynet::pack_planes", mutates_args=())
def pack_planes(x: Tensor, bits: int) -> Tensor:
    """Codes (rows, channels) uint8 → words (bits, rows, words): the digits of a code, plane n worth 2^n."""
    rows, channels = x.shape
    out = x.new_empty((bits, rows, halves_for(channels)), dtype=torch.int32)
    if rows:
        tile_m, tile_n = _rectangle(channels)
        grid = (triton.cdiv(rows, tile_m), triton.cdiv(-(-channels // 64) * 64, tile_n), bits)
        digits_kernel[grid](x, out, rows, channels, BM=tile_m, BN=tile_n)
    return out


@torch.library.custom_op("binarynet::unpack", mutates_args=())
def unpack(x: Tensor, channels: int) -> Tensor:
    """Words (rows, words) → ±1 (rows, channels) int8."""
    rows = x.shape[0]
    out = x.new_empty((rows, channels), dtype=torch.int8)
    if rows:
        tile_m, tile_n = _rectangle(channels)
        signs_kernel[triton.cdiv(rows, tile_m), triton.cdiv(channels, tile_n)](
            x, out, rows, channels, BM=tile_m, BN=tile_n
        )  # fmt: skip
    return out


@torch.library.custom_op("binarynet::spread", mutates_args=())
def spread(x: Tensor) -> Tensor:
    """Words (rows, words) → their digits 0 / 1 as int8 (rows, 8, bytes): digit d of byte b at (d, b)."""
    rows, octets = x.shape[0], 4 * x.shape[1]
    out = x.new_empty((rows, 8, octets), dtype=torch.int8)
    if rows:
        tile_m, tile_n = _rectangle(octets)
        spread_kernel[triton.cdiv(rows, tile_m), triton.cdiv(octets, tile_n)](
            x.view(torch.uint8), out, rows, octets, BM=tile_m, BN=tile_n
        )  # fmt: skip
    return out


def _rectangle(channels: int) -> tuple[int, int]:
    """Rows and columns of a tile of the kernels that only pass over their input once."""
    columns = min(128, max(32, triton.next_power_of_2(channels)))
    return max(1, block() // columns), columns


@torch.library.custom_op("binarynet::pool_bits", mutates_args=())
def pool_bits(x: Tensor, minimum: Tensor, geometry: Sequence[int]) -> Tensor:
    """Words (pixels, words) → the largest under each window, the smallest where a bit of ``minimum`` (words,) is set.

    ``geometry``: height, width, rows, columns, kernel (2), stride (2), top, left.
    """
    height, width, rows, columns = geometry[:4]
    words = x.shape[1]
    out = x.new_empty((x.shape[0] // (height * width) * rows * columns, words))
    if out.numel():
        pool_kernel[(triton.cdiv(out.numel(), block()),)](
            x, out, minimum, out.numel(), words, *geometry, BLOCK=block()
        )  # fmt: skip
    return out


@torch.library.custom_op("binarynet::tiled_gemm", mutates_args=())
def tiled_gemm(a: Tensor, b: Tensor) -> Tensor:
    """a (m, k) @ b (k, n) in float32 by 16 × 16 tiles: the papers' baseline."""
    m, n = a.shape[0], b.shape[1]
    out = a.new_empty((m, n))
    grid = (triton.cdiv(n, SIDE), triton.cdiv(m, SIDE))
    tiled_kernel[grid](a, b, out, m, n, a.shape[1], SIDE=SIDE, num_warps=WARPS, num_stages=1)
    return out


@torch.library.custom_op("binarynet::untiled_gemm", mutates_args=())
def untiled_gemm(a: Tensor, b: Tensor) -> Tensor:
    """The same, one thread an output and no tile."""
    out = a.new_empty((a.shape[0], b.shape[1]))
    untiled_kernel[(triton.cdiv(out.numel(), BLOCK),)](a, b, out, *out.shape, a.shape[1], BLOCK=BLOCK, num_warps=8)
    return out


@xnor_gemm.register_fake
def _(x, weight, units, groups, geometry, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return _answer(x, rows_made(x.shape[1], geometry), weight.shape[1], made)


@xnor_gemm_rows.register_fake
def _(x, weight, units, groups, geometry, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return _answer(x, rows_made(x.shape[1], geometry), weight.shape[0], made)


@bit_gemm_dot.register_fake
def _(x, weight, encoding, units, groups, geometry, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return _answer(x, rows_made(x.shape[0], geometry), weight.shape[1], made)


@octet_gemm_dot.register_fake
def _(x, weight, x_scale, units, geometry, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return _answer(x, rows_made(x.shape[0], geometry), weight.shape[0], made)


@bit_gemm_wgmma.register_fake
def _(x, weight, pixels, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return _answer(x, x.shape[0], weight.shape[0], made)


@flat_gemm_dot.register_fake
def _(x, weight, reads, encoding, depth, units, groups, pad, geometry, base, kinds, thresholds, rising, made):  # type: ignore[no-untyped-def]
    return _answer(x, rows_made(x.shape[0], geometry), weight.shape[1], made)


@spread.register_fake
def _(x):  # type: ignore[no-untyped-def]
    return x.new_empty((x.shape[0], 8, 4 * x.shape[1]), dtype=torch.int8)


@pack.register_fake
def _(x, thresholds, rising, made):  # type: ignore[no-untyped-def]
    return _answer(x, x.shape[0], x.shape[1], made)


@pack_planes.register_fake
def _(x, bits):  # type: ignore[no-untyped-def]
    return x.new_empty((bits, x.shape[0], halves_for(x.shape[1])), dtype=torch.int32)


@unpack.register_fake
def _(x, channels):  # type: ignore[no-untyped-def]
    return x.new_empty((x.shape[0], channels), dtype=torch.int8)


@pool_bits.register_fake
def _(x, minimum, geometry):  # type: ignore[no-untyped-def]
    height, width, rows, columns = geometry[:4]
    return x.new_empty((x.shape[0] // (height * width) * rows * columns, x.shape[1]))


@tiled_gemm.register_fake
def _(a, b):  # type: ignore[no-untyped-def]
    return a.new_empty((a.shape[0], b.shape[1]))


@untiled_gemm.register_fake
def _(a, b):  # type: ignore[no-untyped-def]
    return a.new_empty((a.shape[0], b.shape[1]))
