"""Run an ONNX file node by node, in its own arithmetic, and keep every value: what the fold is held against.

Nodes that read constants alone are constants, and so is the shape of a value: what an exporter has written as
Shape – Gather – Concat – Reshape is a Reshape to known sizes by the time the fold sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from binarynet.errors import ImportedModelError
from binarynet.importer import budget
from binarynet.importer.arithmetic import Arithmetic
from binarynet.importer.domains import LAST
from binarynet.importer.model import Array, Constant, Model, Node, constant
from binarynet.importer.quantizers import is_quantizer, quantizer

_KEEPS = ("Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten")


@dataclass
class Values:
    """``constants`` by name; ``made``: of each name that depends on the image, its value for one image after the other,
    with the batch of 1 that the file has."""

    constants: dict[str, Constant]
    made: dict[str, list[Array]]

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.made[name][0].shape)

    def stacked(self, name: str) -> Array:
        """(images, …)."""
        rows = np.stack(self.made[name])
        return rows[:, 0] if rows.ndim > 1 and rows.shape[1] == 1 else rows


def run(model: Model, arithmetic: Arithmetic, images: Array) -> Values:
    """Every value of the file for ``images`` (n, …), each run by itself.

    Raises:
        ImportedModelError: a node cannot be run, or reads a value that no node before it makes.
    """
    values = Values({name: Constant(value) for name, value in model.constants.items()}, {})
    values.made[model.input] = [np.ascontiguousarray(one[None], np.float32) for one in images]
    kept = 0
    for node in _needed(model):
        try:
            kept += _node(model, node, values, arithmetic)
        except ImportedModelError:
            raise
        except Exception as error:  # a damaged node fails in any way at all
            node.refuse(f"is damaged ({type(error).__name__}: {error}).")
        if kept > budget.NUMBERS:
            node.refuse(f"up to here {kept} numbers are to be kept; at most {budget.NUMBERS} are.")
    return values


def _needed(model: Model) -> list[Node]:
    """The nodes that the answers depend on, in order: no other is run."""
    makers = {node.outputs[0]: node for node in model.nodes if node.outputs}
    found: set[str] = set()
    waiting = list(model.answers)
    while waiting:
        name = waiting.pop()
        if name in makers and name not in found:
            found.add(name)
            waiting += makers[name].inputs
    return [node for node in model.nodes if node.outputs and node.outputs[0] in found]


def _node(model: Model, node: Node, values: Values, arithmetic: Arithmetic) -> int:
    """Run a node; how many numbers are kept of it."""
    inputs = [name for name in node.inputs if name]
    for name in inputs:
        if name not in values.constants and name not in values.made:
            node.refuse(f"reads {name!r}, which no node before it makes.")
    moving = [name for name in inputs if name in values.made]
    answers = node.outputs[:1]
    if node.kind == "Shape" and not node.domain and moving:
        sizes = values.shape(moving[0])[slice(node.get("start", 0), node.get("end", None))]
        values.constants[answers[0]] = Constant(np.asarray(sizes, np.int64))
        return len(sizes)
    if not moving:
        given = [values.constants[name] if name else None for name in node.inputs]
        values.constants[answers[0]] = _constant(node, given, arithmetic)
        return int(values.constants[answers[0]].value.size)
    count = len(values.made[moving[0]])
    values.made[answers[0]] = [
        _value(node, [_at(values, name, image) for name in node.inputs], arithmetic) for image in range(count)
    ]
    return sum(one.size for one in values.made[answers[0]])


def _at(values: Values, name: str, image: int) -> Array | None:
    if not name:
        return None
    return values.made[name][image] if name in values.made else values.constants[name].value


def _value(node: Node, given: list[Array | None], arithmetic: Arithmetic) -> Array:
    if is_quantizer(node) and node.domain:
        found = quantizer(node, [None, *given[1:]], reach=(-1e9, 1e9))
        x = np.asarray(given[0], np.float32)
        return (found.numbers(x) * found.unit).astype(np.float32)
    if node.domain == LAST:
        x = np.asarray(given[0])
        first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        return np.ascontiguousarray(np.moveaxis(arithmetic.run(node, [first, *given[1:]]), 1, -1))
    known(node)
    return arithmetic.run(node, given)


def known(node: Node) -> None:
    """Refuse operators of domains that are not ONNX's own."""
    if node.domain:
        node.refuse(
            f"the domain {node.domain!r} is unknown; of QONNX, Quant, BipolarQuant, MultiThreshold and Trunc are read."
        )


def _constant(node: Node, given: list[Constant | None], arithmetic: Arithmetic) -> Constant:
    """A node that reads constants alone, and what an integer of its result is worth, where a quantizer says so."""
    if node.kind == "Constant" and not node.domain:
        return Constant(constant(node))
    values: list[Any] = [None if one is None else one.value for one in given]
    if is_quantizer(node) and node.domain:
        found = quantizer(node, values, weights=True, reach=(-1e9, 1e9))
        numbers = found.numbers(np.asarray(values[0], np.float32))
        return Constant((numbers * found.unit).astype(np.float32), found.unit)
    known(node)
    value = arithmetic.run(node, values)
    if node.kind == "DequantizeLinear":
        scale = np.asarray(values[1], np.float32)
        axis = node.get("axis", 1)
        each = [-1 if place == axis % max(1, value.ndim) else 1 for place in range(value.ndim)]
        return Constant(value, scale.reshape(each) if scale.size > 1 else scale.reshape(()))
    unit = given[0].unit if given and given[0] is not None else None
    if unit is not None and unit.ndim and unit.size > 1:
        unit = arithmetic.run(node, [unit, *values[1:]]) if node.kind == "Transpose" else None
    return Constant(value, unit if node.kind in _KEEPS else None)
