"""One recorded operation of torch, with all of its arguments."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from binarynet.errors import LoweringError
from binarynet.fold import Folder, Pending, moves


@dataclass(frozen=True)
class Ref:
    """The result of an earlier step: the ``part``-th, of those that have several."""

    step: int
    part: int = 0


@dataclass
class Walk:
    """What all steps of a recording share while it is folded.

    ``units``: of memory that a quantizer of weights has filled, what an integer is worth; ``readers``: how many steps
    read the result of one.
    """

    steps: list[Step] = field(default_factory=list)
    pendings: list[Pending | None] = field(default_factory=list)
    units: dict[Any, Tensor] = field(default_factory=dict)
    readers: Counter[int] = field(default_factory=Counter)
    folder: Folder | None = None

    def settled(self, number: int) -> Pending:
        """What is pending at a step, with all numbers in place."""
        found = self.pendings[number]
        assert found is not None
        if found.moved is not None:
            assert self.folder is not None
            found = self.pendings[number] = replace(moves.settle(self.folder, self.steps[number], found), step=number)
        return found


@dataclass(eq=False)
class Step:
    """``op`` is the name of an ATen operator without its overload, such as "add"; of an in-place one, that of the
    function. ``arguments`` are all of its arguments by name: a `Ref`, or a constant. ``value`` is what it made; of an
    operator that makes a list, the ``part``-th of it.

    A rule asks for the arguments that it understands; `unread` then names those that it has not asked for and that
    are not at their default, so that none is dropped in silence.
    """

    name: str
    op: str
    layer: nn.Module | None
    arguments: dict[str, Any]
    defaults: dict[str, Any]
    value: Any
    part: int = 0
    asked: set[str] = field(default_factory=set)
    walk: Walk = field(default_factory=lambda: Walk())

    def refuse(self, what: str, way_out: str = "") -> NoReturn:
        """Raise the LoweringError of this step: where, what, why, and the way out, which a layer may know better."""
        way_out = getattr(self.layer, "way_out", None) or way_out
        raise LoweringError(f"{self.name} ({self.described}): {what} {way_out}".rstrip())

    @property
    def described(self) -> str:
        """The layer with its sizes, or the operator."""
        if self.layer is None or self.name.rpartition(".")[2].startswith(self.op):
            return self.op
        sizes = [getattr(self.layer, a, None) for a in ("in_features", "out_features", "in_channels", "out_channels")]
        shown = " → ".join(str(size) for size in sizes if size is not None)
        return type(self.layer).__name__ + (f", {shown}" if shown else "")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image of the result."""
        return tuple(self.value.shape[1:])

    def get(self, name: str) -> Any:
        """An argument, whatever it is."""
        self.asked.add(name)
        return self.arguments.get(name, self.defaults.get(name))

    def plain(self, name: str) -> Any:
        """An argument that is no tensor which depends on the image."""
        value = self.get(name)
        if isinstance(value, Ref):
            self.refuse(f"its {name!r} is computed from the image; it must be a constant.")
        return value

    def source(self, name: str = "self") -> Ref:
        """An argument that depends on the image."""
        value = self.get(name)
        if not isinstance(value, Ref):
            self.refuse(f"its {name!r} is a constant, and another argument depends on the image.")
        return value

    def pending(self, name: str = "self") -> Pending:
        """What is pending at an argument that depends on the image, with all numbers in place."""
        return self.walk.settled(self._whole(self.source(name)))

    def moving(self, name: str = "self") -> Pending:
        """The same for a step that only moves numbers."""
        found = self.walk.pendings[self._whole(self.source(name))]
        assert found is not None
        return found

    def several(self, name: str = "tensors", settled: bool = True) -> list[Pending]:
        """What is pending at a list of arguments, all of which depend on the image; as `pending`, or as `moving`."""
        given = self.get(name)
        if not all(isinstance(one, Ref) for one in given):
            self.refuse("joins the image with a constant.", "Add the constant behind, or pad with 0.")
        numbers = [self._whole(one) for one in given]
        found = [self.walk.settled(one) if settled else self.walk.pendings[one] for one in numbers]
        return [one for one in found if one is not None]

    def alone(self, name: str = "self") -> bool:
        """Whether nothing else reads what this step reads."""
        return self.walk.readers[self.source(name).step] == 1

    def before(self, name: str = "self") -> Tensor:
        """The tensor that an argument was while recording, (n, channels, …)."""
        made: Tensor = self.walk.steps[self._whole(self.source(name))].value
        return made

    def _whole(self, ref: Ref) -> int:
        if ref.part:
            self.refuse(f"reads a second result of {self.walk.steps[ref.step].name!r}.")
        return ref.step

    def constant(self, name: str) -> NDArray[Any] | None:
        """A constant tensor as float32, or None."""
        value = self.plain(name)
        return None if value is None else array(value)

    def unread(self) -> list[str]:
        """Arguments that no rule has asked for and that say something."""
        return [
            f"{name}={_shown(value)}"
            for name, value in self.arguments.items()
            if name not in self.asked and not _same(value, self.defaults.get(name))
        ]


def array(value: Any) -> NDArray[np.float32]:
    """A tensor or a number as float32."""
    if isinstance(value, Tensor):
        return np.ascontiguousarray(value.detach().float().cpu().numpy())
    return np.asarray(value, np.float32)


def _same(value: Any, default: Any) -> bool:
    return not isinstance(value, Tensor | Ref) and (value is None or value == default or value == [] or value == ())


def _shown(value: Any) -> str:
    return f"a tensor of {tuple(value.shape)}" if isinstance(value, Tensor) else str(value)


def storage(tensor: Tensor) -> Any:
    """Which memory a tensor lies in."""
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage()._cdata
