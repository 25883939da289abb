"""The proof at the end of every fold: the graph is run beside what the network itself computed, step by step.

Each op is run by the oracle on the values that the network had before it, so that one step's rounding is never blamed
on the next. Then

* whole numbers and codes are equal, ``==``, wherever the network computes them exactly. Where it does not (weights
  α·(±1) are summed up in float32), its numbers may be off by 2^-20 of the largest possible sum, and a code may differ
  only where that decides it;
* reals differ by at most 2^-16 of the sum of the magnitudes that they are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from binarynet.fold.folder import F32, I32, Folder
from binarynet.fold.link import Array
from binarynet.fold.pending import Pending
from binarynet.graph import Encoding, Graph, Op, interpret
from binarynet.graph.interpret import decode, step
from binarynet.graph.ir import Affine, Apply, Conv2d, Input, Linear, MaxPool2d, Mul, PRelu, Threshold
from binarynet.graph.passes import PASSES

REAL = 2.0**-16
_ROWS = 2048  # of pixels, at which links are compared


@dataclass(frozen=True)
class Proof:
    """What was compared: images, steps of the network, numbers; and how many codes were decided by its rounding."""

    images: int
    steps: int
    numbers: int
    rounded: int

    def __str__(self) -> str:
        line = f"proved on {self.images} images: {self.steps} steps, {self.numbers:,} numbers equal"
        return line + (f", {self.rounded} codes decided by float32 rounding" if self.rounded else "")


Refuse = Callable[[int, str], None]  # a recorded step, and what is wrong with it


def prove(
    folder: Folder, codes: Array, pendings: Sequence[Pending | None], recorded: Sequence[Array | None], refuse: Refuse
) -> Proof:
    """Hold the folder's ops against ``recorded``, the network's own values, channels first; ``codes`` are the images
    as the graph takes them. ``refuse`` is called with the first step where the two part, and must raise."""
    check = _Check(folder, recorded, refuse)
    at: dict[str, list[tuple[int, Pending]]] = {}
    for number, pending in enumerate(pendings):
        if pending is not None and recorded[number] is not None and pending.moved is None:
            at.setdefault(pending.name, []).append((number, pending))
    for name, (original, link) in folder.copies.items():
        same = [(n, replace(one, name=name, links=(link, *one.links))) for n, one in at.get(original, ())]
        at.setdefault(name, []).extend(same)
    for op in folder.ops:
        check.run(op, codes)
        if op.name in folder.steps:
            check.settle(
                op.name, Pending(op.name, order=_order(pendings, folder.steps[op.name])), folder.steps[op.name]
            )
        for number, pending in sorted(at.get(op.name, ()), key=lambda one: len(one[1].links)):
            check.settle(op.name, pending, number)
    return Proof(len(codes), sum(len(one) for one in at.values()), check.numbers, check.rounded)


def _order(pendings: Sequence[Pending | None], number: int) -> Any:
    found = pendings[number]
    return None if found is None else found.order


class _Check:
    def __init__(self, folder: Folder, recorded: Sequence[Array | None], refuse: Refuse) -> None:
        self.folder, self.recorded, self.refuse = folder, recorded, refuse
        self.values: dict[str, Array] = {}
        self.noise: dict[str, Array] = {}  # by how much each real may differ
        self.numbers = self.rounded = 0

    def run(self, op: Op, codes: Array) -> None:
        if isinstance(op, Input):
            self.values[op.name] = decode(codes, Encoding.parse(op.encoding))
            return
        inputs = [self.values[name] for name in op.sources]
        self.values[op.name] = step(op, *inputs)
        if self.folder.types[op.name].encoding == F32:
            before = [
                np.broadcast_to(self._noise(name), self.values[name].shape).astype(np.float32) for name in op.sources
            ]
            with np.errstate(all="ignore"):
                noise = self._of_reals(op, inputs, before)
            self.noise[op.name] = np.where(np.isfinite(noise), noise, 0)  # what no bound is known of must be equal

    def _of_reals(self, op: Op, inputs: list[Array], before: list[Array]) -> Array:
        """By how much an op's reals may differ: by its own rounding, and by what its inputs differ ``before`` it."""
        sizes = [np.abs(one) for one in inputs]
        if isinstance(op, Apply) and op.function in ("sqrt", "reciprocal"):  # as steep as can be, and told relatively
            ends = [step(op, np.maximum(sizes[0] + side, 0)) for side in (-before[0], 0 * before[0], before[0])]
            spread = np.max(ends, axis=0) - np.min(ends, axis=0)
            return REAL * np.abs(self.values[op.name]) + np.where(sizes[0] > before[0], spread, 0)
        if isinstance(op, Apply):  # none is steeper than erf, at 0; near 0 all are told to a few units of 1
            return REAL * (1 + np.abs(self.values[op.name])) + 1.13 * before[0]
        if isinstance(op, Mul):
            larger = [size.astype(np.float32) + noise for size, noise in zip(sizes, before, strict=True)]
            exact = step(op, *sizes)
            return REAL * exact + step(op, *larger) - exact
        own = REAL * step(_magnitudes(op), *sizes) + REAL * self.folder.offsets.get(op.name, np.zeros(()))
        found: Array = own + step(_magnitudes(op, offset=False), *before)
        return found

    def settle(self, name: str, pending: Pending, number: int) -> None:
        """Compare a recorded step with what its pending value says, and go on with the network's own numbers."""
        recorded, value = self.recorded[number], self.folder.types[name]
        assert recorded is not None
        own = _as_graph(recorded, value.shape, pending)
        flattened = any(link.affine is not None and len(link.affine[0]) != value.channels for link in pending.links)
        if own is None or flattened:
            return  # a view whose pixels lie elsewhere: the op behind it is compared
        mine = self.values[name]
        self.numbers += own.size
        if pending.links:
            self._links(name, pending, own, mine, number)
        elif value.encoding == F32:
            with np.errstate(invalid="ignore"):
                off = np.abs(own - mine) > self.noise.get(name, 0) + REAL * np.abs(own)
            finite = np.isfinite(own) & np.isfinite(mine)
            off = np.where(finite, off, (own != mine) & ~(np.isnan(own) & np.isnan(mine)))
            if off.any():
                self._part(number, own, mine, off)
            self.values[name], self.noise[name] = own.astype(np.float32), np.zeros(())
        elif value.encoding == I32 and self.folder.slack.get(name, 0.0):
            off = np.abs(own - mine) > self.folder.slack[name]
            if off.any():
                self._part(number, own, mine, off)
        elif not np.array_equal(own, mine):
            self._codes(name, own, mine, number)

    def _links(self, name: str, pending: Pending, own: Array, mine: Array, number: int) -> None:
        channels = mine.shape[-1]
        rows = np.ascontiguousarray(mine.reshape(-1, channels))
        theirs = own.reshape(-1, channels)
        shown = np.unique(np.linspace(0, len(rows) - 1, _ROWS).astype(np.int64))
        rows, theirs = rows[shown], theirs[shown]
        slack = self._room(name, shown)
        sides = (-slack, 0 * slack, slack) if np.any(slack) else (0 * slack,)
        ends = [pending.evaluate((rows + side).astype(np.float32)) for side in sides]
        room = REAL * pending.magnitude(rows)
        low, high = np.min(ends, axis=0) - room, np.max(ends, axis=0) + room
        off = ~((theirs >= low) & (theirs <= high)) & ~(np.isnan(theirs) & np.isnan(ends[0]))
        if off.any():
            if isinstance(self._op(name), Threshold):
                self._codes(name, _back(pending, own, mine), mine, number)
                return
            self._part(number, theirs, ends[len(ends) // 2], off)

    def _codes(self, name: str, own: Array, mine: Array, number: int) -> None:
        """Codes that differ: only where the network's own rounding before the quantizer decides."""
        off = own != mine
        if name not in self.folder.decided:
            self._part(number, own, mine, off)
        before, quantizer = self.folder.decided[name]
        source, channels = self.values[before.name], mine.shape[-1]
        rows = np.flatnonzero(off.reshape(-1, channels).any(axis=1))
        x = source.reshape(-1, channels)[rows].astype(np.float32)
        room = self._room(before.name, rows)
        sides = [quantizer.numbers(before.evaluate((x + side).astype(np.float32))) for side in (-room, room)]
        low, high = np.minimum(*sides), np.maximum(*sides)
        told = own.reshape(-1, channels)[rows]
        if np.any((told < low) | (told > high)):
            self._part(number, own, mine, off)
        self.rounded += int(off.sum())
        self.values[name] = own.astype(mine.dtype)

    def _room(self, name: str, rows: Array) -> Array:
        noise = self._noise(name)
        return noise.reshape(-1, noise.shape[-1])[rows] if noise.ndim else noise

    def _noise(self, name: str) -> Array:
        """By how much a value may differ from the network's own: everywhere, or at each number."""
        found: Array = self.noise.get(name, np.asarray(self.folder.slack.get(name, 0.0), np.float32))
        return found

    def _op(self, name: str) -> Op:
        return next(op for op in self.folder.ops if op.name == name)

    def _part(self, number: int, own: Array, mine: Array, off: Array) -> None:
        place = tuple(np.argwhere(off)[0])
        self.refuse(
            number,
            f"the graph answers {float(mine[place]):.9g} where the network itself computes {float(own[place]):.9g} "
            f"({int(off.sum())} of {off.size} numbers differ): the two part here.",
        )


def _back(pending: Pending, own: Array, mine: Array) -> Array:
    """The network's values of codes as whole numbers: its values over what 1 is worth."""
    scale, offset = pending.composed(mine.shape[-1])
    return np.rint((own - offset) / scale).astype(mine.dtype)


def _as_graph(recorded: Array, shape: tuple[int, ...], pending: Pending) -> Array | None:
    """(n, channels, height, width) → (n, *shape) as the graph has it, or None where that is no image of it."""
    n, channels = len(recorded), shape[-1]
    if recorded.size != n * int(np.prod(shape)):
        return None
    if len(shape) == 1:
        flat = recorded.reshape(n, channels)
        return flat if pending.order is None else flat[:, pending.order]
    if recorded.ndim < 3 and shape[:2] != (1, 1):
        return None
    return np.moveaxis(recorded.reshape(n, channels, *shape[:2]), 1, -1)


def _magnitudes(op: Op, offset: bool = True) -> Op:
    """The op that adds up magnitudes where ``op`` adds up numbers; without ``offset``, what it makes of an error."""
    if isinstance(op, Linear | Conv2d):
        whole = np.abs(op.weight.astype(np.float32))
        if isinstance(op, Conv2d):
            op = replace(op, pad_value=abs(op.pad_value) * offset)
        return replace(op, weight=whole, weight_encoding="f32")
    if isinstance(op, Affine):
        return replace(op, scale=np.abs(op.scale), offset=np.abs(op.offset) * offset)
    if isinstance(op, PRelu):
        return replace(op, slope=np.abs(op.slope))
    if isinstance(op, MaxPool2d):  # the smallest of two that differ by e differs by e
        return replace(op, minimum=np.zeros_like(op.minimum))
    return op


def passed(graph: Graph, codes: Array) -> Graph:
    """The graph behind all passes, each of which changes what is computed where, never the answer."""
    for one in PASSES:
        before, graph = graph, one(graph)
        if graph is not before:
            alike = np.array_equal(interpret(before, codes), interpret(graph, codes), equal_nan=True)
            assert alike, f"{one.__name__} changed the answer"
    return graph
