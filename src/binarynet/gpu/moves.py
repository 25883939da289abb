"""Ops that move values, join them, or gate one with another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from binarynet.gpu import ops, reals
from binarynet.gpu.codes import stored
from binarynet.gpu.step import Step
from binarynet.graph import Value
from binarynet.graph.functions import FUNCTIONS
from binarynet.graph.ir import Apply, Concat, Mul, Take


def multiply(op: Mul, values: Mapping[str, Value]) -> Step:
    value, factor = (values[name] for name in op.sources)

    def run(x: Tensor, by: Tensor) -> Tensor:
        image, beside = x.reshape(-1, *_image(value.shape)), by.reshape(-1, *_image(factor.shape))
        return (image * beside).reshape(x.shape)

    return Step(op, op.name, op.sources, run, "torch")


def apply(op: Apply) -> Step:
    return Step(op, op.name, op.sources, lambda x: FUNCTIONS[op.function](reals.OnTensors(x), x), "torch")


def take(op: Take, values: Mapping[str, Value], put: Callable[[Any], Tensor]) -> Step:
    """Of bits: unpacked, moved, packed again."""
    value = values[op.source]
    bits, channels = str(value.encoding) == "b1", len(op.channels)
    form = None if value.encoding.is_float or value.encoding.bits == 32 or bits else stored(value.encoding)
    zero = -form.offset // form.scale if form is not None else 0
    places = [put(one.astype(np.int64)) for one in (op.rows, op.columns, op.channels)]

    def run(x: Tensor) -> Tensor:
        x = ops.unpack(x, value.channels) if bits else x
        moved = reals.take(x.reshape(-1, *_image(value.shape)), places, zero).reshape(-1, channels)
        return ops.pack(moved, None, None, "b1") if bits else moved

    return Step(op, op.name, op.sources, run, "unpack, torch, pack" if bits else "torch")


def concat(op: Concat, values: Mapping[str, Value]) -> Step:
    parts = [values[name].channels for name in op.sources]
    if str(values[op.source].encoding) != "b1":
        return Step(op, op.name, op.sources, lambda *xs: torch.cat(xs, 1), "torch")
    if all(one % 64 == 0 for one in parts[:-1]):
        return Step(op, op.name, op.sources, lambda *xs: torch.cat(xs, 1), "torch on words")

    def run(*xs: Tensor) -> Tensor:
        apart = [ops.unpack(x, channels) for x, channels in zip(xs, parts, strict=True)]
        return ops.pack(torch.cat(apart, 1), None, None, "b1")

    return Step(op, op.name, op.sources, run, "unpack, torch, pack")


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A vector is an image of one pixel."""
    return (1, 1, *shape) if len(shape) == 1 else shape
