"""Graph → layers: which ops share one C function, and how values lie in memory.

A layer is one op that walks over the image (a *head*: product, pool, sum of two) and the ops that follow it value by
value (its *tail*: affine, activations, threshold). So an accumulator lives in a register; only what the last op of
the layer makes is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from binarynet.export.emit import words
from binarynet.graph import Encoding, Graph, Op, Value
from binarynet.graph.ir import Affine, Apply, Concat, Flatten, Input, MaxPool2d, PRelu, Relu, Take, Threshold, Unflatten

POINTWISE = (Affine, Relu, PRelu, Apply, Threshold)
_CHOOSES = (MaxPool2d, Take, Concat)


@dataclass(frozen=True)
class Stored:
    """How a value lies in memory.

    ``kind``: *bits* (one long string of bits, 1 = +1, in the order height, width, channels, tail 0), *codes* (a byte
    each, 0 = the lowest value of the encoding), *i32* or *f32*.
    """

    name: str
    kind: str
    value: Value

    @property
    def count(self) -> int:
        return prod(self.value.shape)

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width, channels; a vector is one pixel."""
        shape = self.value.shape
        return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])

    @property
    def is_image(self) -> bool:
        return len(self.value.shape) == 3

    @property
    def planes(self) -> int:
        """Binary digits of a code."""
        return max(1, (self.value.encoding.count - 1).bit_length())

    @property
    def low(self) -> int:
        return self.value.encoding.low

    @property
    def step(self) -> int:
        return self.value.encoding.step

    def bytes(self, word: int) -> int:
        if self.kind == "bits":
            return words(self.count, word) * word // 8
        return self.count * (1 if self.kind == "codes" else 4)

    def c_type(self) -> str:
        return {"bits": "word", "codes": "uint8_t", "i32": "int32_t", "f32": "float"}[self.kind]


@dataclass(frozen=True)
class Layer:
    """``head`` is None where pointwise ops stand alone, or where the answer has to be turned into numbers."""

    head: Op | None
    tail: tuple[Op, ...]
    sources: tuple[Stored, ...]
    makes: Stored
    name: str  # of the op that the function is named after
    kept: tuple[int, int] | None = None  # rows of x and of y in memory, of those that pass as rows

    @property
    def rows_of_x(self) -> int:
        return self.kept[0] if self.kept else self.sources[0].size[0]

    @property
    def rows_of_y(self) -> int:
        return self.kept[1] if self.kept else self.makes.size[0]

    @property
    def ops(self) -> tuple[Op, ...]:
        return ((self.head,) if self.head else ()) + self.tail


def plan(graph: Graph, values: dict[str, Value]) -> list[Layer]:
    """The layers in running order. The last one makes the answer, as i32 or f32."""
    stored: dict[str, Stored] = {}
    layers: list[Layer] = []
    done: set[str] = set()
    for op in graph.ops:
        if op.name in done:
            continue
        if type(op) in PLACED:
            stored[op.name] = PLACED[type(op)](op, values[op.name], *(stored[source] for source in op.sources))
        else:
            sources = tuple(stored[source] for source in op.sources)
            alone = isinstance(op, POINTWISE)
            ops = [op] if alone else [op, *_tail(graph, op)] if _numbers(op, sources) else [op]
            if alone and not isinstance(op, Threshold):
                ops += _tail(graph, op)
            last = ops[-1]
            done.update(one.name for one in ops)
            stored[last.name] = Stored(last.name, _kind(last, values[last.name], sources), values[last.name])
            tail = tuple(ops if alone else ops[1:])
            layers.append(Layer(None if alone else op, tail, sources, stored[last.name], op.name))
    answer = stored[graph.output.name]
    if answer.kind in ("bits", "codes") or answer.name == graph.input.name:
        kind = "f32" if answer.kind == "f32" else "i32"
        encoding = answer.value.encoding if kind == "f32" else Encoding.parse("i32")
        made = Stored("answer", kind, Value(answer.value.shape, encoding))
        layers.append(Layer(None, (), (answer,), made, "answer"))
    return layers


def _input(op: Op, value: Value) -> Stored:
    return Stored(op.name, "f32" if value.encoding.is_float else "codes", value)


def _flatten(op: Op, value: Value, first: Stored) -> Stored:
    return Stored(first.name, first.kind, Value(value.shape, first.value.encoding))


PLACED: dict[type[Op], Callable[..., Stored]] = {Input: _input, Flatten: _flatten, Unflatten: _flatten}
"""Ops that take no code: what they make lies in memory already."""


def _numbers(op: Op, sources: tuple[Stored, ...]) -> bool:
    """Whether a head makes one number after the other; one that only chooses among codes makes codes."""
    return not (isinstance(op, _CHOOSES) and sources[0].kind in ("bits", "codes"))


def _tail(graph: Graph, op: Op) -> list[Op]:
    """The pointwise ops that follow, as long as each is the only reader; a threshold ends them."""
    tail: list[Op] = []
    while not isinstance(op, Threshold):
        readers = graph.readers(op.name)
        if len(readers) != 1 or not isinstance(readers[0], POINTWISE) or op is graph.output:
            break
        op = readers[0]
        tail.append(op)
    return tail


def _kind(op: Op, value: Value, sources: tuple[Stored, ...]) -> str:
    if isinstance(op, _CHOOSES):
        return sources[0].kind
    if isinstance(op, Threshold):
        return "bits" if str(value.encoding) == "b1" else "codes"
    return "f32" if value.encoding.is_float else "i32"
