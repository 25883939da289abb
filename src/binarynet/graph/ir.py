"""The integer graph: a few ops, parameterised by the encodings of what they read and hold.

Values are images ``(height, width, channels)`` or vectors ``(features,)``; the batch is never part of a shape.
Each op names the values it reads; its own name is the name of the value it makes. A graph is the list of its
ops in an order in which every value is made before it is read; the last value is the answer.

Weights are the small integers that they mean (int8); only weights of encoding f32 are float32. A loaded op holds the
bits of its file until its ``weight`` is first read (`binarynet.graph.weights`); packing is `binarynet.format`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from html import escape
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from binarynet.graph.encoding import Encoding
from binarynet.graph.outputs import Output
from binarynet.graph.weights import WEIGHT, Weight, described, held

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))


@dataclass(frozen=True)
class Value:
    """The type of a value: its shape for one image, its encoding, and for integers the largest absolute value."""

    shape: tuple[int, ...]
    encoding: Encoding
    bound: int = 0

    @property
    def channels(self) -> int:
        return self.shape[-1]

    def __str__(self) -> str:
        return f"{'×'.join(map(str, self.shape))} {self.encoding}"


@dataclass(frozen=True, eq=False)
class Op:
    """Base of all ops: a name, and the names of the values that it reads."""

    name: str
    sources: tuple[str, ...]

    arity: ClassVar[int | None] = 1  # None: two or more

    @property
    def source(self) -> str:
        return self.sources[0]

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Field and contents of each parameter that is an array; weights as numbers."""
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, np.ndarray):
                yield entry.name, value


@dataclass(frozen=True, eq=False)
class Input(Op):
    """What the caller hands in: raw bytes (``b8``: 2x − 255; ``u8``: x), ±1 (``b1``) or reals (``f32``)."""

    shape: tuple[int, ...]
    encoding: str

    arity: ClassVar[int | None] = 0


@dataclass(frozen=True, eq=False)
class Linear(Op):
    """acc = x · wᵀ. ``weight`` (out, depth), values of ``weight_encoding``. Integers give i32; with f32, f32."""

    weight: Weight = WEIGHT  # an array; see `binarynet.graph.weights`
    weight_encoding: str = "b1"

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of ``weight``, which is not unpacked for it."""
        return held(self).shape


@dataclass(frozen=True, eq=False)
class Conv2d(Op):
    """acc = x ⋆ w. ``weight`` (out, kernel height, kernel width, in / groups), else as `Linear`.

    ``pad_value`` is the number (not the code) that stands outside the image: 0 as the papers trained, +1 or −1.
    """

    weight: Weight = WEIGHT  # an array; see `binarynet.graph.weights`
    weight_encoding: str = "b1"
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    pad_value: int = 0
    groups: int = 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of ``weight``, which is not unpacked for it."""
        return held(self).shape


@dataclass(frozen=True, eq=False)
class Threshold(Op):
    """Counts how many of a channel's thresholds t satisfy ``(x >= t) == rising``. Replaces BatchNorm + quantizer.

    ``thresholds`` (channels, levels), int32 after an accumulator, float32 after a real; ``rising`` (channels,) bool.
    The count c means the c-th value of ``encoding`` from below, which has levels + 1 of them. With one level, b1,
    that is sign: bit = (x >= t) == rising.
    """

    thresholds: NDArray[np.int32] | NDArray[np.float32]
    rising: NDArray[np.bool_]
    encoding: str = "b1"


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """y = x · scale + offset per channel, in float32: one rounded multiply, then one rounded add, never fused."""

    scale: NDArray[np.float32]
    offset: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MaxPool2d(Op):
    """The largest value under the window, or the smallest where ``minimum`` (channels,) bool says so.

    The smallest is what max-pooling becomes on the near side of a norm with γ < 0. What lies outside the image
    never wins. On b1 this is OR, and AND where ``minimum``.
    """

    kernel: Pair
    stride: Pair
    minimum: NDArray[np.bool_]
    padding: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True, eq=False)
class SumPool2d(Op):
    """The sum under the window, outside counted as 0; averages are this and an `Affine` (or a threshold) by 1 / n.

    Integers give i32, exactly. Reals are added in float32, row by row of the window, so that all engines agree.
    """

    kernel: Pair
    stride: Pair
    padding: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True, eq=False)
