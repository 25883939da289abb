"""What a graph out of a file may ask of the machine that runs it: a budget, checked before any work is done.

A few hundred bytes can describe an image of two billion numbers. Whoever loads a file decides what is too much; what
`Limits` has by default lets ResNet-101 at 224 × 224 pass and refuses what would keep a server busy for minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import prod

from binarynet import environment
from binarynet.errors import GraphError
from binarynet.graph.encoding import Encoding
from binarynet.graph.ir import Conv2d, Graph, Linear, MaxPool2d, Op, SumPool2d, Threshold, Value

VARIABLE = "BINARYNET_LIMITS"


@dataclass(frozen=True)
class Limits:
    """The most that a file may ask for.

    Args:
        ops: how many ops it may have.
        values: numbers that all ops together may make of one image.
        macs: products, additions under a window and comparisons with a threshold that one image may take.
        memory: bytes of the file; and of the weights as numbers together with all values of one image, four bytes
            each, which is what the oracle holds. Engines need less.
    """

    ops: int = 4096
    values: int = 2**27
    macs: int = 2**33
    memory: int = 2**30

    @classmethod
    def of_environment(cls) -> Limits:
        """The default, or what BINARYNET_LIMITS says instead: ``macs=1e12,memory=8e9``.

        Raises:
            GraphError: the variable names no limit, or its value is no number.
        """
        text = environment.read(VARIABLE)
        known = [entry.name for entry in fields(cls)]
        found = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, number = part.partition("=")
            try:
                found[name.strip()] = int(float(number))
            except (ValueError, OverflowError):
                raise GraphError(f"{VARIABLE}={text}: {part!r} is not NAME=NUMBER, as in macs=1e12", "limits") from None
            if name.strip() not in known:
                raise GraphError(
                    f"{VARIABLE}={text}: no limit is called {name.strip()!r}; there are {', '.join(known)}", "limits"
                )
        return cls(**found)

    def check_ops(self, count: int) -> None:
        """Raises GraphError where a graph has more ops."""
        if count > self.ops:
            raise _past("the graph", {"ops": count}, self)

    def check(self, graph: Graph, values: Mapping[str, Value]) -> None:
        """Add up what a verified graph asks for, from the types of its values alone.

        Raises:
            GraphError: it is more than this; the text names the op with which it becomes too much, and the way out.
        """
        self.check_ops(len(graph.ops))
        asked = {"values": 0, "macs": 0, "memory": 0}
        where = ""
        for op in graph.ops:
            made = prod(values[op.name].shape)
            asked["values"] += made
            asked["macs"] += made * _each(op)
            asked["memory"] += 4 * (made + _padded(op, values)) + _weights(op)
            if not where and any(count > getattr(self, name) for name, count in asked.items()):
                where = f"{op.name} ({type(op).__name__})"
        if where:
            raise _past(where, asked, self)


_UNITS = {"ops": "ops", "values": "numbers", "macs": "products and comparisons", "memory": "bytes"}


def _past(where: str, asked: Mapping[str, int], limits: Limits) -> GraphError:
    past = {name: count for name, count in asked.items() if count > getattr(limits, name)}
    what = " and ".join(f"{count:,} {_UNITS[name]} of {getattr(limits, name):,}" for name, count in past.items())
    raised = [f"{name}={count}" for name, count in past.items()]
    return GraphError(
        f"{where}: here the model asks for more than it may; in all, for one image, {what}. If you trust the file, "
        f"load it with limits=Limits({', '.join(raised)}), or set {VARIABLE}={','.join(raised)}",
        "limits",
    )


def _each(op: Op) -> int:
    """What one number of an op takes."""
    if isinstance(op, Linear | Conv2d):
        return prod(op.weight_shape[1:])
    if isinstance(op, MaxPool2d | SumPool2d):
        return prod(op.kernel)
    return Encoding.parse(op.encoding).count - 1 if isinstance(op, Threshold) else 1


def _padded(op: Op, values: Mapping[str, Value]) -> int:
    """Numbers of the image with what is put around it."""
    if not isinstance(op, Conv2d | MaxPool2d | SumPool2d) or not any(side for pair in op.padding for side in pair):
        return 0
    height, width, channels = values[op.source].shape
    return (height + sum(op.padding[0])) * (width + sum(op.padding[1])) * channels


def _weights(op: Op) -> int:
    if not isinstance(op, Linear | Conv2d):
        return 0
    return prod(op.weight_shape) * (4 if op.weight_encoding == "f32" else 1)
