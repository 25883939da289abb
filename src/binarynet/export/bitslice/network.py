"""A graph as functions of C over registers, each of which holds one bit of many images; every op has its rule here.

`Flatten`, `Take` and `Concat` are no code: a value is the list of the registers where its digits lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.export.bitslice import functions
from binarynet.export.bitslice.memory import NO_BORDER, Memory, Stored, code_of, digits
from binarynet.export.bitslice.options import Options
from binarynet.export.bitslice.products import Product, product_of, window
from binarynet.export.emit import Names, unsupported
from binarynet.graph import Encoding, Graph, Op, Value, verify
from binarynet.graph.ir import Affine, Concat, Conv2d, Flatten, Input, Linear, MaxPool2d, Padding, Take, Threshold

WAY = "export it to c"
_MOST_GATES = 400_000  # straight-line code of so many compiles in minutes


@dataclass
class Answer:
    """What is told of each number: it is ``step`` · (the digits at ``places``) + ``offset``, times ``scale`` plus
    ``shift`` where there is an `Affine`. All flat over the answers."""

    places: NDArray[Any]  # (answers, digits)
    step: int
    offset: NDArray[np.int64]
    scale: NDArray[np.float32] | None = None
    shift: NDArray[np.float32] | None = None


@dataclass
class Network:
    """What the files are written of."""

    graph: Graph
    options: Options
    values: Mapping[str, Value]
    memory: Memory = field(default_factory=Memory)
    names: Names = field(default_factory=Names)
    stored: dict[str, Stored] = field(default_factory=dict)
    products: dict[str, Op] = field(default_factory=dict)  # an accumulator → its op, computed by what reads it
    code: list[str] = field(default_factory=list)  # of functions
    calls: list[str] = field(default_factory=list)
    answer: Answer | None = None
    gates: int = 0

    def refuse(self, op: Op, why: str) -> None:
        raise unsupported("bitslice", op, f"{why}; {WAY}")

    def add(self, op: Op, made: functions.Made) -> None:
        """Functions and the lines that call them. Raises ExportError where they grow past all bounds."""
        self.code += made.code
        self.calls += made.calls
        self.gates += made.gates
        if self.gates > _MOST_GATES:
            self.refuse(op, f"unrolls weights into gates, {self.gates:,} up to here, more than {_MOST_GATES:,}")

    def room(self, name: str, shape: tuple[int, ...], encoding: Encoding) -> Stored:
        """Where a value will lie, with the border that its first convolution asks for."""
        border, fill = NO_BORDER, 0
        for reader in self.graph.readers(name):
            if isinstance(reader, Conv2d) and len(shape) == 3:
                border, fill = reader.padding, code_of(encoding, reader.pad_value) or 0
                break
        places, grid = self.memory.grid(shape, digits(encoding), border, fill)
        return Stored(places, encoding, grid)

    def image(self, op: Op, padding: Padding, fill: int) -> Stored:
        """The value that an op reads as an image that a window may leave by ``padding``; a copy where it lies else."""
        found = self.stored[op.source]
        if found.grid is not None and found.grid.has(padding, fill):
            return found
        places, grid = self.memory.grid(found.shape, found.bits, padding, fill)
        made = functions.copies(self.names.unique(f"copy_{op.name}"), op, found.places, places)
        self.add(op, made)
        return Stored(places, found.encoding, grid)


def build(graph: Graph, options: Options) -> Network:
    """Functions for every op.

    Raises:
        ExportError: an op that no gates stand for, where it stands; the text names it.
    """
    public = [f"{options.api}_{name}" for name in ("new", "free", "logits", "argmax", "memory", "input", "output")]
    network = Network(graph, options, verify(graph), names=Names(public))
    if graph.outputs:
        network.refuse(graph.output, "answers several vectors, and one is what it can tell")
    for op in graph.ops:
        _RULES[type(op)](network, op)
    if network.answer is None:
        last = graph.output
        if last.name in network.products:
            _sums(network, network.products[last.name], last)
        else:
            found = network.stored[last.name]
            places = found.places.reshape(-1, found.bits)
            network.answer = Answer(places, found.step, np.full(len(places), found.low, np.int64))
    return network


def _input(network: Network, op: Input) -> None:
    network.stored[op.name] = network.room(op.name, op.shape, Encoding.parse(op.encoding))


def _product(network: Network, op: Linear | Conv2d) -> None:
    """Nothing yet: a threshold, or the end of the network, computes it with what comes behind it."""
    readers = network.graph.readers(op.name)
    if len(readers) > 1 or any(not isinstance(one, Threshold | Affine) for one in readers):
        network.refuse(op, "keeps no accumulators, and more than one threshold or affine reads this one")
    network.products[op.name] = op


def _read(network: Network, op: Linear | Conv2d) -> tuple[Product, Stored, bool]:
    """The product, what it reads, and whether it depends on the place which of the taps count."""
    found = network.stored[op.source]
    if isinstance(op, Linear):
        return product_of(op, found.low, found.step, found.bits), found, False
    fill = code_of(found.encoding, op.pad_value)
    x = network.image(op, op.padding, fill or 0)
    return product_of(op, x.low, x.step, x.bits), x, fill is None and op.padding != NO_BORDER


def _threshold(network: Network, op: Threshold) -> None:
    if op.source not in network.products:
        network.refuse(op, "compares products alone")
    product_op = network.products[op.source]
    assert isinstance(product_op, Linear | Conv2d)
    product, x, varies = _read(network, product_op)
    y = network.room(op.name, network.values[op.name].shape, Encoding.parse(op.encoding))
    name = network.names.unique(f"layer_{op.source}")
    network.add(product_op, functions.thresholds(name, product, x, y, op, varies))
    network.stored[op.name] = y


def _affine(network: Network, op: Affine) -> None:
    if op is not network.graph.output or op.source not in network.products:
        network.refuse(op, "has real numbers at the end alone, behind a product")
    _sums(network, network.products[op.source], op)
    answer = network.answer
    assert answer is not None
    copies = len(answer.places) // len(op.scale)
    answer.scale, answer.shift = np.tile(op.scale, copies), np.tile(op.offset, copies)


def _sums(network: Network, op: Op, last: Op) -> None:
    """The accumulators themselves, as the answer."""
    assert isinstance(op, Linear | Conv2d)
    product, x, varies = _read(network, op)
    shape = network.values[op.name].shape
    made, places, constant = functions.sums(network.names.unique(f"layer_{op.name}"), product, x, shape, network.memory)
    network.add(op, made)
    height, width = (shape[0], shape[1]) if len(shape) == 3 else (1, 1)
    offset = np.empty((height, width, product.filters), np.int64)
    for i in range(height):
        for j in range(width):
            weights = product.weights
            if varies:
                rows, columns = window(op, x.shape, i, j)
                weights = weights[:, rows][:, :, columns]
            inside = weights.sum(axis=(1, 2, 3))
            offset[i, j] = [product.offset(k, int(one)) for k, one in enumerate(inside)]
    offset -= product.step * np.asarray(constant, np.int64)
    network.answer = Answer(places, product.step, offset.reshape(-1))


def _max_pool(network: Network, op: MaxPool2d) -> None:
    if op.source not in network.stored:
        network.refuse(op, "pools codes of one bit alone, and this one pools accumulators")
    x = network.image(op, NO_BORDER, 0)
    y = network.room(op.name, network.values[op.name].shape, x.encoding)
    network.add(op, functions.pools(network.names.unique(f"layer_{op.name}"), op, x, y))
    network.stored[op.name] = y


def _flatten(network: Network, op: Flatten) -> None:
    x = _codes(network, op, op.source)
    network.stored[op.name] = Stored(x.places.reshape(-1, x.bits), x.encoding)


def _take(network: Network, op: Take) -> None:
    x = _codes(network, op, op.source)
    if min(int(one.min()) for one in (op.rows, op.columns, op.channels)) < 0:
        network.refuse(op, "moves codes, and has no zeros to put between them")
    places = x.places if x.places.ndim == 4 else x.places[None, None]
    places = places[op.rows][:, op.columns][:, :, op.channels]
    network.stored[op.name] = Stored(places.reshape(*network.values[op.name].shape, x.bits), x.encoding)


def _concat(network: Network, op: Concat) -> None:
    parts = [_codes(network, op, source) for source in op.sources]
    network.stored[op.name] = Stored(np.concatenate([one.places for one in parts], axis=-2), parts[0].encoding)


def _codes(network: Network, op: Op, source: str) -> Stored:
    if source not in network.stored:
        network.refuse(op, f"moves codes alone, and {network.values[source].encoding} of {source} is none")
    return network.stored[source]


_RULES: dict[type[Op], Callable[[Network, Any], None]] = {
    Input: _input,
    Linear: _product,
    Conv2d: _product,
    Threshold: _threshold,
    Affine: _affine,
    MaxPool2d: _max_pool,
    Flatten: _flatten,
    Take: _take,
    Concat: _concat,
}


def refuses(op: type[Op], reads: Encoding | None, holds: Encoding | None) -> str | None:
    """Why an op of this class is refused wherever it stands."""
    if op not in _RULES:
        return f"has no gates for it: lower a net of products, thresholds and max pools, or {WAY}"
    real = next((str(one) for one in (reads, holds) if one is not None and one.is_float), None)
    if real is not None:
        return f"has no gates for {real}: its numbers are integers up to a last affine; {WAY}"
    if op is MaxPool2d and reads is not None and reads.count != 2:
        return f"pools codes of one bit alone; {WAY}"
    if op in (Flatten, Take, Concat) and reads is not None and reads.bits == 32:
        return f"moves codes alone; {WAY}"
    if op is Affine and reads is not None and reads.bits != 32:
        return f"has real numbers at the end alone, behind a product; {WAY}"
    return None