class Add(Op):
    """Sum of two values of one type: i32 or f32. The residual of Bi-Real Net."""

    arity: ClassVar[int | None] = 2


@dataclass(frozen=True, eq=False)
class Mul(Op):
    """Product, in float32, of an f32 value and an f32 factor, which has the same shape, or 1 in the place of any size.

    A vector is an image of one pixel here. With one channel that is XNOR-Net's K map; with one pixel, the gate of
    squeeze-and-excitation.
    """

    arity: ClassVar[int | None] = 2


@dataclass(frozen=True, eq=False)
class Relu(Op):
    """max(x, 0) on i32 or f32."""


@dataclass(frozen=True, eq=False)
class PRelu(Op):
    """x where x ≥ 0, else x · slope per channel, in float32. ``slope`` (channels,) float32."""

    slope: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Apply(Op):
    """A function of `binarynet.graph.functions`, of every number: f32 → f32, the same bits in every engine."""

    function: str


@dataclass(frozen=True, eq=False)
class Take(Op):
    """Value (i, j, c) is the source's at (``rows[i]``, ``columns[j]``, ``channels[c]``), and 0 where any of them is −1.

    So it is a slice, a repetition, a permutation, an enlargement to nearest pixels, a padding with 0. A vector is an
    image of one pixel, and stays a vector where it is taken once.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    channels: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Two values or more of one height, width and encoding, their channels one behind the other."""

    arity: ClassVar[int | None] = None


@dataclass(frozen=True, eq=False)
class Flatten(Op):
    """(height, width, channels) → (height · width · channels,), in that order."""


@dataclass(frozen=True, eq=False)
class Unflatten(Op):
    """(height · width · channels,) of i32 or f32 → ``shape`` (height, width, channels), in that order."""

    shape: tuple[int, ...]


OPS: dict[str, type[Op]] = {
    cls.__name__: cls
    for cls in (
        *(Input, Linear, Conv2d, Threshold, Affine, MaxPool2d, SumPool2d, Add, Mul, Relu, PRelu, Apply),
        *(Take, Concat, Flatten, Unflatten),
    )
}


@dataclass(frozen=True, eq=False)
class Graph:
    """Ops in running order, and ``meta``: free text about the model (recipe, data, classes joined by newlines).

    ``outputs``: where there are several answers, what each vector is that the last op, a `Concat`, puts together.
    """

    ops: tuple[Op, ...]
    meta: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()

    @property
    def input(self) -> Input:
        first = self.ops[0]
        assert isinstance(first, Input)
        return first

    @property
    def output(self) -> Op:
        return self.ops[-1]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.meta["classes"].split("\n")) if self.meta.get("classes") else ()

    def readers(self, name: str) -> list[Op]:
        """The ops that read a value."""
        return list(self._readers.get(name, ()))

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input.shape)) if self.ops and isinstance(self.ops[0], Input) else "?"
        return f"Graph({len(self.ops)} ops, reads {shape}, ends with {self.ops[-1].name if self.ops else 'nothing'!r})"

    def _repr_html_(self) -> str:
        """A table for notebooks: each op, what it reads, its weights. Names out of files are escaped."""
        rows = "".join(
            f"<tr><td>{escape(op.name)}</td><td>{type(op).__name__}</td><td>{escape(', '.join(op.sources))}</td>"
            f"<td>{described(op)}</td></tr>"
            for op in self.ops[:100]
        )
        head = "<tr><th>op</th><th>kind</th><th>reads</th><th>weights</th></tr>"
        return f"<table>{head}{rows}</table>" + (f"… {len(self.ops) - 100} more" if len(self.ops) > 100 else "")

    def __getitem__(self, name: str) -> Op:
        return self._named[name]

    # Looked for once, since a file of thousands of ops would be searched through thousands of times.
    @cached_property
    def _readers(self) -> dict[str, list[Op]]:
        found: dict[str, list[Op]] = {}
        for op in self.ops:
            for source in dict.fromkeys(op.sources):
                found.setdefault(source, []).append(op)
        return found

    @cached_property
    def _named(self) -> dict[str, Op]:
        return {op.name: op for op in reversed(self.ops)}


def window_output(size: int, kernel: int, stride: int, dilation: int, padding: Pair) -> int:
    """How many places a window has along one axis; 0 or less if it does not fit."""
    reach = dilation * (kernel - 1) + 1
    return (size + padding[0] + padding[1] - reach) // stride + 1
