"""A graph as C functions with their memory: everything about the files but their text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from binarynet.export.c.function import Function
from binarynet.export.c.layers import function
from binarynet.export.c.memory import Stage, blocks, places, stages, with_rows
from binarynet.export.c.options import Options
from binarynet.export.c.parts import provided
from binarynet.export.c.plan import Layer, Stored, plan
from binarynet.export.emit import Names, unsupported
from binarynet.graph import Graph, Value, verify
from binarynet.graph.ir import Affine, Threshold

# Everything that generated functions call their own things.
_LOCAL = """
    word WORD FLASH ALL_ONES x x2 y v w c k at from row column counters memory sums rows group level code codes
    digits patch mask taps count next any all view outside sum acc best image logits arena memset memcpy size_t
    int8_t int16_t int32_t int64_t uint8_t uint32_t uint64_t INT32_MIN INFINITY APART ADD CARRY RIPPLE TERM
"""


@dataclass(frozen=True)
class Network:
    """A graph as C functions with their memory."""

    graph: Graph
    options: Options
    input: Value
    functions: tuple[Function, ...]
    stages: tuple[Stage, ...]
    buffers: dict[str, str]  # value → variable
    offsets: dict[str, int]  # value, or a stage's scratch → byte in the arena
    arena: int

    @property
    def big(self) -> str:
        """What the names of constants begin with."""
        return self.options.api.upper()

    @property
    def output(self) -> Stored:
        return self.functions[-1].layer.makes

    @property
    def flash(self) -> int:
        return sum(table.bytes(self.options.word) for one in self.functions for table in one.tables)


def build(graph: Graph, options: Options) -> Network:
    """Everything about the C files but their text.

    Raises:
        ExportError: an op has no counterpart in C.
    """
    values = verify(graph)
    graph = _clipped(graph, values)
    planned = plan(graph, values)
    if options.constant_time:
        _refuse_floats(graph, values)
    public = [f"{options.api}_{name}" for name in ("logits", "class", "argmax", "arena", "input", "output")]
    head = planned[-1].head
    bound = values[head.name].bound if head else 0
    taken = [
        *_LOCAL.split(),
        *provided(),
        *public,
        options.api,
        "run_inner",
        *(f"row{k + 1}" for k in range(len(planned))),
    ]

    def functions_of(layers: Iterable[Layer]) -> tuple[Function, ...]:
        names = Names(taken)
        return tuple(
            function(layer, names, options, bound if layer.makes.name == planned[-1].makes.name else 0)
            for layer in layers
        )

    whole = functions_of(planned)
    found = stages(whole, options.word)
    functions = functions_of(with_rows(whole, found))
    local = Names([*taken, *(one.name for one in functions)])
    buffers = {layer.makes.name: local.unique(layer.makes.name) for layer in planned[:-1]}
    buffers |= {graph.input.name: "image", planned[-1].makes.name: "logits"}
    offsets, arena = places(blocks(functions, found, options.word))
    return Network(graph, options, values[graph.input.name], functions, tuple(found), buffers, offsets, max(arena, 8))


def _refuse_floats(graph: Graph, values: dict[str, Value]) -> None:
    """Floats in software take longer for some numbers; a last Affine alone is left out by NAME_class."""
    for op in graph.ops:
        if values[op.name].encoding.is_float and not (op is graph.output and isinstance(op, Affine)):
            raise unsupported("c", op, "makes reals, which --constant-time cannot hold: lower a net of integers")
        if values[op.name].bound >= 1 << 30:
            raise unsupported("c", op, f"may reach ±{values[op.name].bound}, past the 2^30 of --constant-time")


def _clipped(graph: Graph, values: dict[str, Value]) -> Graph:
    """Integer thresholds brought to −bound … bound + 1, which decides alike and needs narrower numbers."""

    def clipped(op: Threshold) -> Threshold:
        bound = values[op.source].bound
        within = np.clip(op.thresholds, -bound, min(bound + 1, 2**31 - 1)).astype(np.int32)
        return replace(op, thresholds=within)

    whole = [isinstance(op, Threshold) and op.thresholds.dtype == np.int32 for op in graph.ops]
    ops = [clipped(op) if at and isinstance(op, Threshold) else op for op, at in zip(graph.ops, whole, strict=True)]
    return replace(graph, ops=tuple(ops))
