"""What the ops may read that only move numbers, and the type of the value that each makes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from binarynet.errors import GraphError
from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import Concat, Flatten, Take, Unflatten, Value

I32, F32 = Encoding("i", 32), Encoding("f", 32)

Fail = Callable[[str], GraphError]


def as_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A vector is an image of one pixel."""
    return (1, 1, *shape) if len(shape) == 1 else shape


def take(op: Take, fail: Fail, x: Value) -> Value:
    shape = []
    for axis, size in zip(("rows", "columns", "channels"), as_image(x.shape), strict=True):
        places = getattr(op, axis)
        if places.dtype != np.int32 or places.ndim != 1 or not places.size:
            raise fail(f"{axis} must be a non-empty row of int32, not {places.dtype} {places.shape}")
        if places.min() < -1 or places.max() >= size:
            raise fail(f"{axis} holds places from {places.min()} to {places.max()}; there are −1 … {size - 1} in {x}")
        if x.encoding.kind == "b" and places.min() < 0:
            raise fail(f"{axis} holds −1, which makes a 0, and {x.encoding} has none")
        shape.append(len(places))
    vector = len(x.shape) == 1 and shape[:2] == [1, 1]
    return Value(tuple(shape[2:] if vector else shape), x.encoding, x.bound)


def concat(op: Concat, fail: Fail, *parts: Value) -> Value:
    first = parts[0]
    for one in parts[1:]:
        if (one.shape[:-1], one.encoding) != (first.shape[:-1], first.encoding):
            raise fail(f"joins {first} and {one}; all must have one height, width and encoding")
    shape = (*first.shape[:-1], sum(one.channels for one in parts))
    return Value(shape, first.encoding, max(one.bound for one in parts))


def flatten(op: Flatten, fail: Fail, x: Value) -> Value:
    return Value((prod(x.shape),), x.encoding, x.bound)


def unflatten(op: Unflatten, fail: Fail, x: Value) -> Value:
    if len(op.shape) != 3 or min(op.shape) < 1 or (prod(op.shape),) != x.shape:
        raise fail(f"makes {op.shape} of {x}; it makes (height, width, channels) of a vector of as many numbers")
    if x.encoding not in (I32, F32):
        raise fail(f"reads {x.encoding}, needs i32 or f32")
    return Value(op.shape, x.encoding, x.bound)
