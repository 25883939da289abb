"""The proof: does every engine answer what the oracle answers, bit for bit, on these images?

Only products with a real operand are sums of floats, whose last bits depend on the order of addition; a graph that has
one is compared by its classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import takes
from binarynet.graph import Graph, apart, verify
from binarynet.graph.ir import Conv2d, Linear
from binarynet.runtime import Session, isa
from binarynet.runtime.images import Layout

Array = NDArray[Any]


@dataclass(frozen=True)
class Agreement:
    """How many of ``images`` got the oracle's logits (``==``) or, as ``what`` says, its predictions."""

    engine: str
    what: str
    equal: int
    images: int

    @property
    def holds(self) -> bool:
        return self.equal == self.images

    def __str__(self) -> str:
        return f"{self.engine}: {self.equal}/{self.images} equal {self.what}"


@takes(graph=(Graph, "a Graph"))
def oracle_logits(graph: Graph, images: Array) -> Array:
    """The oracle's answers, (n, …); of several, all of them one behind the other."""
    return together(Session(graph, engine="oracle"), images)


def together(session: Session, images: Array, layout: Layout | None = None) -> Array:
    """All answers of a session, (n, …); several stand one behind the other, as the graph has them."""
    found = session.run(images, layout=layout)
    if not isinstance(found, dict):
        return found
    return np.concatenate([part.reshape(len(part), -1) for part in found.values()], axis=1)


def has_real_products(graph: Graph) -> bool:
    """Whether a Linear or Conv2d reads reals or holds real weights."""
    types = verify(graph)
    return any(
        isinstance(op, Linear | Conv2d) and (op.weight_encoding == "f32" or types[op.source].encoding.is_float)
        for op in graph.ops
    )


@takes(graph=(Graph, "a Graph"))
def with_native(graph: Graph, images: Array, expected: Array) -> Iterator[Agreement]:
    """One agreement for each instruction set of this CPU."""
    for name in isa.available():
        yield compared(f"native {name}", graph, together(Session(graph, isa=name), images), expected)


def compared(engine: str, graph: Graph, found: Array, expected: Array) -> Agreement:
    """The answers of an engine beside the oracle's, (n, …) both."""
    n = len(expected)
    if has_real_products(graph):
        answer, wanted = (next(iter(apart(graph.outputs, one).values())).reshape(n, -1) for one in (found, expected))
        return Agreement(engine, "predictions", int((answer.argmax(axis=1) == wanted.argmax(axis=1)).sum()), n)
    answer, wanted = found.reshape(n, -1), expected.reshape(n, -1)
    return Agreement(engine, "logits", int((answer == wanted).all(axis=1).sum()), n)


def with_torch(model: Any, images: Array, expected: Array, batch: int = 500) -> Agreement:
    """Whether a torch module predicts the oracle's classes."""
    import torch

    model.eval()
    with torch.no_grad():
        parts = [
            model(torch.tensor(images[start : start + batch])).argmax(1).numpy()
            for start in range(0, len(images), batch)
        ]
    classes = np.concatenate(parts) if parts else np.empty(0, np.int64)
    equal = classes == expected.reshape(len(images), -1).argmax(axis=1)
    return Agreement("torch", "predictions", int(equal.sum()), len(images))
