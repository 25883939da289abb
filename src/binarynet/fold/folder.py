"""The ops made so far, and what becomes of a pending value: codes behind a quantizer, reals, or a product's operand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from binarynet.errors import GraphError
from binarynet.fold.link import Array, Link, clip
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.fold.quantizer import Quantizer
from binarynet.graph import Encoding, Op, Value, thresholds, verify_op
from binarynet.graph.ir import (
    Affine,
    Apply,
    Concat,
    Flatten,
    Input,
    MaxPool2d,
    Padding,
    PRelu,
    Relu,
    Take,
    Threshold,
    Unflatten,
)

I32, F32 = Encoding("i", 32), Encoding("f", 32)


@dataclass
class Folder:
    """``allow_real``: whether products may read reals or hold real weights; ``ways`` are the ways out that a refusal
    names: of a real operand, and of real weights.

    ``decided[name]``: for each Threshold, what it replaced: the pending value before it and its quantizer.
    ``offsets[name]``: for each Affine, the magnitudes that its offset is the sum of; they may cancel.
    ``copies[name]``: of which Threshold this one is the same in other codes, and what makes those of it.
    ``slack[name]``: by how much an accumulator of the network itself may differ from the exact one, since the network
    computes it from numbers that are no integers.
    """

    allow_real: bool
    ways: tuple[str, str]
    ops: list[Op] = field(default_factory=list)
    types: dict[str, Value] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    decided: dict[str, tuple[Pending, Quantizer]] = field(default_factory=dict)
    offsets: dict[str, Array] = field(default_factory=dict)
    copies: dict[str, tuple[str, Link]] = field(default_factory=dict)
    slack: dict[str, float] = field(default_factory=dict)

    def emit(self, place: Place, op: Op) -> str:
        """Append an op. The types are checked at once, so that a complaint points at the layer that caused it."""
        try:
            self.types[op.name] = verify_op(op, self.types)
        except GraphError as error:
            place.refuse(str(error))
        self.ops.append(op)
        slack = max((self.slack.get(source, 0.0) for source in op.sources), default=0.0)
        if slack and isinstance(op, MaxPool2d | Take | Concat | Flatten | Unflatten):  # they change no number
            self.slack[op.name] = slack
        return op.name

    def free(self, name: str) -> str:
        """``name``, or a primed one where it is taken."""
        while name in self.types:
            name += "'"
        return name

    def value(self, x: Pending) -> Value:
        """The type of the graph value under a pending one."""
        return self.types[x.name]

    def reshape_input(self, shape: tuple[int, ...]) -> None:
        """The raw input simply is a vector. Nothing may have read it yet."""
        first = self.ops[0]
        assert isinstance(first, Input)
        self.ops[0] = replace(first, shape=shape)
        self.types[first.name] = verify_op(self.ops[0], {})

    def then(self, place: Place, x: Pending, link: Link) -> Pending:
        """One more link, for channels in the network's order. What a padding has put outside goes through it, too."""
        link = link if x.order is None else link.at(x.order)
        outside = x.outside
        if outside is not None:
            made = np.unique(link.run(np.full((1, self.value(x).channels), outside[1], np.float32)))
            if len(made) != 1:  # another number in each channel
                x, outside = self.inside(place, x), None
            else:
                outside = (outside[0], float(made[0]))
        return replace(x, links=(*x.links, link), outside=outside, step=None)

    def inside(self, place: Place, x: Pending) -> Pending:
        """The value together with what has been padded around it, for a step that reads both."""
        if x.outside is None:
            return x
        if x.outside[1] != 0:
            place.refuse(
                f"reads an image that is padded with {x.outside[1]:g}, which only a convolution does.",
                "Give the padding to the convolution (padding=…), or pad with 0.",
            )
        around, x = x.outside[0], self.with_zero(place, replace(x, outside=None))
        rows, columns = (
            [-1] * before + list(range(size)) + [-1] * behind
            for size, (before, behind) in zip(self.value(x).shape[:2], around, strict=True)
        )
        return self.take(place, x, rows, columns, range(self.value(x).channels))

    def take(self, place: Place, x: Pending, rows: Any, columns: Any, channels: Any) -> Pending:
        """A `Take`; the links go with their channels."""
        axes = tuple(np.asarray(one, np.int32) for one in (rows, columns, channels))
        name = self.emit(place, Take(self.free(place.name), (x.name,), *axes))
        chosen = np.maximum(axes[2], 0)
        return Pending(name, tuple(link.chosen(chosen, self.value(x).channels) for link in x.links))

    def with_zero(self, place: Place, x: Pending) -> Pending:
        """The value in an encoding that has a 0, with links that leave it 0."""
        value = self.value(x)
        if np.any(x.evaluate(np.zeros((1, value.channels), np.float32))):
            return self.real(place, x)
        if value.encoding.kind != "b":
            return x
        if value.encoding.bits > 7:
            return self.real(place, x)
        made = self.real(place, x.bare(x.name))
        high = value.encoding.high
        ones = Quantizer(lambda y: np.clip(np.rint(y), -high, high), -high, high, 1, np.ones((), np.float32))
        return replace(self.codes(place, made, ones, self.free(f"{place.name}.codes")), links=x.links)

    def codes(self, place: Place, x: Pending, quantizer: Quantizer, name: str) -> Pending:
        """Links + quantizer → Threshold. ``quantizer`` takes channels in the network's order."""
        made = quantizer.encoding
        if made is None:
            place.refuse(f"makes whole numbers from {quantizer.low} to {quantizer.high}, which no 8 bits hold.")
        channels = self.value(x).channels
        asked = Link(place.name, "quantizer", quantizer.numbers)
        asked = asked if x.order is None else asked.at(x.order)
        unit = np.broadcast_to(quantizer.unit, (channels,)).astype(np.float32)
        unit = unit if x.order is None else unit[x.order]
        quantizer = replace(quantizer, numbers=asked.run, unit=unit)
        worth = (
            ()
            if (unit == 1).all()
            else (Link(f"{name}.unit", "unit", lambda y: y * unit, (unit.astype(np.float64), np.zeros(channels))),)
        )
        outside = self._outside(place, x, quantizer)
        if self._settled(x, quantizer):
            return replace(x, outside=outside)
        last = x.links[-1] if x.links else None
        if last is not None and last.kind == "ReLU" and str(made) == "b1":
            place.refuse(
                f"ReLU {last.name!r} stands between the norm and the sign, which makes the sign +1 everywhere. "
                "A threshold needs the sign right after the norm.",
                "Move the quantizer before the ReLU, or drop the ReLU.",
            )
        value = self.value(x)
        bends = any(not link.monotone for link in x.links)  # may turn back: no single switch
        if bends or value.encoding not in (I32, F32):  # codes: as numbers in float32, which holds each of them
            x = replace(self.real(place, replace(x, outside=None)), outside=outside)
            value = self.value(x)
        rising = ~x.falling(float(value.bound), channels)

        def quantized(numbers: Array) -> Array:
            return quantizer.numbers(x.evaluate(numbers))

        with np.errstate(all="ignore"):
            table = thresholds.read(quantized, rising, value, made)
            wrong = thresholds.differs(quantized, table, rising, value, made)
        if wrong is not None:
            place.refuse(
                f"answers {wrong[1]:g} where one switch per level says {wrong[2]:g} (at {wrong[0]:g}): "
                "what stands before it, or it itself, rises and falls.",
                "A threshold needs layers that only rise or only fall.",
            )
        self.decided[name] = (x, quantizer)
        self.emit(place, Threshold(name, (x.name,), table, rising, str(made)))
        return replace(x, name=name, links=worth, outside=outside, step=None)

    def _outside(self, place: Place, x: Pending, quantizer: Quantizer) -> tuple[Padding, float] | None:
        """A padding behind the quantizer: what the quantizer makes of its number."""
        if x.outside is None:
            return None
        shown = np.full((1, self.value(x).channels), x.outside[1], np.float32)
        made = np.unique(quantizer.numbers(shown).astype(np.float32) * quantizer.unit)
        if len(made) != 1:
            place.refuse(
                "quantizes the padding around the image to another number in each channel.",
                "Pad in the convolution that reads it.",
            )
        return (x.outside[0], float(made[0]))

    def _settled(self, x: Pending, quantizer: Quantizer) -> bool:
        """Whether the quantizer leaves every value of ``x`` as it is."""
        value = self.value(x)
        if value.encoding in (I32, F32):
            return False
        y = x.evaluate(table(value))
        return bool(np.array_equal(quantizer.numbers(y).astype(np.float32) * quantizer.unit, y))

    def real(self, place: Place, x: Pending) -> Pending:
        """The links → Affine, Relu, PRelu and Apply ops; afterwards the value is f32 and nothing is pending."""
        x = self.inside(place, x)
        channels, name, lines = self.value(x).channels, x.name, x.bare(x.name)
        parts = (part for link in x.links for part in _parts(link, channels))
        for link in (*parts, None):
            if link is not None and link.affine is not None:
                lines = replace(lines, links=(*lines.links, link))
                continue
            if lines.links or not self.types[name].encoding.is_float:
                scale, offset = (one.astype(np.float32) for one in lines.composed(channels))
                label = lines.links[-1].name if lines.links else f"{name}.real"
                if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
                    place.refuse(f"{label!r} has a scale or an offset that no float32 holds.")
                name = self.emit(place, Affine(self.free(label), (name,), scale, offset))
                self.offsets[name] = lines.magnitude(np.zeros((1, channels)))[0]
            if link is None:
                break
            name = self._bent(place, link, name)
            lines = x.bare(name)
        if x.step is not None:
            self.steps.setdefault(name, x.step)
        return replace(x, name=name, links=())

    def _bent(self, place: Place, link: Link, name: str) -> str:
        """The op of a link that is no line."""
        made = self.free(link.name)
        if link.slope is not None:
            return self.emit(place, PRelu(made, (name,), link.slope.astype(np.float32)))
        if link.borders == (0, np.inf):
            return self.emit(place, Relu(made, (name,)))
        if link.function is not None:
            return self.emit(place, Apply(made, (name,), link.function))
        place.refuse(
            f"the result of {link.name!r} ({link.kind}) is read as a real number; only before a quantizer has it "
            "a counterpart.",
            "Put a quantizer right behind it, or use ReLU, PReLU, Hardtanh, Sigmoid, Tanh or SiLU.",
        )


def _parts(link: Link, channels: int) -> tuple[Link, ...]:
    """The links of which each has an op, or is a line."""
    if link.steps:
        return tuple(part for step in link.steps for part in _parts(step, channels))
    if link.borders is None or link.borders == (0, np.inf):
        return (link,)
    if link.borders == (-np.inf, np.inf):
        return ()
    return clip(link.name, *link.borders, channels)


def table(value: Value) -> Array:
    """(count, channels) float32: every number that codes of a value mean."""
    encoding = value.encoding
    numbers = encoding.low + encoding.step * np.arange(encoding.count, dtype=np.float32)
    return np.repeat(numbers[:, None], value.channels, axis=1)
