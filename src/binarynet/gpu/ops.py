"""The kernels as PyTorch operators ``torch.ops.binarynet.*``: what `torch.compile` and CUDA graphs see.

All of them read and make matrices (pixels, channels). A convolution is a product whose rows are the output pixels of
all images; ``geometry`` (`binarynet.gpu.language.FIELDS`) says which input pixels are under each, and is empty for a
plain product. ``made`` says what leaves: i32 or f32 sums, b1 (words) or any other encoding (int8 codes) by
``thresholds`` (channels, levels) and ``rising`` (channels,) int8, or "affine": float32 by ``scale`` and ``offset``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from binarynet.gpu import one_bit
from binarynet.gpu.baseline import tiled_gemm, untiled_gemm
from binarynet.gpu.codes import digit_values, stored
from binarynet.gpu.dot import MOST_PARTS, SPLIT_ROWS, bit_dot, octet_dot
from binarynet.gpu.flat import flat_dot
from binarynet.gpu.language import INTERPRETED
from binarynet.gpu.launch import answer, product, rows_made
from binarynet.gpu.passes import pack, pack_planes, pool_bits, spread, unpack
from binarynet.gpu.xnor import TOGETHER, xnor_row, xnor_tile
from binarynet.graph import Encoding

__all__ = [
    "bit_gemm_dot", "bit_gemm_wgmma", "flat_gemm_dot", "octet_gemm_dot", "pack", "pack_planes", "pool_bits",
    "rows_made", "spread", "tiled_gemm", "unpack", "untiled_gemm", "xnor_gemm", "xnor_gemm_rows",
]  # fmt: skip


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
    return product(
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
    return product(
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
    return product(
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
    return product(
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
    out = answer(x, x.shape[0], weight.shape[0], made)
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
    return product(
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


@xnor_gemm.register_fake
def _(x, weight, units, groups, geometry, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return answer(x, rows_made(x.shape[1], geometry), weight.shape[1], made)


@xnor_gemm_rows.register_fake
def _(x, weight, units, groups, geometry, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return answer(x, rows_made(x.shape[1], geometry), weight.shape[0], made)


@bit_gemm_dot.register_fake
def _(x, weight, encoding, units, groups, geometry, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return answer(x, rows_made(x.shape[0], geometry), weight.shape[1], made)


@octet_gemm_dot.register_fake
def _(x, weight, x_scale, units, geometry, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return answer(x, rows_made(x.shape[0], geometry), weight.shape[0], made)


@bit_gemm_wgmma.register_fake
def _(x, weight, pixels, base, kinds, thresholds, rising, scale, offset, made):  # type: ignore[no-untyped-def]
    return answer(x, x.shape[0], weight.shape[0], made)


@flat_gemm_dot.register_fake
def _(x, weight, reads, encoding, depth, units, groups, pad, geometry, base, kinds, thresholds, rising, made):  # type: ignore[no-untyped-def]
    return answer(x, rows_made(x.shape[0], geometry), weight.shape[1], made)
