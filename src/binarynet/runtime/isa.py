"""Which instruction sets there are, and which one is used.

The best that this CPU has is used, unless the environment variable ``BINARYNET_ISA`` or `use` names another one. A
session keeps the one it was made with.
"""

from __future__ import annotations

from types import TracebackType

from binarynet import _native
from binarynet.errors import RuntimeUnavailable, takes

__all__ = ["active", "available", "compiled", "use"]

_used: str | None = None


def compiled() -> dict[str, str]:
    """All in this build, name → title, best first, whether or not this CPU has them."""
    return dict(_native.compiled())


def available() -> tuple[str, ...]:
    """Those that this CPU has, best first; the last is ``portable``."""
    return tuple(_native.available())


def active() -> str:
    """What a new session will use.

    Raises:
        RuntimeUnavailable: ``BINARYNET_ISA`` names one that does not exist or that this CPU lacks.
    """
    try:
        return _native.active()
    except ValueError as error:
        raise RuntimeUnavailable(str(error)) from None


@takes(name=(str | None, "the name of an instruction set, or None"))
def use(name: str | None) -> Use:
    """Make an instruction set the active one of the whole process; None goes back to ``BINARYNET_ISA`` or the best.

    As a context manager, ``with isa.use("avx2"):``, it goes back to the one before at the end.

    Raises:
        RuntimeUnavailable: there is no such instruction set, or this CPU lacks it; the text lists what there is.
    """
    global _used
    before = _used
    try:
        _native.use(name or "")
    except ValueError as error:
        raise RuntimeUnavailable(str(error)) from None
    _used = name
    return Use(before)


class Use:
    """What `use` gives back: a context manager that restores the choice before it."""

    def __init__(self, before: str | None) -> None:
        self._before = before

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        use(self._before)
