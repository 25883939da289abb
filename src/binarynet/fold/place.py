"""Where a step stands in the network that is folded."""

from __future__ import annotations

from typing import NoReturn, Protocol


class Place(Protocol):
    """A step of the network: its name for ops and messages, and the error that its door raises."""

    @property
    def name(self) -> str: ...

    def refuse(self, what: str, way_out: str = "") -> NoReturn:
        """Raise the door's error: where, what, why, and the way out."""
