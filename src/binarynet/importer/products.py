"""Gemm, MatMul and Conv: weights become integers and what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from binarynet.graph import Encoding, Op
from binarynet.graph.ir import Conv2d, Linear, SumPool2d
from binarynet.importer.model import Array, Constant, Node
from binarynet.importer.pending import ALLOW, F32, I32, Link, Pending

if TYPE_CHECKING:
    from binarynet.importer.fold import Importer


# importer, node, operand, weights in ONNX's order, their encoding → the op
_Make = Callable[["Importer", Node, Pending, Array, str], Op]


def product(importer: Importer, node: Node, x: Pending, given: list[Array | None]) -> Pending:
    weight = importer.weight(node, node.inputs[1])
    if given[0] is not None:
        node.refuse("the constant stands first; weights must stand second")
    if node.kind == "Conv":
        return _finish(importer, node, x, given, weight, _conv)
    value, unit = weight.value, weight.unit
    if node.get("alpha", 1.0) != 1 or node.get("beta", 1.0) != 1 or node.get("transA", 0):
        node.refuse("alpha, beta and transA other than 1, 1, 0 have no counterpart")
    if value.ndim != 2:
        node.refuse(f"weights of shape {value.shape}; a matrix has a counterpart")
    if not node.get("transB", 0):  # (depth, out) → (out, depth)
        value, unit = value.T, unit.T if unit is not None and unit.ndim == 2 else unit
    elif unit is not None and unit.ndim == 1 and unit.size > 1:
        unit = None
    if unit is not None and unit.ndim == 1 and unit.size > 1:
        unit = unit[:, None]
    return _finish(importer, node, x, given, Constant(value, unit), _linear)


def _finish(
    importer: Importer, node: Node, x: Pending, given: list[Array | None], weight: Constant, make: _Make
) -> Pending:
    """The op, and behind it what an integer is worth, and the bias."""
    pool = _sum_pool(importer, node, x, weight)
    if pool is not None:
        return pool
    x = importer.operand(node, x)
    numbers, encoding, worth = integers(weight)
    if encoding == "f32" and not importer.allow_real:
        node.refuse(f"its weights are real, so it would run in float32. {ALLOW}")
    op = make(importer, node, x, numbers, encoding)
    name = importer.folder.emit(node, op)
    made = Pending(name, (), x.unit)
    if np.ndim(worth) == 0:
        made = Pending(name, (), float(np.float32(x.unit * worth)))
    else:
        made = made.then(_line(node, np.asarray(worth, np.float32), None))
    bias = given[2] if len(given) > 2 else None
    if bias is not None and np.any(bias):
        made = made.then(_line(node, None, np.broadcast_to(bias.reshape(-1), (len(numbers),)).astype(np.float32)))
    return made


def _line(node: Node, scale: Array | None, offset: Array | None) -> Link:
    """One multiplication or one addition for each channel, in float32."""
    if scale is not None:
        return Link(node, lambda x: x * scale, (scale.astype(np.float64), np.zeros(len(scale))))
    assert offset is not None
    return Link(node, lambda x: x + offset, (np.ones(len(offset)), offset.astype(np.float64)))


def _linear(importer: Importer, node: Node, x: Pending, weight: Array, encoding: str) -> Op:
    if weight.shape[1] != importer.folder.value(x).channels:
        node.refuse(f"has weights for {weight.shape[1]} inputs, reads {importer.folder.value(x)}")
    columns = weight if x.order is None else weight[:, x.order]
    return Linear(importer.folder.free(node.name), (x.name,), np.ascontiguousarray(columns), encoding)


def _conv(importer: Importer, node: Node, x: Pending, weight: Array, encoding: str) -> Op:
    if weight.ndim != 4 or node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        node.refuse("only a Conv over height and width with explicit pads has a counterpart")
    stride, dilation = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    pads = node.get("pads", [0, 0, 0, 0])
    padding, outside = ((pads[0], pads[2]), (pads[1], pads[3])), 0.0
    if x.outside is not None:
        if any(pads):
            node.refuse("pads an image that is padded already")
        padding, outside = x.outside
    number = outside / x.unit
    if number != int(number):
        node.refuse(f"{outside:g} outside the image is no whole number of {x.unit:g}")
    return Conv2d(
        importer.folder.free(node.name),
        (x.name,),
        np.ascontiguousarray(weight.transpose(0, 2, 3, 1)),
        encoding,
        (stride[0], stride[1]),
        (dilation[0], dilation[1]),
        padding,
        int(number),
        int(node.get("group", 1)),
    )


def _sum_pool(importer: Importer, node: Node, x: Pending, weight: Constant) -> Pending | None:
    """A depthwise Conv of ones over accumulators or reals is a sum."""
    value = importer.opened(x)
    if node.kind != "Conv" or value.encoding not in (I32, F32) or x.outside is not None or len(node.inputs) > 2:
        return None
    depthwise = weight.value.shape[:2] == (value.channels, 1) and node.get("group", 1) == value.channels
    if not depthwise or not np.all(weight.value == 1) or any(size != 1 for size in node.get("dilations", [1])):
        return None
    x = importer.folder.real(node, x) if x.links else x
    stride, pads = node.get("strides", [1, 1]), node.get("pads", [0, 0, 0, 0])
    kernel = (weight.value.shape[2], weight.value.shape[3])
    padding = ((pads[0], pads[2]), (pads[1], pads[3]))
    op = SumPool2d(importer.folder.free(node.name), (x.name,), kernel, (stride[0], stride[1]), padding)
    return Pending(importer.folder.emit(node, op), (), x.unit)


def integers(weight: Constant) -> tuple[Array, str, Array | float]:
    """Weights (out, …) → int8 numbers, their encoding, and what a 1 is worth, for each output or for all; weights that
    are no integers stay float32."""
    value = weight.value.astype(np.float32)
    rows = value.reshape(len(value), -1)
    for unit in (weight.unit, np.ones(()), _magnitudes(rows)):
        if unit is None or (unit.size > 1 and unit.size != unit.shape[0]) or unit.size not in (1, len(rows)):
            continue
        each = unit.reshape(-1, *(1,) * (value.ndim - 1)).astype(np.float32)
        numbers = np.rint(value / each)
        if np.abs(numbers).max(initial=0) < 128 and np.array_equal((numbers * each).astype(np.float32), value):
            whole = numbers.astype(np.int8)
            worth = each.reshape(-1)
            return whole, _smallest(whole), float(worth[0]) if np.all(worth == worth[0]) else worth
    return value, "f32", 1.0


def _magnitudes(rows: Array) -> Array | None:
    """Of rows that are ± one number each, that number."""
    magnitude = np.abs(rows).max(axis=1)
    alike = np.all(np.abs(rows) == magnitude[:, None]) and np.all(magnitude > 0)
    return magnitude[:, None] if alike else None


def _smallest(numbers: Array) -> str:
    """The smallest encoding that holds all numbers."""
    low, high, odd = int(numbers.min()), int(numbers.max()), bool(np.all(numbers % 2))
    names = ["b1", "u1", "t2", *(f"{kind}{bits}" for bits in range(2, 9) for kind in ("b", "u", "i"))]
    for name in names:
        encoding = Encoding.parse(name)
        if encoding.low <= low and high <= encoding.high and (odd or encoding.kind != "b"):
            return name
    raise AssertionError("int8 is i8")
