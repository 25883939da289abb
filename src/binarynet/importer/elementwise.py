"""Nodes that treat every number by itself, with constants: what they are, and their lines where they are lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binarynet.graph import Value
from binarynet.importer.arithmetic import Arithmetic
from binarynet.importer.model import Array, Node
from binarynet.importer.pending import Link, Pending

CONSTANT = ("Add", "BatchNormalization", "Clip", "Div", "LeakyRelu", "Mul", "Neg", "PRelu", "Relu", "Sub")


def elementwise(
    node: Node, given: list[Array | None], value: Value, order: NDArray[np.int64] | None, arithmetic: Arithmetic
) -> Link:
    """The link of a node whose inputs are constants but for one.

    Raises:
        ImportedModelError: a constant does not have one number for each channel, or the node is not monotone.
    """
    if node.kind == "Div" and given[0] is not None:
        node.refuse("divides by a computed value")
    if node.kind == "BatchNormalization" and node.get("training_mode", 0):
        node.refuse("is in training mode; export the model in evaluation mode")
    channels, image = value.channels, len(value.shape) == 3
    place = np.arange(channels) if order is None else order

    def run(x: Array) -> Array:  # (n, channels)
        shown = np.ascontiguousarray(x[:, np.argsort(place)], np.float32)  # in ONNX's order
        shown = shown[:, :, None, None] if image else shown
        made = arithmetic.run(node, [shown if one is None else one for one in given])
        if made.shape != shown.shape:
            node.refuse(
                f"makes {made.shape[1:]} of {shown.shape[1:]}; a constant is one number, or one for each channel"
            )
        return made.reshape(len(x), channels)[:, place]

    def vector(one: Array) -> Array:
        """A constant as a number for each channel, in the graph's order."""
        spread = np.broadcast_to(one.astype(np.float64), (1, channels, 1, 1) if image else (1, channels))
        return spread.reshape(channels)[place]

    run(np.zeros((1, channels), np.float32))  # the shapes fit, or this says what does not
    ones, zeros = np.ones(channels), np.zeros(channels)
    affine, slope = None, None
    if node.kind == "BatchNormalization":
        scale, offset, mean, variance = (np.asarray(one, np.float64) for one in given[1:5])
        each = scale / np.sqrt(variance + np.float64(np.float32(node.get("epsilon", 1e-5))))
        affine = (each[place], (offset - mean * each)[place])
    elif node.kind == "Neg":
        affine = (-ones, zeros)
    elif node.kind in ("Add", "Sub", "Mul", "Div"):
        second = given[0] is None
        one = vector(np.asarray(given[1] if second else given[0]))
        affine = {
            "Add": (ones, one),
            "Sub": (ones, -one) if second else (-ones, one),
            "Mul": (one, zeros),
            "Div": (1 / np.where(one == 0, np.nan, one), zeros),
        }[node.kind]
    elif node.kind == "PRelu":
        if given[1] is None:
            node.refuse("its slope is computed")
        slope = vector(given[1]).astype(np.float32)
    elif node.kind == "LeakyRelu":
        slope = np.full(channels, node.get("alpha", 0.01), np.float32)
    if affine is not None and not all(np.isfinite(one).all() for one in affine):
        node.refuse("a parameter is not finite")
    return Link(node, run, affine, slope)


def scaled(x: Pending) -> float | None:
    """What an integer is worth behind links that do nothing but scale all channels alike; None if they do more."""
    scale = np.full((), x.unit)
    for link in x.links:
        if link.affine is None or np.any(link.affine[1]):
            return None
        scale = scale * link.affine[0]
    alike = np.unique(scale)
    return float(alike[0]) if len(alike) == 1 and alike[0] > 0 else None
