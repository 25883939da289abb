"""C99 for any chip: NAME.h, NAME.c, main.c, Makefile. See docs/export.md.

No allocation, of the library only <stdint.h> and <string.h>, weights in constant tables, and one arena that the
caller provides. Floats appear only where the graph has reals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.c import check
from binarynet.export.c.files import header, main, makefile, source
from binarynet.export.c.helpers import HELPERS
from binarynet.export.c.layers import Function, function
from binarynet.export.c.plan import Block, Layer, Stored, places, plan
from binarynet.export.emit import Names, Options, put
from binarynet.graph import Encoding, Graph, Op, Value, verify
from binarynet.graph.ir import Threshold

# Everything that generated functions call their own things.
_LOCAL = """
    word WORD ALL_ONES BUILTIN_POPCOUNT x x2 y v w c at row column group level code codes digits patch mask
    any all view inside outside sum acc image logits arena memset memcpy size_t int8_t int16_t int32_t int64_t
    uint8_t uint32_t uint64_t INT32_MIN INFINITY
"""


@dataclass(frozen=True)
class Network:
    """A graph as C functions with their memory."""

    graph: Graph
    options: Options
    input: Value
    functions: tuple[Function, ...]
    buffers: dict[str, str]  # value → variable
    offsets: dict[str, int]  # variable, or layer and scratch → byte in the arena
    arena: int

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
    layers = plan(graph, values)
    public = [f"{options.api}_{name}" for name in ("logits", "argmax", "arena", "input", "output")]
    names = Names([*_LOCAL.split(), *HELPERS, *public, options.api])
    functions = tuple(function(layer, names, options.word) for layer in layers)
    local = Names([*_LOCAL.split(), *HELPERS, *public, *(one.name for one in functions)])
    buffers = {layer.makes.name: local.unique(layer.makes.name) for layer in layers[:-1]}
    buffers |= {graph.input.name: "image", layers[-1].makes.name: "logits"}
    offsets, arena = places(_blocks(layers, functions, buffers, options.word))
    return Network(graph, options, values[graph.input.name], functions, buffers, offsets, max(arena, 8))


def refuses(op: type[Op], reads: Encoding | None, holds: Encoding | None) -> str | None:
    """Everything is supported."""
    return None


def answers(graph: Graph, folder: Path, options: Options, codes: NDArray[Any]) -> NDArray[Any]:
    """What the program that the system's compiler makes of the files prints for a batch of input codes.

    Raises:
        ExportError: as `binarynet.export.c.check`.
    """
    return check.answers(check.compiled(folder, options.api), graph, codes)


def export(graph: Graph, folder: Path, options: Options) -> list[Path]:
    """Write the four files.

    Raises:
        ExportError: as `build`.
    """
    network = build(graph, options)
    return [
        put(folder, f"{options.api}.h", header(network)),
        put(folder, f"{options.api}.c", source(network)),
        put(folder, "main.c", main(network)),
        put(folder, "Makefile", makefile(network)),
    ]


def _clipped(graph: Graph, values: dict[str, Value]) -> Graph:
    """Integer thresholds brought to −bound … bound + 1, which decides alike and needs narrower numbers."""

    def clipped(op: Threshold) -> Threshold:
        bound = values[op.source].bound
        within = np.clip(op.thresholds, -bound, min(bound + 1, 2**31 - 1)).astype(np.int32)
        return replace(op, thresholds=within)

    whole = [isinstance(op, Threshold) and op.thresholds.dtype == np.int32 for op in graph.ops]
    ops = [clipped(op) if at and isinstance(op, Threshold) else op for op, at in zip(graph.ops, whole, strict=True)]
    return Graph(tuple(ops), graph.meta)


def _blocks(layers: list[Layer], functions: tuple[Function, ...], buffers: dict[str, str], word: int) -> list[Block]:
    """What lies in the arena, and from when to when."""
    blocks = []
    for k, (layer, one) in enumerate(zip(layers, functions, strict=True)):
        readers = [j for j, other in enumerate(layers) if any(x.name == layer.makes.name for x in other.sources)]
        last = max(readers, default=k)
        if buffers[layer.makes.name] != "logits":
            blocks.append(Block(buffers[layer.makes.name], layer.makes.bytes(word), k, last))
        sizes = {"word": word // 8, "uint8_t": 1, "float": 4}
        blocks += [Block(f"{one.name}.{need.name}", need.count * sizes[need.kind], k, k) for need in one.scratch]
    return blocks
