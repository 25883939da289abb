"""The types of settings: which values they may have, and how `--set name=value` reads them.

A field of a recipe is an int, float, bool, str, a `Literal[...]`, or a tuple of fixed length of these. The types below
are numbers with a range, which `check` holds them to: `width: Count`, `dropout: tuple[Share, Share]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin


@dataclass(frozen=True)
class Range:
    """Which numbers a setting may be, in words and as a condition."""

    words: str
    holds: Callable[[float], bool]


Count = Annotated[int, Range("1 or more", lambda number: number >= 1)]
Natural = Annotated[int, Range("0 or more", lambda number: number >= 0)]
Positive = Annotated[float, Range("a number above 0", lambda number: 0 < number < math.inf)]
NotNegative = Annotated[float, Range("a number, 0 or more", lambda number: 0 <= number < math.inf)]
Share = Annotated[float, Range("a share, from 0 up to but not 1", lambda number: 0 <= number < 1)]


def check(name: str, value: Any, hint: Any) -> None:
    """`ValueError`, naming the setting and its range, for a number that the type does not allow.

    hint: the annotation, as `get_type_hints(..., include_extras=True)` gives it.
    """
    hints = get_args(hint) if get_origin(hint) is tuple else (hint,)
    values = value if get_origin(hint) is tuple else (value,)
    for one, number in zip(hints, values, strict=True):
        for part in getattr(one, "__metadata__", ()):
            if isinstance(part, Range) and not part.holds(number):
                raise ValueError(f"{name}={','.join(map(str, values))}: needs {part.words}")


def as_text(value: Any) -> str:
    """A setting as a command line has it: ``(0.1, 0.3)`` is ``0.1,0.3``, a text itself."""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def read(text: str, hint: Any) -> Any:
    """A text as int, float, bool, str, one of several literals, or a tuple (one value stands for all of them).

    `ValueError`, saying what is needed, for a text that is none.
    """
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if hint is bool:
        if text.lower() in ("true", "1", "yes", "on"):
            return True
        if text.lower() in ("false", "0", "no", "off"):
            return False
        raise ValueError("needs true or false")
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            raise ValueError(f"needs {'a whole number' if hint is int else 'a number'}") from None
    if hint is str:
        return text
    choices: Sequence[Any] = get_args(hint)
    if get_origin(hint) is tuple:
        parts = text.split(",")
        if len(parts) == 1:
            parts = parts * len(choices)
        if len(parts) != len(choices):
            raise ValueError(f"needs one value, or {len(choices)} separated by commas")
        return tuple(read(part, choice) for part, choice in zip(parts, choices, strict=True))
    if text not in choices:
        raise ValueError(f"needs one of {', '.join(map(str, choices))}")
    return text
