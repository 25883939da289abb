"""What every operator of the GPU does around its kernel: allocate the answer, name its form, launch a product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from binarynet.gpu.codes import halves_for, stored
from binarynet.gpu.language import ACCUMULATOR, AFFINE, BITS, CODES
from binarynet.gpu.xnor import xnor_row
from binarynet.graph import Encoding


def form(made: str, thresholds: Tensor | None) -> tuple[int, int, int, int]:
    """MODE, LEVELS, LOW, STEP of `binarynet.gpu.language.finish`."""
    if made in ("i32", "f32"):
        return ACCUMULATOR.value, 0, 0, 0
    if made == "affine":
        return AFFINE.value, 0, 0, 0
    if made == "b1":
        return BITS.value, 1, 0, 0
    form, levels = stored(Encoding.parse(made)), thresholds.shape[1] if thresholds is not None else 0
    return CODES.value, levels, form.low, form.step


def answer(x: Tensor, rows: int, channels: int, made: str) -> Tensor:
    if made == "b1":
        return x.new_empty((rows, halves_for(channels)), dtype=torch.int32)
    types = {"i32": torch.int32, "f32": torch.float32, "affine": torch.float32}
    return x.new_empty((rows, channels), dtype=types.get(made, torch.int8))


def rows_made(rows: int, geometry: Sequence[int]) -> int:
    """Output pixels of so many input pixels: those of all images, or the rows of a plain matrix."""
    return rows // (geometry[0] * geometry[1]) * geometry[2] * geometry[3] if geometry else rows


def product(
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
    out = answer(x, rows, channels, made)
    mode, levels, low, step = form(made, thresholds)
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
