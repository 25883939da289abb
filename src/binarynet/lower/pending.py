"""Values on their way: what stands between two ops of the graph while a model is folded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from binarynet.errors import GraphError, LoweringError
from binarynet.graph import Encoding, Op, Value, verify_op
from binarynet.graph.ir import Affine, Input, PRelu, Relu, Threshold
from binarynet.lower.chain import Chain, unit
from binarynet.lower.thresholds import read
from binarynet.lower.trace import Step
from binarynet.nn import Quantizer


@dataclass(frozen=True)
class Pending:
    """A graph value, the float layers applied to it since, and for a flattened image the place of each feature.

    ``order[i]`` is where torch has the graph's feature i: torch flattens (channels, height, width), the graph
    (height, width, channels).
    """

    name: str
    chain: Chain = field(default_factory=Chain)
    order: NDArray[np.int64] | None = None


class Folder:
    """The ops made so far, and how a pending value becomes bits or reals.

    ``allow_real``: whether a linear or convolutional layer may read real inputs or hold real weights.
    """

    def __init__(self, shape: tuple[int, ...], allow_real: bool) -> None:
        self.shape = shape
        self.allow_real = allow_real
        self.ops: list[Op] = []
        self.types: dict[str, Value] = {}

    def emit(self, step: Step, op: Op) -> str:
        """Append an op. The types are checked at once, so that a complaint points at the layer that caused it."""
        try:
            self.types[op.name] = verify_op(op, self.types)
        except GraphError as error:
            refuse(step, str(error))
        self.ops.append(op)
        return op.name

    def value(self, step: Step, pending: Pending) -> Value:
        """The type of the graph value under a pending one. An input that nothing has claimed yet is real."""
        if pending.name == "input" and not self.ops:
            self.open_input(step, "f32")
        return self.types[pending.name]

    def open_input(self, step: Step, encoding: str) -> None:
        self.emit(step, Input("input", (), _image(self.shape), encoding))

    def bits(self, step: Step, pending: Pending, quantizer: Quantizer, name: str) -> Pending:
        """Norm + quantizer → Threshold."""
        value = self.value(step, pending)
        if not pending.chain and value.encoding == Encoding("b", 1) and quantizer.encoding == "b1":
            return pending  # ±1 already
        last = pending.chain.links[-1] if pending.chain else None
        if last is not None and last.kind == "ReLU" and quantizer.encoding == "b1":
            refuse(
                step,
                f"ReLU {last.name!r} stands between the norm and the sign, which makes the sign +1 everywhere. "
                "A threshold needs the sign right after the norm.",
                "Move the quantizer before the ReLU, or drop the ReLU.",
            )
        if any(link.kind == "PReLU" for link in pending.chain.links):  # may bend both ways: no single switch
            pending = self.real(step, pending)
            value = self.types[pending.name]
        if value.encoding not in (Encoding("i", 32), Encoding("f", 32)):
            pending = self.real(step, pending)
            value = self.types[pending.name]
        thresholds, rising = read(pending.chain, quantizer, value)
        made = self.emit(step, Threshold(name, (pending.name,), thresholds, rising, quantizer.encoding))
        _, worth = quantizer.integers(torch.zeros(1))
        units = () if float(worth) == 1 else (unit(name, float(worth), value.channels),)
        return Pending(made, Chain(units), pending.order)

    def real(self, step: Step, pending: Pending) -> Pending:
        """The chain → Affine, Relu and PRelu ops; afterwards the value is f32 and the chain is empty."""
        value = self.value(step, pending)
        name, affine = pending.name, Chain()
        for link in (*pending.chain.links, None):
            if link is not None and link.scaling is not None:
                affine = affine.then(link)
                continue
            if affine or (link is None and not self.types[name].encoding.is_float):
                scale, offset = affine.composed(value.channels)
                label = affine.links[-1].name if affine else f"{name}.real"
                name = self.emit(step, Affine(self.free(label), (name,), scale, offset))
                affine = Chain()
            if link is None:
                break
            if link.kind == "ReLU":
                name = self.emit(step, Relu(self.free(link.name), (name,)))
            elif link.slope is not None:
                name = self.emit(step, PRelu(self.free(link.name), (name,), link.slope))
            else:
                assert link.borders is not None
                name = self._clipped(step, link.name, name, *link.borders, value.channels)
        return Pending(name, Chain(), pending.order)

    def _clipped(self, step: Step, label: str, source: str, low: float, high: float, channels: int) -> str:
        """clip(x, low, high) = high − relu(high − low − relu(x − low)), so that it needs no op of its own."""
        name = source
        for part, scale, offset in (("low", 1, -low), ("high", -1, high - low), ("", -1, high)):
            scales, offsets = np.full(channels, scale, np.float32), np.full(channels, offset, np.float32)
            name = self.emit(step, Affine(self.free(f"{label}.{part}".rstrip(".")), (name,), scales, offsets))
            if part:
                name = self.emit(step, Relu(self.free(f"{label}.{part}.relu"), (name,)))
        return name

    def free(self, name: str) -> str:
        while name in self.types:
            name += "'"
        return name


def refuse(step: Step, what: str, way_out: str = "") -> NoReturn:
    """Raise the LoweringError of a step: where, what, and the way out."""
    described = step.kind if step.module is None else _describe(step.module)
    raise LoweringError(f"{step.name} ({described}): {what} {way_out}".rstrip())


def _describe(module: nn.Module) -> str:
    sizes = [getattr(module, a, None) for a in ("in_features", "out_features", "in_channels", "out_channels")]
    shown = " → ".join(str(size) for size in sizes if size is not None)
    return type(module).__name__ + (f", {shown}" if shown else "")


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """torch's (channels, height, width), (channels, length) or (features,) → the graph's shape."""
    if len(shape) == 3:
        return (shape[1], shape[2], shape[0])
    return (1, shape[1], shape[0]) if len(shape) == 2 else shape
