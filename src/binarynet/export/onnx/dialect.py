"""Graph ops as ONNX nodes: what the two ONNX targets share.

Images (height, width, channels) become (N, channels, height, width). A flattened image stands in ONNX's order of
features (channels, height, width); what follows it has its columns and channels sorted likewise, so that no transpose
is needed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.onnx.moves import Moves, Tensor
from binarynet.export.options import Options
from binarynet.graph import LOGITS, Graph, Op, Value, verify
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
    Padding,
    Pair,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
    window_output,
)
from binarynet.graph.rules import Rules

EXACT = 2**24  # float32 holds every integer below


class Dialect(Moves, ABC):
    """Walks the graph; a target says how inputs, weights, accumulators and thresholds look.

    ``whole`` is the type in which accumulators stand.
    """

    rules: Rules[Callable[..., Tensor]]
    batch: int | str = "N"

    def __init__(self, target: str, graph: Graph, options: Options) -> None:
        super().__init__(target)
        self.graph, self.options = graph, options
        self.values = verify(graph)
        self.tensors: dict[str, Tensor] = {}
        self._taken |= {"images", LOGITS, *(one.name for one in graph.outputs)}

    def write(self, path: Path, domains: dict[str, int]) -> Path:
        for op in self.graph.ops:
            self.tensors[op.name] = self.rules.of(op)(self, op, *(self.tensors[name] for name in op.sources))
        ends = (("images", self.input_type(), turned(self.graph.input.shape)), *self._ends())
        return self.save(path, self.graph, self.options, ends, domains, self.batch, self.annotations())

    def _ends(self) -> list[tuple[str, Any, tuple[int, ...]]]:
        """(name, dtype, shape without the batch) of each output; images as images, though the graph has flattened
        them to put them behind one another. The one answer of a graph is called logits."""
        found = []
        for name, answer in self._answers():
            kind = np.float32 if answer.value.encoding.is_float else self.whole
            stands = answer.is_accumulator or kind == np.float32
            if stands and not self.graph.outputs and answer.name != "images":
                self._rename(answer.name, name)
                made = name
            else:
                if name != "images":
                    self._taken.discard(name)
                if stands:
                    made = self.node("Identity", [answer.name], name)
                else:
                    made = self.node("Cast", [answer.name], name, to=self.type(kind))
            found.append((made, kind, turned(answer.value.shape)))
        return found

    def _answers(self) -> Iterator[tuple[str, Tensor]]:
        last = self.graph.output
        if not self.graph.outputs:
            yield LOGITS, self.plain(self.tensors[last.name])
        for one, source in zip(self.graph.outputs, last.sources, strict=False):  # without names, of none
            before = self.graph[source]
            whole = isinstance(before, Flatten) and self.values[before.source].shape == one.shape
            answer = self.plain(self.tensors[before.source if whole else source])
            if answer.value.shape != one.shape:  # a vector that is called an image
                name = answer.name
                if len(one.shape) == 3:
                    name = self.node("Reshape", [name, self.indices(-1, *one.shape)], f"{name}.image")
                    name = self.node("Transpose", [name], f"{name}.first", perm=(0, 3, 1, 2))
                answer = Tensor(name, replace(answer.value, shape=one.shape))
            yield one.name, answer

    def _rename(self, answer: str, wanted: str) -> None:
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [wanted if name == answer else name for name in names]

    def _entry(self, op: Input) -> Tensor:
        return self._made(op, self.input(op, self.values[op.name]))

    def _affine(self, op: Affine, x: Tensor) -> Tensor:
        scale, offset = (self.channels(f"{op.name}.{name}", getattr(op, name), x) for name in ("scale", "offset"))
        product = self.node("Mul", [self.real(x), scale], f"{op.name}.product")
        return self._made(op, self._last(op, "Add", product, offset), x)

    def _relu(self, op: Relu, x: Tensor) -> Tensor:
        whole = x.is_accumulator and self.whole == np.int32
        made = ("Max", x.name, self.scalar(0, np.int32)) if whole else ("Relu", x.name)
        return self._made(op, self._last(op, *made), x)

    def _prelu(self, op: PRelu, x: Tensor) -> Tensor:
        return self._made(op, self._last(op, "PRelu", x.name, self.channels(f"{op.name}.slope", op.slope, x)), x)

    # What a target says

    @abstractmethod
    def input_type(self) -> Any:
        """The ONNX type of what the caller hands in."""

    @abstractmethod
    def input(self, op: Input, value: Value) -> str:
        """Codes → numbers."""

    @abstractmethod
    def product(self, op: Linear | Conv2d, x: Tensor) -> str:
        """Dot products."""

    @abstractmethod
    def threshold(self, op: Threshold, x: Tensor) -> str:
        """Accumulator or real → code."""

    @abstractmethod
    def real(self, x: Tensor) -> str:
        """A value as float32."""

    def annotations(self) -> tuple[Any, ...]:
        return ()

    # What they share

    def type(self, dtype: Any) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def channels(self, name: str, vector: NDArray[Any], x: Tensor) -> str:
        """A constant for each channel, in a shape that spreads over x."""
        if x.order is not None:
            vector = vector[x.order]
        return self.constant(name, vector.reshape(-1, 1, 1) if len(x.value.shape) == 3 else vector)

    def multiply(self, op: Linear | Conv2d, name: str, weight: str, makes: str) -> str:
        """The node of the product, weights (out, depth) or (out, in / groups, height, width)."""
        if isinstance(op, Linear):
            return self.node("Gemm", [name, weight], makes, transB=1)
        pads = op.padding
        if op.pad_value:
            name = self.padded(name, op.padding, op.pad_value, op.name)
            pads = ((0, 0), (0, 0))
        return self.node(
            "Conv",
            [name, weight],
            makes,
            kernel_shape=op.weight.shape[1:3],
            strides=op.stride,
            dilations=op.dilation,
            pads=_pads(pads),
            group=op.groups,
        )

    def columns(self, op: Linear | Conv2d, x: Tensor) -> NDArray[Any]:
        """Weights as ONNX has them."""
        if isinstance(op, Linear):
            return op.weight if x.order is None else np.ascontiguousarray(op.weight[:, x.order])
        return np.ascontiguousarray(op.weight.transpose(0, 3, 1, 2))  # (out, h, w, in) → (out, in, h, w)

    def padded(self, name: str, padding: Padding, value: float, makes: str, dtype: Any = np.float32) -> str:
        (top, bottom), (left, right) = padding
        pads = self.indices(0, 0, top, left, 0, 0, bottom, right)
        return self.node("Pad", [name, pads, self.scalar(value, dtype)], f"{makes}.padded", mode="constant")

    def max_pool(self, op: MaxPool2d, x: Tensor) -> str:
        """The smallest of x is the largest of −x."""
        dtype = self.whole if x.is_accumulator else np.float32
        name, flip = x.name, ""
        if op.minimum.any():
            flip = self.channels(f"{op.name}.flip", np.where(op.minimum, -1, 1).astype(dtype), x)
            name = self.node("Mul", [name, flip], f"{op.name}.flipped")
        if dtype == np.float32:
            best = self.node(
                "MaxPool",
                [name],
                f"{op.name}.best" if flip else op.name,
                kernel_shape=op.kernel,
                strides=op.stride,
                pads=_pads(op.padding),
            )
        else:  # onnxruntime pools no int32
            outside = self.padded(name, op.padding, -(2**31 - 1), op.name, dtype)
            views = self._windows(outside, x.value, op, f"{op.name}.view")
            best = self.node("Max", views, f"{op.name}.best" if flip else op.name)
        return self._last(op, "Mul", best, flip) if flip else best

    def sum_pool(self, op: SumPool2d, x: Tensor) -> str:
        """Added row by row of the window, so that reals are rounded as everywhere else."""
        name, dtype = x.name, np.float32
        if not x.value.encoding.is_float:
            dtype = self.whole
            name = name if x.is_accumulator else self.node("Cast", [name], f"{op.name}.whole", to=self.type(dtype))
        if any(side for pair in op.padding for side in pair):
            name = self.padded(name, op.padding, 0, op.name, dtype)
        return self.total(op, self._windows(name, x.value, op, f"{op.name}.view"))

    def total(self, op: Op, parts: list[str]) -> str:
        """The sum of at least one part, one after the other."""
        total, *more = parts
        for k, part in enumerate(more, 1):
            total = self.node("Add", [total, part], op.name if k == len(more) else f"{op.name}.sum")
        return total if more else self._last(op, "Identity", total)

    def _windows(self, name: str, value: Value, op: MaxPool2d | SumPool2d, makes: str) -> list[str]:
        """For each place of the window, row by row: what lies under it, over the whole image."""
        rows, columns = (
            window_output(size, kernel, stride, 1, padding)
            for size, kernel, stride, padding in zip(value.shape[:2], op.kernel, op.stride, op.padding, strict=True)
        )
        views = []
        for row in range(op.kernel[0]):
            for column in range(op.kernel[1]):
                ends = (row + (rows - 1) * op.stride[0] + 1, column + (columns - 1) * op.stride[1] + 1)
                inputs = [self.indices(row, column), self.indices(*ends), self.indices(2, 3), self.indices(*op.stride)]
                views.append(self.node("Slice", [name, *inputs], makes))
        return views

    def _flatten(self, op: Flatten, x: Tensor) -> Tensor:
        made, value = self._last(op, "Flatten", x.name, axis=1), self.values[op.name]
        if len(x.value.shape) == 1:
            return Tensor(made, value, x.order)
        order = np.arange(prod(x.value.shape)).reshape(x.value.shape).transpose(2, 0, 1).reshape(-1)
        return Tensor(made, value, None if np.all(order[1:] > order[:-1]) else order)

    def _unflatten(self, op: Unflatten, x: Tensor) -> Tensor:
        name = self.node("Reshape", [self.plain(x).name, self.indices(-1, *op.shape)], f"{op.name}.last")
        return self._made(op, self._last(op, "Transpose", name, perm=(0, 3, 1, 2)))


NODES: dict[type[Op], Callable[..., Tensor]] = {
    Input: Dialect._entry,
    Linear: lambda self, op, x: self._made(op, self.product(op, x)),
    Conv2d: lambda self, op, x: self._made(op, self.product(op, x)),
    Threshold: lambda self, op, x: self._made(op, self.threshold(op, x), x),
    Affine: Dialect._affine,
    MaxPool2d: lambda self, op, x: self._made(op, self.max_pool(op, x)),
    SumPool2d: lambda self, op, x: self._made(op, self.sum_pool(op, x)),
    Add: Dialect._add,
    Mul: Dialect._mul,
    Relu: Dialect._relu,
    PRelu: Dialect._prelu,
    Apply: Dialect._apply,
    Take: Dialect._take,
    Concat: Dialect._concat,
    Flatten: Dialect._flatten,
    Unflatten: Dialect._unflatten,
}


def turned(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(height, width, channels) → (channels, height, width)."""
    return (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape


def to_onnx(images: NDArray[Any]) -> NDArray[Any]:
    """A batch in the graph's layout → ONNX's."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if images.ndim == 4 else images


def from_onnx(graph: Graph, answers: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """What a file answers → what the graph answers: several stand one behind the other."""
    found = [one.transpose(0, 2, 3, 1) if one.ndim == 4 else one for one in answers]
    return np.concatenate([one.reshape(len(one), -1) for one in found], axis=1) if graph.outputs else found[0]


def _pads(padding: Padding) -> Pair | tuple[int, ...]:
    (top, bottom), (left, right) = padding
    return (top, left, bottom, right)
