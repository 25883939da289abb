"""Random graphs, built op by op, and the one comparison that matters: every engine against the oracle, with ==."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from binarynet.graph import Encoding, Graph, interpret, verify
from binarynet.graph.interpret import decode
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
)
from binarynet.runtime import Session, isa

TOLERANCE = 1e-5  # of Σ |x · w|: what float32 sums of a few thousand terms, in any order, stay well within


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

    def weights(self, encoding: str, *shape: int) -> np.ndarray:
        """Any values of the encoding that int8 holds, its ends among them, or reals."""
        if encoding == "f32":
            return self.reals(*shape)
        code = Encoding.parse(encoding)
        values = np.arange(code.low, code.high + 1, code.step)
        return self.random.choice(values[np.abs(values + 0.5) < 128].astype(np.int8), shape)

    def linear(self, out: int, source: str | None = None, encoding: str = "b1") -> str:
        source = source or self.last
        depth = self.value(source).channels
        return self._add(Linear(self._name("linear"), (source,), self.weights(encoding, out, depth), encoding))

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
        encoding: str = "b1",
    ) -> str:
        source = source or self.last
        weight = self.weights(encoding, out, *kernel, self.value(source).channels // groups)
        return self._add(
            Conv2d(self._name("conv"), (source,), weight, encoding, stride, dilation, padding, pad_value, groups)
        )

    def threshold(self, kind: str = "mixed", source: str | None = None, encoding: str = "b1") -> str:
        """``kind``: mixed, rising, falling, always, never, or extreme (the ends of what the accumulator reaches).

        The levels of a channel are in no order, and some of them are equal.
        """
        source = source or self.last
        value = self.value(source)
        shape = (value.channels, Encoding.parse(encoding).count - 1)
        rising = self.random.random(value.channels) < 0.5
        if kind in ("rising", "falling"):
            rising[:] = kind == "rising"
        if value.encoding.is_float:
            return self._add(Threshold(self._name("sign"), (source,), self.reals(*shape), rising, encoding))
        bound = max(value.bound, 1)
        if kind == "always":
            rising, levels = np.ones_like(rising), np.full(shape, -(2**31))
        elif kind == "never":
            rising, levels = np.ones_like(rising), np.full(shape, 2**31 - 1)
        elif kind == "extreme":
            ends = [-bound, 1 - bound, bound, bound + 1, -(2**31), 2**31 - 1]
            levels = self.random.choice([end for end in ends if -(2**31) <= end < 2**31], shape)
        else:
            spread = max(1, min(bound, round(2 * bound**0.5)))
            levels = self.random.integers(-spread, spread + 1, shape)
        return self._add(Threshold(self._name("sign"), (source,), levels.astype(np.int32), rising, encoding))

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

    def mul(self, left: str, factor: str) -> str:
        return self._add(Mul(self._name("mul"), (left, factor)))

    def relu(self) -> str:
        return self._add(Relu(self._name("relu"), (self.last,)))

    def prelu(self) -> str:
        return self._add(PRelu(self._name("prelu"), (self.last,), self.reals(self.value().channels)))

    def apply(self, function: str = "sigmoid") -> str:
        return self._add(Apply(self._name(function), (self.last,), function))

    def take(
        self,
        rows: Sequence[int] | None = None,
        columns: Sequence[int] | None = None,
        channels: Sequence[int] | None = None,
        source: str | None = None,
    ) -> str:
        """None: all of them."""
        source = source or self.last
        shape = (1, 1, *self.value(source).shape)[-3:]
        places = [
            np.asarray(range(size) if one is None else one, np.int32)
            for one, size in zip((rows, columns, channels), shape, strict=True)
        ]
        return self._add(Take(self._name("take"), (source,), *places))

    def concat(self, *sources: str) -> str:
        return self._add(Concat(self._name("concat"), sources))

    def flatten(self) -> str:
        return self._add(Flatten(self._name("flat"), (self.last,)))

    def unflatten(self, *shape: int) -> str:
        return self._add(Unflatten(self._name("image"), (self.last,), shape))

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
        count = Encoding.parse(first.encoding).count
        return self.random.integers(0, count, (images, *first.shape)).astype(np.uint8)


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


def assert_engines_are_close(graph: Graph, codes: np.ndarray, threads: tuple[int, ...] = (1, 2)) -> None:
    """The same for a graph of an Input and one product with a real operand, whose float32 sums have no set order.

    They may differ from the oracle's by `TOLERANCE` · Σ |x · w|; both of them round. The bound Σ |x · w| is the same
    product of absolute values.
    """
    first, product = graph.ops
    assert isinstance(first, Input)
    assert isinstance(product, Linear | Conv2d)
    numbers = decode(codes, Encoding.parse(first.encoding)).astype(np.float32)
    change = {"weight": np.abs(product.weight.astype(np.float32)), "weight_encoding": "f32"}
    if isinstance(product, Conv2d):
        change["pad_value"] = abs(product.pad_value)
    bound = interpret(Graph((replace(first, encoding="f32"), replace(product, **change))), np.abs(numbers))
    expected = interpret(graph, codes)
    for name in isa.available():
        for count in threads:
            answer = native(graph, codes, isa=name, threads=count)
            assert answer.dtype == np.float32
            worst = np.max(np.abs(answer - expected) - TOLERANCE * bound, initial=0)
            assert worst <= 0, f"{name}, {count} threads: {worst} past the tolerance"
