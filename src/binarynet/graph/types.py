"""What each op may read and hold, every rule with its own message, and the type of the value that it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from binarynet.graph import moves
from binarynet.graph.encoding import Encoding
from binarynet.graph.functions import FUNCTIONS
from binarynet.graph.ir import (
    Add,
    Affine,
    Apply,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    Padding,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
    Value,
    window_output,
)
from binarynet.graph.moves import F32, I32, Fail
from binarynet.graph.rules import Rules
from binarynet.graph.weights import held

LIMIT = 2**31 - 1  # accumulators are 32-bit; sizes stay below it too, so that no engine can overflow
_SIDE = 2**16  # the largest kernel, stride, dilation or padding


def _encoding(name: str, fail: Fail) -> Encoding:
    try:
        return Encoding.parse(name)
    except ValueError as error:
        raise fail(str(error)) from None


def _input(op: Input, fail: Fail) -> Value:
    encoding = _encoding(op.encoding, fail)
    if not (encoding == F32 or encoding.kind in "bu"):
        raise fail(f"an input is b1…b8, u1…u8 or f32, not {encoding}")
    if len(op.shape) not in (1, 3):
        raise fail(f"an input is (features,) or (height, width, channels), not {op.shape}")
    return Value(op.shape, encoding, 0 if encoding.is_float else encoding.magnitude)


def _sum(shape: tuple[int, ...], bound: int, what: str, fail: Fail) -> Value:
    """An i32 value, if its largest absolute value fits."""
    if bound > LIMIT:
        raise fail(f"{what} can reach ±{bound}, which does not fit 32 bits")
    return Value(shape, I32, bound)


def _weights(op: Linear | Conv2d, fail: Fail, rank: int) -> Encoding:
    encoding = _encoding(op.weight_encoding, fail)
    if encoding == I32:
        raise fail("weights are b1…b7, u1…u7, i2…i8, t2 or f32, not i32")
    weight = held(op)
    if not isinstance(weight, np.ndarray):  # bits, which can mean nothing but values of their encoding
        if weight.encoding != op.weight_encoding or len(weight.shape) != rank or min(weight.shape) < 1:
            raise fail(f"weight must be of rank {rank} and {encoding}, not {weight.shape} of {weight.encoding}")
        return encoding
    dtype = np.float32 if encoding.is_float else np.int8
    if weight.dtype != dtype or weight.ndim != rank or not weight.size:
        wanted = np.dtype(dtype).name
        raise fail(f"weight must be a non-empty {wanted} array of rank {rank}, not {weight.dtype} {weight.shape}")
    if encoding.is_float:
        if not np.isfinite(weight).all():
            raise fail("a weight is not finite")
        return encoding
    low, high = int(weight.min()), int(weight.max())
    if low < encoding.low or high > encoding.high or (encoding.kind == "b" and not np.all(weight & 1)):
        raise fail(f"weight holds values that {encoding} does not have")
    return encoding


def _accumulator(x: Value, weight: Encoding, depth: int, shape: tuple[int, ...], fail: Fail) -> Value:
    if x.encoding.is_float or (weight.is_float and x.encoding != I32):
        return Value(shape, F32)
    if x.encoding == I32:
        raise fail("reads an accumulator; a Threshold or an Affine must stand between")
    what = f"a dot product of {depth} values {x.encoding} × {weight}"
    return _sum(shape, depth * x.bound * weight.magnitude, what, fail)


def _linear(op: Linear, fail: Fail, x: Value) -> Value:
    weight = _weights(op, fail, 2)
    if len(x.shape) != 1:
        raise fail(f"reads {x}; a Linear reads a vector, so put a Flatten before it")
    out, depth = op.weight_shape
    if x.shape[0] != depth:
        raise fail(f"has weights for {depth} inputs, reads {x.shape[0]}")
    return _accumulator(x, weight, depth, (out,), fail)


def _image(x: Value, fail: Fail) -> tuple[int, int, int]:
    if len(x.shape) != 3:
        raise fail(f"reads {x}, needs an image (height, width, channels)")
    return x.shape[0], x.shape[1], x.shape[2]


def _sides(fail: Fail, **pairs: tuple[int, int]) -> None:
    for name, pair in pairs.items():
        if len(pair) != 2 or not all(isinstance(side, int) and 1 <= side <= _SIDE for side in pair):
            raise fail(f"{name} must be two numbers from 1 to {_SIDE}, not {pair}")


def _places(
    x: Value,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: Padding,
    fail: Fail,
) -> tuple[int, int]:
    height, width, _ = _image(x, fail)
    _sides(fail, kernel=kernel, stride=stride, dilation=dilation)
    if len(padding) != 2 or any(len(p) != 2 for p in padding):
        raise fail(f"padding must be ((top, bottom), (left, right)), not {padding}")
    if not all(isinstance(side, int) and 0 <= side <= _SIDE for pair in padding for side in pair):
        raise fail(f"padding must be numbers from 0 to {_SIDE}, not {padding}")
    places = tuple(
        window_output(*axis) for axis in zip((height, width), kernel, stride, dilation, padding, strict=True)
    )
    if min(places) < 1:
        reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
        raise fail(
            f"a window of {reach[0]}×{reach[1]} does not fit an image of {height}×{width} with padding {padding}"
        )
    return places[0], places[1]


def _conv2d(op: Conv2d, fail: Fail, x: Value) -> Value:
    weight = _weights(op, fail, 4)
    out, kernel_height, kernel_width, in_group = op.weight_shape
    rows, columns = _places(x, (kernel_height, kernel_width), op.stride, op.dilation, op.padding, fail)
    if op.groups < 1 or out % op.groups or x.channels != in_group * op.groups:
        raise fail(
            f"{x.channels} channels in, {out} out, weights for {in_group} channels in each of {op.groups} groups: "
            "groups must divide both, and channels in must be groups × channels of a weight"
        )
    outside = Encoding("i", 8) if x.encoding.is_float else x.encoding
    if op.pad_value != 0 and (
        not outside.low <= op.pad_value <= outside.high or (outside.kind == "b" and op.pad_value % 2 == 0)
    ):
        raise fail(f"pad_value {op.pad_value} is neither 0 nor a value of {x.encoding}")
    return _accumulator(x, weight, kernel_height * kernel_width * in_group, (rows, columns, out), fail)


def _per_channel(array: Any, dtype: Any, x: Value, name: str, fail: Fail) -> None:
    if array.dtype != dtype or array.shape != (x.channels,):
        raise fail(f"{name} must be {np.dtype(dtype).name} of shape ({x.channels},), not {array.dtype} {array.shape}")
    if not np.all(np.isfinite(array)):
        raise fail(f"{name} holds a number that is not finite")


def _threshold(op: Threshold, fail: Fail, x: Value) -> Value:
    encoding = _encoding(op.encoding, fail)
    if encoding.is_float or encoding == I32:
        raise fail(f"makes {encoding}; a threshold makes b1…b8, u1…u8, i2…i8 or t2")
    if x.encoding != I32 and x.encoding != F32:
        raise fail(f"reads {x.encoding}; a threshold reads an accumulator (i32) or reals (f32)")
    dtype = np.float32 if x.encoding.is_float else np.int32
    shape = (x.channels, encoding.count - 1)
    if op.thresholds.dtype != dtype or op.thresholds.shape != shape:
        raise fail(
            f"thresholds must be {np.dtype(dtype).name} of shape {shape}, not "
            f"{op.thresholds.dtype} {op.thresholds.shape}"
        )
    if np.isnan(op.thresholds).any():
        raise fail("a threshold is not a number")
    _per_channel(op.rising, np.bool_, x, "rising", fail)
    return Value(x.shape, encoding, encoding.magnitude)


def _affine(op: Affine, fail: Fail, x: Value) -> Value:
    _per_channel(op.scale, np.float32, x, "scale", fail)
    _per_channel(op.offset, np.float32, x, "offset", fail)
    return Value(x.shape, F32)


def _pool_padding(op: MaxPool2d | SumPool2d, fail: Fail) -> None:
    # A window that lies wholly outside has no largest value.
    if any(side >= k for pair, k in zip(op.padding, op.kernel, strict=True) for side in pair):
        raise fail(f"padding {op.padding} reaches past the kernel {op.kernel}")


def _max_pool2d(op: MaxPool2d, fail: Fail, x: Value) -> Value:
    rows, columns = _places(x, op.kernel, op.stride, (1, 1), op.padding, fail)
    _pool_padding(op, fail)
    _per_channel(op.minimum, np.bool_, x, "minimum", fail)
    return Value((rows, columns, x.channels), x.encoding, x.bound)


def _sum_pool2d(op: SumPool2d, fail: Fail, x: Value) -> Value:
    rows, columns = _places(x, op.kernel, op.stride, (1, 1), op.padding, fail)
    _pool_padding(op, fail)
    shape = (rows, columns, x.channels)
    if x.encoding.is_float:
        return Value(shape, F32)
    return _sum(shape, op.kernel[0] * op.kernel[1] * x.bound, "a sum under the window", fail)


def _add(op: Add, fail: Fail, left: Value, right: Value) -> Value:
    if (left.shape, left.encoding) != (right.shape, right.encoding) or left.encoding not in (I32, F32):
        raise fail(f"adds {left} and {right}; both must be i32 or both f32, of one shape")
    return left if left.encoding.is_float else _sum(left.shape, left.bound + right.bound, "the sum", fail)


def _mul(op: Mul, fail: Fail, x: Value, factor: Value) -> Value:
    sizes = zip(moves.as_image(factor.shape), moves.as_image(x.shape), strict=True)
    if (x.encoding, factor.encoding) != (F32, F32) or not all(one in (1, size) for one, size in sizes):
        raise fail(f"multiplies {x} by {factor}; both must be f32, and the second of the same shape, or 1 in places")
    return x


def _relu(op: Relu, fail: Fail, x: Value) -> Value:
    if x.encoding not in (I32, F32):
        raise fail(f"reads {x.encoding}, needs i32 or f32")
    return x


def _prelu(op: PRelu, fail: Fail, x: Value) -> Value:
    if x.encoding != F32:
        raise fail(f"reads {x.encoding}, needs f32")
    _per_channel(op.slope, np.float32, x, "slope", fail)
    return x


def _apply(op: Apply, fail: Fail, x: Value) -> Value:
    if op.function not in FUNCTIONS:
        raise fail(f"function {op.function!r} is unknown; known: {', '.join(FUNCTIONS)}")
    if x.encoding != F32:
        raise fail(f"reads {x.encoding}, needs f32")
    return x


_RULES: dict[type[Op], Callable[..., Value]] = {
    Input: _input,
    Linear: _linear,
    Conv2d: _conv2d,
    Threshold: _threshold,
    Affine: _affine,
    MaxPool2d: _max_pool2d,
    SumPool2d: _sum_pool2d,
    Add: _add,
    Mul: _mul,
    Relu: _relu,
    PRelu: _prelu,
    Apply: _apply,
    Take: moves.take,
    Concat: moves.concat,
    Flatten: moves.flatten,
    Unflatten: moves.unflatten,
}
RULES = Rules("graph/verify", _RULES)
