"""Fold the nodes of an ONNX file into graph ops: weights to integers, norm + quantizer to thresholds.

Walks the nodes once. Constants are computed as they come; an image on its way is *pending*
(`binarynet.importer.pending`): a graph value, and the elementwise nodes applied to it since. A quantizer turns it into
a `Threshold`, whatever needs reals turns it into an `Affine`; a MaxPool slips under the elementwise nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import NoReturn

import numpy as np

from binarynet.errors import ImportedModelError
from binarynet.graph import Op, Value
from binarynet.graph.ir import Add, Flatten, Input, MaxPool2d, Mul, Pair, SumPool2d
from binarynet.importer.arithmetic import Arithmetic
from binarynet.importer.elementwise import CONSTANT, elementwise, scaled
from binarynet.importer.model import Array, Constant, Model, Node, constant
from binarynet.importer.pending import ALLOW, F32, I32, Folder, Pending
from binarynet.importer.products import product
from binarynet.importer.quantizers import is_quantizer, quantizer

PIXELS = ("byte/255", "byte", "real")
_SAME = ("Identity", "Dropout", "Cast")
_FLOATS = (1, 11)  # float32 and float64 in ONNX's numbering: what float32 holds stays as it is


class Importer:
    """One walk over a file. ``pixels``: what the file's input is of a raw byte."""

    def __init__(self, model: Model, pixels: str | None, allow_real: bool) -> None:
        if pixels not in (None, *PIXELS):
            raise ImportedModelError(f"input {pixels!r} is unknown; known: {', '.join(PIXELS)}")
        self.model = model
        self.allow_real = allow_real
        self.pixels = pixels or ("byte/255" if model.codes is None else "byte")
        self.folder = Folder()
        self.arithmetic = Arithmetic(model.opset)
        self.constants = {name: Constant(value) for name, value in model.constants.items()}
        unit = 1 / 255 if self.pixels == "byte/255" else 1.0
        self.made: dict[str, Pending] = {model.input: Pending("input", (), unit)}
        self.readers = Counter(name for node in model.nodes for name in node.inputs)

    def ops(self) -> tuple[Op, ...]:
        for node in self.model.nodes:
            inputs = [name for name in node.inputs if name]
            if all(name in self.constants for name in inputs):
                self.constants[node.outputs[0]] = self._computed(node)
            else:
                self.made[node.outputs[0]] = self._take(node)
        return self._answer()

    def _answer(self) -> tuple[Op, ...]:
        answer = self.made.get(self.model.answer)
        if answer is None:
            raise ImportedModelError(f"the output {self.model.answer!r} does not depend on the input")
        last = self.model.nodes[-1]
        value = self.opened(answer)
        if answer.order is not None:
            last.refuse("the answer is a flattened image. Answer the image, or put a Gemm behind the Flatten")
        if value.encoding == F32 or scaled(answer) != 1:
            self.folder.real(last, answer)
        return tuple(self.folder.ops)

    def opened(self, x: Pending) -> Value:
        """The type of the graph value under a pending one. The input becomes an op with its first reader."""
        if not self.folder.ops:
            shape = self.model.shape
            turned = (shape[1], shape[2], shape[0]) if len(shape) == 3 else shape
            bits = ((self.model.codes or 256) - 1).bit_length()
            encoding = "f32" if self.pixels == "real" else f"u{bits}"
            self.folder.emit(self.model.nodes[0], Input("input", (), turned, encoding))
        return self.folder.value(x)

    def _computed(self, node: Node) -> Constant:
        """A node that reads constants alone."""
        if node.kind == "Constant":
            return Constant(constant(node))
        inputs = [self.constants[name] if name else None for name in node.inputs]
        values = [None if one is None else one.value for one in inputs]
        if is_quantizer(node):
            found = quantizer(node, values)
            first = np.asarray(values[0], np.float32)
            return Constant((found.numbers(first) * found.unit).astype(np.float32), found.unit)
        if node.domain:
            node.refuse(f"the domain {node.domain!r} is unknown")
        value = self.arithmetic.run(node, values)
        unit = inputs[0].unit if inputs and inputs[0] is not None else None
        if unit is not None and unit.ndim and unit.size > 1:
            unit = self.arithmetic.run(node, [unit, *values[1:]]) if node.kind == "Transpose" else None
        keeps = node.kind in ("Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten")
        return Constant(value, unit if keeps else None)

    def _take(self, node: Node) -> Pending:
        given = [self.constants[name].value if name in self.constants else None for name in node.inputs]
        moving = [self._read(name) for name in node.inputs if name in self.made]
        if len(moving) + sum(one is not None for one in given) < sum(bool(name) for name in node.inputs):
            node.refuse("reads a value that no node before it makes")
        x = moving[0]
        if is_quantizer(node):
            self.opened(x)
            return self.folder.codes(node, x, quantizer(node, given))
        if node.domain:
            node.refuse(
                f"the domain {node.domain!r} is unknown; of QONNX, Quant, BipolarQuant and MultiThreshold are read"
            )
        if node.kind in _SAME:
            if node.kind == "Cast" and node.get("to", 1) not in _FLOATS:
                node.refuse("casts to a type that is no float")
            return x
        if len(moving) == 2:
            return self._both(node, *moving)
        if x.outside is not None and node.kind != "Conv":
            node.refuse("reads a padded image; only a Conv may")
        if node.kind in CONSTANT:
            value = self.opened(x)
            return x.then(elementwise(node, given, value, x.order, self.arithmetic))
        rule = _RULES.get(node.kind)
        if rule is None:
            node.refuse(f"has no counterpart in the graph. Known: {', '.join(sorted({*_RULES, *CONSTANT, *_SAME}))}")
        return rule(self, node, x, given)

    def _read(self, name: str) -> Pending:
        x = self.made[name]
        return replace(x, shared=True) if self.readers[name] > 1 else x

    def operand(self, node: Node, x: Pending) -> Pending:
        """What a product reads: integers and their unit where it can be so, else reals."""
        value = self.opened(x)
        if value.encoding not in (I32, F32):
            unit = scaled(x)
            if unit is not None:
                return replace(x, links=(), unit=unit)
            if x.name == "input" and not x.shared:
                found = self._affine_input(x)
                if found is not None:
                    return found
        if not self.allow_real:
            what = x.links[-1].node.name if x.links else x.name
            node.refuse(f"reads the real values of {what!r}, so it would run in float32. {ALLOW}")
        return self.folder.real(node, x)

    def _affine_input(self, x: Pending) -> Pending | None:
        """Raw codes behind elementwise nodes that amount to 2c − high times a unit, such as 2x / 255 − 1."""
        value = self.folder.value(x)
        codes = np.arange(value.encoding.count, dtype=np.float32)
        shown = x.evaluate(np.repeat(codes[:, None], value.channels, axis=1)).astype(np.float64)
        high = value.encoding.high
        unit = float(shown[-1, 0]) / high
        wanted = unit * (2.0 * codes - high)[:, None]
        # Float32 has rounded a few times on the way; what is meant is the line.
        if unit <= 0 or np.abs(shown - wanted).max() > 1e-6 * unit * high:
            return None
        self.folder.recode_input(f"b{value.encoding.bits}")
        return replace(x, links=(), unit=float(np.float32(unit)))

    def weight(self, node: Node, name: str) -> Constant:
        if name not in self.constants:
            node.refuse("multiplies two computed values")
        return self.constants[name]

    def _both(self, node: Node, left: Pending, right: Pending) -> Pending:
        if node.kind not in ("Add", "Mul"):
            node.refuse("of two computed values has no counterpart; an Add and a Mul have")
        for one in (left, right):
            self.opened(one)
        if not np.array_equal(left.order, right.order):  # type: ignore[arg-type]
            node.refuse("joins a flattened image with a vector of another order")
        sides = (left, right)
        whole = all(not one.links and one.unit == 1 and self.folder.value(one).encoding == I32 for one in sides)
        if node.kind == "Mul" or not whole:
            sides = (self.folder.real(node, left), self.folder.real(node, right))
        names = (sides[0].name, sides[1].name)
        if node.kind == "Mul" and self.folder.value(sides[0]).channels == 1:
            names = (names[1], names[0])  # the factor of one channel stands second
        op = (Add if node.kind == "Add" else Mul)(self.folder.free(node.name), names)
        return Pending(self.folder.emit(node, op), (), 1.0, left.order)


