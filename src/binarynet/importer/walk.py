"""What the rules of the importer share: the values of the file, and what is pending at each name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from binarynet.fold import Folder, Pending, moves
from binarynet.importer.arithmetic import Arithmetic
from binarynet.importer.model import Array, Constant, Model, Node
from binarynet.importer.run import Values


@dataclass
class Walk:
    """``last``: names whose channels stand last, behind a Transpose."""

    model: Model
    folder: Folder
    arithmetic: Arithmetic
    values: Values
    pendings: dict[str, Pending] = field(default_factory=dict)
    readers: Counter[str] = field(default_factory=Counter)
    last: set[str] = field(default_factory=set)

    def moving(self, node: Node) -> list[str]:
        """The inputs of a node that depend on the image."""
        return [name for name in node.inputs if name in self.pendings]

    def given(self, node: Node) -> list[Array | None]:
        """The constants among the inputs of a node; None for the others."""
        return [self.values.constants[name].value if name in self.values.constants else None for name in node.inputs]

    def weight(self, node: Node, place: int) -> Constant:
        name = node.inputs[place] if len(node.inputs) > place else ""
        if name not in self.values.constants:
            node.refuse("multiplies two computed values.")
        return self.values.constants[name]

    def pending(self, name: str) -> Pending:
        """What is pending at a name, with all numbers in place."""
        found = self.pendings[name]
        if found.moved is not None:
            maker = next(node for node in self.model.nodes if name in node.outputs)
            found = self.pendings[name] = replace(moves.settle(self.folder, maker, found), step=found.step)
        return found

    def carried(self, name: str) -> Pending:
        """The same for a node that only moves numbers."""
        return self.pendings[name]

    def channels(self, node: Node) -> int:
        return self.folder.value(self.pending(self.moving(node)[0])).channels

    def is_last(self, name: str) -> bool:
        return name in self.last

    def one_image(self, name: str) -> tuple[int, ...]:
        """The shape of one image of a value, channels first."""
        shape = self.values.shape(name)[1:]
        return (shape[-1], *shape[:-1]) if self.is_last(name) else shape

    def alone(self, name: str) -> bool:
        """Whether one node alone reads a value."""
        return self.readers[name] == 1

    def reach(self, node: Node) -> tuple[float, float]:
        """Between which numbers a node's input must lie."""
        x = self.pending(self.moving(node)[0])
        value = self.folder.value(x)
        bound = float(value.bound) or 1e30
        with np.errstate(all="ignore"):
            ends = x.evaluate(np.array([[-bound], [bound]], np.float32).repeat(value.channels, axis=1))
        return float(ends.min()), float(ends.max())
