"""What a network on the GPU runs, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from binarynet.graph import Op


@dataclass(frozen=True)
class Step:
    """One launch or a few: reads values by name, makes one. ``text`` says what runs it."""

    op: Op
    name: str
    sources: tuple[str, ...]
    run: Callable[..., Tensor]
    text: str