def _flatten(importer: Importer, node: Node, x: Pending, given: list[Array | None]) -> Pending:
    if node.kind == "Flatten" and node.get("axis", 1) != 1:
        node.refuse("only axis 1 has a counterpart")
    if node.kind == "Reshape":
        target = [] if given[1] is None else [int(size) for size in given[1]]
        if len(target) != 2:
            node.refuse(f"reshapes to {target or 'a computed shape'}; only to (batch, features) has a counterpart")
    value = importer.opened(x)
    if len(value.shape) == 1:
        return x
    height, width, channels = value.shape
    order = np.arange(prod(value.shape)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
    links = tuple(link.spread(channels, height * width) for link in x.links)
    if x.name == "input" and not x.shared:  # the graph's input simply is the vector, in ONNX's order
        importer.folder.reshape_input((prod(value.shape),))
        return replace(x, links=tuple(link.at(np.argsort(order)) for link in links))
    name = importer.folder.emit(node, Flatten(importer.folder.free(node.name), (x.name,)))
    return Pending(name, links, x.unit, order)


def _max_pool(importer: Importer, node: Node, x: Pending, given: list[Array | None]) -> Pending:
    importer.opened(x)
    kernel, stride, padding = _window(node)
    if any(link.slope is not None for link in x.links):  # may bend both ways
        x = importer.folder.real(node, x)
    op = MaxPool2d(importer.folder.free(node.name), (x.name,), kernel, stride, importer.folder.falls(x), padding)
    return replace(x, name=importer.folder.emit(node, op))


def _average(importer: Importer, node: Node, x: Pending, given: list[Array | None]) -> Pending:
    value = importer.opened(x)
    kernel: Pair = (value.shape[0], value.shape[1]) if len(value.shape) == 3 else (1, 1)
    stride, padding = (1, 1), ((0, 0), (0, 0))
    if node.kind == "AveragePool":
        kernel, stride, padding = _window(node)
        if padding != ((0, 0), (0, 0)) and not node.get("count_include_pad", 0):
            node.refuse("count_include_pad=0 with padding divides by a number that changes at the border")
    x = importer.folder.real(node, x) if x.links else x
    op = SumPool2d(importer.folder.free(node.name), (x.name,), kernel, stride, padding)
    return Pending(importer.folder.emit(node, op), (), x.unit / prod(kernel))


def _window(node: Node) -> tuple[Pair, Pair, tuple[Pair, Pair]]:
    if node.get("ceil_mode", 0) or any(size != 1 for size in node.get("dilations", [1])):
        node.refuse("ceil_mode and dilations have no counterpart")
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        node.refuse("auto_pad has no counterpart; write pads")
    kernel = node.get("kernel_shape", [])
    if len(kernel) != 2:
        node.refuse(f"has a window {kernel}; one over height and width has a counterpart")
    stride, pads = node.get("strides", [1, 1]), node.get("pads", [0, 0, 0, 0])
    return (kernel[0], kernel[1]), (stride[0], stride[1]), ((pads[0], pads[2]), (pads[1], pads[3]))


def _pad(importer: Importer, node: Node, x: Pending, given: list[Array | None]) -> Pending:
    if len(given) < 2 or given[1] is None or node.get("mode", "constant") != "constant" or len(given) > 3:
        node.refuse("only constant padding with known sizes has a counterpart")
    pads = [int(size) for size in given[1]]
    if len(pads) != 8 or any(pads[k] for k in (0, 1, 4, 5)):
        node.refuse(f"pads by {pads}; only height and width may be padded")
    outside = 0.0 if len(given) < 3 or given[2] is None else float(given[2].reshape(-1)[0])
    importer.opened(x)
    return replace(x, outside=(((pads[2], pads[6]), (pads[3], pads[7])), outside))


def _choice(importer: Importer, node: Node, x: Pending, given: list[Array | None]) -> NoReturn:
    node.refuse("the classes are chosen by the reader of the answer; cut the file off before this node")


_Rule = Callable[[Importer, Node, Pending, list[Array | None]], Pending]
_RULES: dict[str, _Rule] = {
    "Gemm": product,
    "MatMul": product,
    "Conv": product,
    "Flatten": _flatten,
    "Reshape": _flatten,
    "MaxPool": _max_pool,
    "AveragePool": _average,
    "GlobalAveragePool": _average,
    "Pad": _pad,
    "ArgMax": _choice,
    "TopK": _choice,
    "Softmax": _choice,
}
