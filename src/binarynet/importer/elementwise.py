"""Nodes that treat every number by itself, with constants: links, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from binarynet.fold import Link, Pending, joins
from binarynet.fold.link import applied as function_of
from binarynet.fold.link import line
from binarynet.fold.quantizer import Quantizer as Told
from binarynet.importer.model import Array, Node
from binarynet.importer.quantizers import quantizer
from binarynet.importer.walk import Walk

# Functions that never turn back: right before a quantizer they are part of its threshold.
RISING = ("Atan", "Celu", "Elu", "Exp", "Selu", "Softplus", "Softsign")
FUNCTIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Erf": "erf"}
_INFINITE = float("inf")


def shown(walk: Walk, node: Node, run: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """(n, channels) → the same, by a function that takes values as the file has them, of one pixel."""
    name = walk.moving(node)[0]
    rank, last = len(walk.values.shape(name)), walk.is_last(name)

    def told(x: Array) -> Array:
        given = np.ascontiguousarray(x, np.float32)
        given = given[(slice(None), *(None,) * (rank - 2))] if last else given[(..., *(None,) * (rank - 2))]
        made = run(given)
        if made.shape != given.shape:
            node.refuse(
                f"makes {made.shape[1:]} of {given.shape[1:]}; a constant is one number, or one for each channel."
            )
        return np.ascontiguousarray(made.reshape(len(x), -1), np.float32)

    return told


def applied(walk: Walk, node: Node) -> Callable[[Array], Array]:
    """The node itself, on (n, channels) numbers."""
    given, whole = walk.given(node), walk.values.made[walk.moving(node)[0]][0].dtype

    def run(x: Array) -> Array:
        return walk.arithmetic.run(node, [x.astype(whole) if one is None else one for one in given])

    return shown(walk, node, run)


def vector(walk: Walk, node: Node, one: Array, channels: int) -> Array:
    """A constant as a number for each channel."""
    rank, last = len(walk.values.shape(walk.moving(node)[0])), walk.is_last(walk.moving(node)[0])
    shape = (1,) * (rank - 1) + (channels,) if last else (1, channels) + (1,) * (rank - 2)
    try:
        return np.broadcast_to(one.astype(np.float64), shape).reshape(channels)
    except ValueError:
        node.refuse(
            f"a constant of shape {one.shape} makes neither one number nor one for each of {channels} channels."
        )


def link(walk: Walk, node: Node, kind: str, **more: Any) -> Pending:
    folder, x = walk.folder, walk.pending(walk.moving(node)[0])
    affine = more.get("affine")
    if affine is not None and not all(np.isfinite(one).all() for one in affine):
        node.refuse("a parameter is not finite.")
    made = Link(node.name, kind, applied(walk, node), **more)
    made.run(np.zeros((1, folder.value(x).channels), np.float32))  # the shapes fit, or this says what does not
    return folder.then(node, x, made)


def arithmetic(walk: Walk, node: Node) -> Pending:
    """Add, Sub, Mul, Div: with a constant a line, of two values a join."""
    moving, folder = walk.moving(node), walk.folder
    if len(moving) == 2:
        if len({len(walk.values.shape(name)) for name in moving}) > 1:
            node.refuse("joins two values of different dimensions.")
        left, right = (walk.pending(name) for name in node.inputs)
        if node.kind == "Mul":
            return joins.multiply(folder, node, left, right)
        if node.kind in ("Add", "Sub"):
            return joins.add(folder, node, left, right, 1.0 if node.kind == "Add" else -1.0)
        return joins.divide(folder, node, left, right)
    given = walk.given(node)
    second = given[0] is None
    if node.kind == "Div" and not second:
        node.refuse("divides a constant by a computed value.", "Multiply the constant by a Reciprocal.")
    channels = folder.value(walk.pending(moving[0])).channels
    one = vector(walk, node, np.asarray(given[1] if second else given[0]), channels)
    ones, zeros = np.ones(channels), np.zeros(channels)
    affine = {
        "Add": (ones, one),
        "Sub": (ones, -one) if second else (-ones, one),
        "Mul": (one, zeros),
        "Div": (1 / np.where(one == 0, np.nan, one), zeros),
    }[node.kind]
    return link(walk, node, node.kind, affine=affine)


def norm(walk: Walk, node: Node) -> Pending:
    if node.get("training_mode", 0):
        node.refuse("is in training mode; export the model in evaluation mode.")
    given = walk.given(node)
    if any(one is None for one in given[1:5]) or len(given) < 5:
        node.refuse("its statistics are computed from the image; they must be constants.")
    scale, offset, mean, variance = (np.asarray(one, np.float64).reshape(-1) for one in given[1:5])
    each = scale / np.sqrt(variance + np.float64(np.float32(node.get("epsilon", 1e-5))))
    return link(walk, node, "BatchNorm", affine=(each, offset - mean * each))


def negate(walk: Walk, node: Node) -> Pending:
    channels = walk.channels(node)
    return link(walk, node, "Neg", affine=(-np.ones(channels), np.zeros(channels)))


def clip(walk: Walk, node: Node) -> Pending:
    """Relu, Clip, and Min and Max with one constant."""
    given = walk.given(node)
    low, high = (0.0, _INFINITE) if node.kind == "Relu" else (-_INFINITE, _INFINITE)
    if node.kind == "Clip":
        low, high = float(node.get("min", low)), float(node.get("max", high))
        sides = [*given[1:], None, None][:2]
        low, high = (
            old if one is None else float(np.asarray(one).reshape(()))
            for old, one in zip((low, high), sides, strict=True)
        )
    elif node.kind in ("Min", "Max"):
        constants = [np.asarray(one) for one in given if one is not None]
        if len(given) != 2 or len(constants) != 1 or constants[0].size != 1:
            node.refuse("only of a value and one number has a counterpart.")
        side = float(constants[0].reshape(()))
        low, high = (side, high) if node.kind == "Max" else (low, side)
    if not low <= high:
        node.refuse(f"clips to ({low}, {high}), which is no range.")
    return link(walk, node, "ReLU" if (low, high) == (0, _INFINITE) else node.kind, borders=(low, high))


def leaky(walk: Walk, node: Node) -> Pending:
    channels, given = walk.channels(node), walk.given(node)
    if node.kind == "PRelu" and given[1] is None:
        node.refuse("its slope is computed.")
    slope = (
        vector(walk, node, np.asarray(given[1]), channels)
        if node.kind == "PRelu"
        else np.full(channels, node.get("alpha", 0.01))
    ).astype(np.float32)
    return link(walk, node, "PRelu", slope=slope, monotone=bool(np.all(slope >= 0)))


def rising(walk: Walk, node: Node) -> Pending:
    return link(walk, node, node.kind)


def function(walk: Walk, node: Node) -> Pending:
    """Sigmoid, Tanh, Erf: part of a threshold before a quantizer, else an op."""
    return link(walk, node, node.kind, function=FUNCTIONS[node.kind])


def root(walk: Walk, node: Node) -> Pending:
    """Sqrt, Reciprocal: ops, wherever they stand."""
    name = node.kind.lower()
    parts = (function_of(f"{node.name}.{name}", name),)
    return walk.folder.real(node, link(walk, node, node.kind, steps=parts, monotone=False))


def hard_sigmoid(walk: Walk, node: Node) -> Pending:
    """clip(alpha · x + beta, 0, 1)."""
    return link(walk, node, node.kind, steps=_hard(walk, node, node.get("alpha", 0.2), node.get("beta", 0.5)))


def hard_swish(walk: Walk, node: Node) -> Pending:
    """x · hardsigmoid(x)."""
    x = walk.folder.real(node, walk.pending(walk.moving(node)[0]))
    gate = walk.folder.real(node, x.bare(x.name, *_hard(walk, node, 1 / 6, 0.5)))
    return joins.multiply(walk.folder, node, x, gate)


def _hard(walk: Walk, node: Node, alpha: float, beta: float) -> tuple[Link, ...]:
    clip = Link(f"{node.name}.clip", "clip", lambda x: np.clip(x, 0, 1), borders=(0.0, 1.0))
    return (line(f"{node.name}.line", alpha, beta, walk.channels(node)), clip)


def magnitude(walk: Walk, node: Node) -> Pending:
    return joins.magnitude(walk.folder, node, walk.pending(walk.moving(node)[0]))


def quantize(walk: Walk, node: Node) -> Pending:
    """A quantizer of QONNX, Sign, or QuantizeLinear."""
    folder, x = walk.folder, walk.pending(walk.moving(node)[0])
    found = quantizer(node, walk.given(node), reach=walk.reach(node))
    channels = folder.value(x).channels
    unit = vector(walk, node, found.unit, channels).astype(np.float32)
    told = Told(shown(walk, node, found.numbers), found.low, found.high, found.step, unit)
    return folder.codes(node, x, told, folder.free(node.name))


def dequantize(walk: Walk, node: Node) -> Pending:
    """(q − zero) · scale."""
    channels, given = walk.channels(node), walk.given(node)
    scale = np.asarray(given[1], np.float32)
    zero = np.zeros(()) if len(given) < 3 or given[2] is None else np.asarray(given[2], np.float64)
    if scale.size != 1 or zero.size != 1:
        node.refuse("has a scale for each channel; one for the whole layer has a counterpart.")
    a, z = scale.reshape(()), zero.reshape(()).astype(np.float32)
    line = (np.full(channels, float(a)), np.full(channels, -float(z) * float(a)))
    made = Link(node.name, "DequantizeLinear", lambda q: ((q - z) * a).astype(np.float32), line)
    return walk.folder.then(node, walk.pending(walk.moving(node)[0]), made)
