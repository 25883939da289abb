"""Ops that join, gate and move values, as nodes: what needs to know in which order features stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.onnx.functions import OnNodes
from binarynet.export.onnx.writer import Writer
from binarynet.graph import Op, Value
from binarynet.graph.functions import FUNCTIONS
from binarynet.graph.ir import Add, Apply, Concat, Mul, Take


@dataclass(frozen=True)
class Tensor:
    """An ONNX tensor: its name, the graph's value, and for a flattened image where the graph has its feature i."""

    name: str
    value: Value
    order: NDArray[np.int64] | None = None

    @property
    def is_accumulator(self) -> bool:
        return str(self.value.encoding) == "i32"


class Moves(Writer):
    """The part of a dialect that all targets have alike. ``whole`` is the type in which accumulators stand."""

    whole: Any
    values: dict[str, Value]

    def _add(self, op: Add, left: Tensor, right: Tensor) -> Tensor:
        left, right = self._alike(left, right)
        return self._made(op, self._last(op, "Add", left.name, right.name), left)

    def _mul(self, op: Mul, x: Tensor, factor: Tensor) -> Tensor:
        """A vector is an image of one pixel."""
        if factor.value.channels == x.value.channels:
            x, factor = self._alike(x, factor)
        by = factor.name
        if len(factor.value.shape) < len(x.value.shape):
            by = self.node("Unsqueeze", [by, self.indices(2, 3)], f"{by}.pixel")
        elif len(factor.value.shape) > len(x.value.shape):
            by = self.node("Squeeze", [by, self.indices(2, 3)], f"{by}.vector")
        return self._made(op, self._last(op, "Mul", x.name, by), x)

    def _alike(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """With their features in one order."""
        first = tensors[0].order
        if all(np.array_equal(first, one.order) for one in tensors[1:]):  # type: ignore[arg-type]
            return tensors
        return tuple(map(self.plain, tensors))

    def _apply(self, op: Apply, x: Tensor) -> Tensor:
        made = FUNCTIONS[op.function](OnNodes(self, op.name), x.name)
        return self._made(op, self._last(op, "Identity", made), x)

    def _take(self, op: Take, x: Tensor) -> Tensor:
        """A Gather along each axis that moves; what is nowhere lies behind the last, where a Pad puts a 0."""
        x = self.plain(x)
        name, dtype = x.name, self.whole if x.is_accumulator else np.float32
        shape, axes = x.value.shape, (2, 3, 1) if len(self.values[op.name].shape) == 3 else (1,)
        if len(shape) < len(axes):
            name, shape = self.node("Unsqueeze", [name, self.indices(2, 3)], f"{op.name}.pixel"), (1, 1, *shape)
        places = (op.rows, op.columns, op.channels)[-len(axes) :]
        for axis, chosen, size in zip(axes, places, shape, strict=True):
            if np.array_equal(chosen, np.arange(size)):
                continue
            if (chosen < 0).any():
                pads = np.zeros(2 * len(axes) + 2, np.int64)
                pads[len(axes) + 1 + axis] = 1
                inputs = [name, self.indices(*pads.tolist()), self.scalar(0, dtype)]
                name = self.node("Pad", inputs, f"{op.name}.padded", mode="constant")
            index = self.constant(f"{op.name}.places", np.where(chosen < 0, size, chosen).astype(np.int64))
            name = self.node("Gather", [name, index], f"{op.name}.taken", axis=axis)
        return self._made(op, self._last(op, "Identity", name))

    def _concat(self, op: Concat, *parts: Tensor) -> Tensor:
        names = [self.plain(one).name for one in parts]
        return self._made(op, self._last(op, "Concat", *names, axis=1))

    def _made(self, op: Op, name: str, like: Tensor | None = None) -> Tensor:
        """The op's value; its features stand in the order of ``like``."""
        return Tensor(name, self.values[op.name], like.order if like is not None else None)

    def _last(self, op: Op, kind: str, *inputs: str, **attributes: Any) -> str:
        """The node that makes an op's value bears its name."""
        return self.node(kind, list(inputs), op.name, **attributes)

    def plain(self, x: Tensor) -> Tensor:
        """The value with its features in the graph's order."""
        if x.order is None:
            return x
        back = self.constant("order", np.argsort(x.order))
        return Tensor(self.node("Gather", [x.name, back], f"{x.name}.ordered", axis=1), x.value)
