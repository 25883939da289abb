"""Values on their way: a graph value, and the elementwise nodes applied to it since, not yet folded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import GraphError
from binarynet.graph import Encoding, Op, Value, thresholds, verify_op
from binarynet.graph.ir import Affine, Input, PRelu, Relu, Threshold
from binarynet.importer.model import Array, Node
from binarynet.importer.quantizers import Quantizer

ALLOW = "Put a quantizer before it, or allow real products"
I32, F32 = Encoding("i", 32), Encoding("f", 32)


@dataclass(frozen=True)
class Link:
    """One elementwise node: ``run`` maps (n, channels) float32 to the same, in the file's arithmetic; (``scale``,
    ``offset``) (channels,) float64 are the same if it is affine; ``slope`` of a PRelu.

    Every link but a PRelu is monotone; its direction may differ by channel.
    """

    node: Node
    run: Callable[[Array], Array]
    affine: tuple[Array, Array] | None = None
    slope: Array | None = None

    def at(self, order: NDArray[np.int64]) -> Link:
        """The same for channels that stand in another order: ours i is its ``order[i]``."""
        back, run = np.argsort(order), self.run
        affine = self.affine and (self.affine[0][order], self.affine[1][order])
        slope = None if self.slope is None else self.slope[order]
        return Link(self.node, lambda x: run(x[:, back])[:, order], affine, slope)

    def spread(self, channels: int, pixels: int) -> Link:
        """The same behind a flatten: each of the (pixels · channels) features meets its channel's link."""
        affine = self.affine and (np.tile(self.affine[0], pixels), np.tile(self.affine[1], pixels))
        slope = None if self.slope is None else np.tile(self.slope, pixels)
        run = self.run
        return Link(self.node, lambda x: run(x.reshape(-1, channels)).reshape(-1, pixels * channels), affine, slope)


@dataclass(frozen=True)
class Pending:
    """``unit``: what an integer of ``name`` is worth before the links. ``order[i]``: where ONNX has the graph's
    feature i of a flattened image. ``outside``: what a Pad node has put around the image. ``shared``: whether
    something else reads a part of this."""

    name: str
    links: tuple[Link, ...] = ()
    unit: float = 1.0
    order: NDArray[np.int64] | None = None
    outside: tuple[Any, float] | None = None
    shared: bool = False

    def evaluate(self, x: Array) -> Array:
        """(n, channels) numbers of the graph value → what stands here."""
        x = x.astype(np.float32)
        whole = round(1 / self.unit)
        if whole > 1 and abs(whole * self.unit - 1) < 1e-15:  # a byte / 255, a mean of 9: divided, as they are there
            x = x / np.float32(whole)
        elif self.unit != 1:
            x = x * np.float32(self.unit)
        for link in self.links:
            x = link.run(x)
        return x

    def then(self, link: Link) -> Pending:
        return replace(self, links=(*self.links, link))


class Folder:
    """The ops made so far, and how a pending value becomes codes or reals."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.types: dict[str, Value] = {}

    def emit(self, node: Node, op: Op) -> str:
        try:
            self.types[op.name] = verify_op(op, self.types)
        except GraphError as error:
            node.refuse(str(error))
        self.ops.append(op)
        return op.name

    def free(self, name: str) -> str:
        while name in self.types:
            name += "'"
        return name

    def value(self, x: Pending) -> Value:
        return self.types[x.name]

    def falls(self, x: Pending) -> NDArray[np.bool_]:
        """(channels,) whether the links fall from the lowest to the highest number."""
        value = self.value(x)
        bound = 1e6 if value.encoding.is_float else float(value.bound)
        ends = x.evaluate(np.array([[-bound], [bound]], np.float32).repeat(value.channels, axis=1))
        falling: NDArray[np.bool_] = ends[0] > ends[1]
        return falling

    def codes(self, node: Node, x: Pending, quantizer: Quantizer) -> Pending:
        """Links + quantizer → Threshold."""
        made = quantizer.encoding
        if made is None:
            node.refuse(f"makes whole numbers from {quantizer.low} to {quantizer.high}, which no 8 bits hold")
        units = np.unique(quantizer.unit)
        if len(units) != 1:
            node.refuse("has a scale for each channel; a product needs one that all its inputs share")
        if any(link.slope is not None for link in x.links):  # may bend both ways: no single switch
            x = self.real(node, x)
        value = self.value(x)
        if value.encoding == made and not x.links and x.unit == units[0] and quantizer.step == made.step:
            return x  # quantized already
        order = np.arange(value.channels) if x.order is None else x.order
        image = len(value.shape) == 3

        def quantized(numbers: Array) -> Array:
            y = x.evaluate(numbers[None])[:, np.argsort(order)]  # in ONNX's order
            found = quantizer.numbers(y[:, :, None, None] if image else y)
            return np.asarray(found.reshape(-1)[order])

        rising = ~self.falls(x)
        shown = value if value.encoding.is_float else Value(value.shape, I32, value.bound)
        table = thresholds.read(quantized, rising, shown, made)
        name = x.name
        if value.encoding not in (I32, F32):  # codes: as numbers in float32, which holds each of them
            name = self._as_real(node, name)
            table = table.astype(np.float32)
        made_name = self.emit(node, Threshold(self.free(node.name), (name,), table, rising, str(made)))
        return Pending(made_name, (), float(units[0]), x.order)

    def real(self, node: Node, x: Pending) -> Pending:
        """The links → Affine, Relu and PRelu ops; afterwards the value is f32 and nothing is pending."""
        channels = self.value(x).channels
        name, label = x.name, ""
        scale, offset, waiting = np.full(channels, x.unit), np.zeros(channels), x.unit != 1
        for link in (*x.links, None):
            if link is not None and link.affine is not None:
                scale, offset = scale * link.affine[0], offset * link.affine[0] + link.affine[1]
                waiting, label = True, link.node.name
                continue
            if waiting or not self.types[name].encoding.is_float:
                made = self.free(label or f"{name}.real")
                name = self.emit(node, Affine(made, (name,), scale.astype(np.float32), offset.astype(np.float32)))
                scale, offset, waiting, label = np.ones(channels), np.zeros(channels), False, ""
            if link is None:
                break
            if link.node.kind == "Relu":
                name = self.emit(node, Relu(self.free(link.node.name), (name,)))
            elif link.slope is not None:
                name = self.emit(node, PRelu(self.free(link.node.name), (name,), link.slope))
            else:
                link.node.refuse("its result is read as a real number; only before a quantizer has it a counterpart")
        return Pending(name, (), 1.0, x.order, x.outside)

    def _as_real(self, node: Node, name: str) -> str:
        channels = self.types[name].channels
        ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        return self.emit(node, Affine(self.free(f"{name}.real"), (name,), ones, zeros))

    def recode_input(self, encoding: str) -> None:
        """The same codes, read as other numbers. Nothing may have read them yet."""
        self._replace_input(encoding=encoding)

    def reshape_input(self, shape: tuple[int, ...]) -> None:
        self._replace_input(shape=shape)

    def _replace_input(self, **changes: Any) -> None:
        first = self.ops[0]
        assert isinstance(first, Input)
        self.ops[0] = replace(first, **changes)
        self.types[first.name] = verify_op(self.ops[0], {})
