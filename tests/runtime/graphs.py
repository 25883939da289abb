"""Random graphs, built op by op, and the one comparison that matters: every engine against the oracle, with ==."""

from __future__ import annotations

from typing import Any

import numpy as np

from binarynet.graph import Graph, interpret, verify
from binarynet.graph.ir import (
    Add,
    Affine,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Op,
    Padding,
    PRelu,
    Relu,
    SumPool2d,
    Threshold,
    Value,
)
from binarynet.runtime import Session, isa

PLANES = {"b1": 1, "b3": 3, "b8": 8, "u1": 1, "u4": 4, "u8": 8}


class Maker:
    """Appends ops to a graph with random contents. Each method returns the name of the value that it made."""

    def __init__(self, shape: tuple[int, ...], encoding: str = "b1", seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.ops: list[Op] = [Input("input", (), shape, encoding)]
        self.last = "input"

    def _add(self, op: Op) -> str:
        self.ops.append(op)
        self.last = op.name
        return op.name

    def _name(self, kind: str) -> str:
        return f"{kind}{len(self.ops)}"

    def value(self, name: str | None = None) -> Value:
        """The type of a value, from the ops that lead to it."""
        name = name or self.last
        needed = {name}
        for op in reversed(self.ops):
            if op.name in needed:
                needed.update(op.sources)
        return verify(Graph(tuple(op for op in self.ops if op.name in needed)))[name]

    def signs(self, *shape: int) -> np.ndarray:
        return self.random.choice(np.array([-1, 1], np.int8), shape)

    def reals(self, *shape: int) -> np.ndarray:
        return self.random.normal(size=shape).astype(np.float32)

    def linear(self, out: int, source: str | None = None) -> str:
        source = source or self.last
        depth = self.value(source).channels
        return self._add(Linear(self._name("linear"), (source,), self.signs(out, depth)))

    def conv(
        self,
        out: int,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        padding: Padding = ((0, 0), (0, 0)),
        pad_value: int = 0,
        groups: int = 1,
        source: str | None = None,
    ) -> str:
        source = source or self.last
        weight = self.signs(out, *kernel, self.value(source).channels // groups)
        return self._add(
            Conv2d(self._name("conv"), (source,), weight, "b1", stride, dilation, padding, pad_value, groups)
        )

    def threshold(self, kind: str = "mixed", source: str | None = None) -> str:
        """``kind``: mixed, rising, falling, always, never, or extreme (the ends of what the accumulator reaches)."""
        source = source or self.last
        value = self.value(source)
        channels = value.channels
        rising = self.random.random(channels) < 0.5
        if kind in ("rising", "falling"):
            rising[:] = kind == "rising"
        if value.encoding.is_float:
            return self._add(Threshold(self._name("sign"), (source,), self.reals(channels, 1), rising))
        bound = max(value.bound, 1)
        if kind == "always":
            rising, levels = np.ones(channels, bool), np.full(channels, -(2**31))
        elif kind == "never":
            rising, levels = np.ones(channels, bool), np.full(channels, 2**31 - 1)
        elif kind == "extreme":
            ends = [-bound, 1 - bound, bound, bound + 1, -(2**31), 2**31 - 1]
            levels = self.random.choice([end for end in ends if -(2**31) <= end < 2**31], channels)
        else:
            spread = max(1, min(bound, round(2 * bound**0.5)))
            levels = self.random.integers(-spread, spread + 1, channels)
        return self._add(Threshold(self._name("sign"), (source,), levels.astype(np.int32)[:, None], rising))

    def affine(self, source: str | None = None) -> str:
        source = source or self.last
        channels = self.value(source).channels
        return self._add(Affine(self._name("affine"), (source,), self.reals(channels), self.reals(channels)))

    def max_pool(self, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding = ((0, 0), (0, 0))) -> str:
        minimum = self.random.random(self.value().channels) < 0.5
        return self._add(MaxPool2d(self._name("pool"), (self.last,), kernel, stride, minimum, padding))

    def sum_pool(self, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding = ((0, 0), (0, 0))) -> str:
        return self._add(SumPool2d(self._name("sum"), (self.last,), kernel, stride, padding))

    def add(self, left: str, right: str) -> str:
        return self._add(Add(self._name("add"), (left, right)))

    def relu(self) -> str:
        return self._add(Relu(self._name("relu"), (self.last,)))

    def prelu(self) -> str:
        return self._add(PRelu(self._name("prelu"), (self.last,), self.reals(self.value().channels)))

    def flatten(self) -> str:
        return self._add(Flatten(self._name("flat"), (self.last,)))

    def graph(self) -> Graph:
        graph = Graph(tuple(self.ops))
        verify(graph)
        return graph

    def codes(self, images: int) -> np.ndarray:
        """A batch that the input takes, as codes."""
        first = self.ops[0]
        assert isinstance(first, Input)
        if first.encoding == "f32":
            return self.reals(images, *first.shape)
        return self.random.integers(0, 1 << PLANES[first.encoding], (images, *first.shape), np.uint8)


def native(graph: Graph, codes: np.ndarray, **options: Any) -> np.ndarray:
    """Logits of the native engine on codes that need no adaption."""
    session = Session(graph, **options)
    answers = np.empty((len(codes), *session.output_shape), session._dtype)
    session._network.run(np.ascontiguousarray(codes), answers)
    return answers


def assert_engines_agree(graph: Graph, codes: np.ndarray, threads: tuple[int, ...] = (1, 2)) -> np.ndarray:
    """Every instruction set of this CPU answers what the oracle answers, and the type is the oracle's too."""
    one = codes if len(codes) else np.zeros((1, *codes.shape[1:]), codes.dtype)
    expected = interpret(graph, one)[: len(codes)]
    for name in isa.available():
        for count in threads:
            answer = native(graph, codes, isa=name, threads=count)
            assert answer.dtype == expected.dtype
            assert answer.shape == expected.shape
            np.testing.assert_array_equal(answer, expected, err_msg=f"{name}, {count} threads")
    return expected
