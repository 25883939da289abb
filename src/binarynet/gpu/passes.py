"""The operators ``torch.ops.binarynet.*`` that make no products: pack, unpack, spread, pool on bits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from binarynet.gpu.codes import halves_for
from binarynet.gpu.launch import answer, form
from binarynet.gpu.pointwise import block
from binarynet.gpu.pointwise import digits as digits_kernel
from binarynet.gpu.pointwise import pool as pool_kernel
from binarynet.gpu.pointwise import quantize as quantize_kernel
from binarynet.gpu.pointwise import signs as signs_kernel
from binarynet.gpu.pointwise import spread as spread_kernel


@torch.library.custom_op("binarynet::pack", mutates_args=())
def pack(x: Tensor, thresholds: Tensor | None, rising: Tensor | None, made: str) -> Tensor:
    """x (rows, channels) of any type → words (b1) or int8 codes by thresholds; without them, by sign (x >= 0 is 1)."""
    rows, channels = x.shape
    out = answer(x, rows, channels, made)
    mode, levels, low, step = form(made, thresholds)
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


@spread.register_fake
def _(x):  # type: ignore[no-untyped-def]
    return x.new_empty((x.shape[0], 8, 4 * x.shape[1]), dtype=torch.int8)


@pack.register_fake
def _(x, thresholds, rising, made):  # type: ignore[no-untyped-def]
    return answer(x, x.shape[0], x.shape[1], made)


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
