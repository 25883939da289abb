"""The types of settings: which values they may have, and how `--set name=value` reads them.

A field of a recipe is an int, float, bool, str, a `Literal[...]`, or a tuple of fixed length of these. The types below
are numbers with a range, which `check` holds them to: `width: Count`, `dropout: tuple[Share, Share]`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, Literal, get_args, get_origin


@dataclass(frozen=True)
class Range:
    """Which finite numbers a setting may be, in words and as bounds, named as JSON Schema names them."""

    words: str
    minimum: float | None = None
    exclusiveMinimum: float | None = None
    maximum: float | None = None
    exclusiveMaximum: float | None = None

    def holds(self, number: float) -> bool:
        """Whether the number is one of them."""
        return (
            math.isfinite(number)
            and (self.minimum is None or number >= self.minimum)
            and (self.exclusiveMinimum is None or number > self.exclusiveMinimum)
            and (self.maximum is None or number <= self.maximum)
            and (self.exclusiveMaximum is None or number < self.exclusiveMaximum)
        )

    def schema(self) -> dict[str, Any]:
        """The words and bounds, as JSON Schema has them."""
        bounds = {name: value for name, value in vars(self).items() if name != "words" and value is not None}
        return {"description": self.words, **bounds}


Count = Annotated[int, Range("1 or more", minimum=1)]
Natural = Annotated[int, Range("0 or more", minimum=0)]
Positive = Annotated[float, Range("a number above 0", exclusiveMinimum=0)]
NotNegative = Annotated[float, Range("a number, 0 or more", minimum=0)]
Share = Annotated[float, Range("a share, from 0 up to but not 1", minimum=0, exclusiveMaximum=1)]


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


def schema(hint: Any) -> dict[str, Any]:
    """The JSON Schema of a setting of that type, of its value in a config.json. `TypeError` for no setting's type."""
    if get_origin(hint) is Annotated:
        base, *parts = get_args(hint)
        ranges = [part.schema() for part in parts if isinstance(part, Range)]
        return {key: value for part in [schema(base), *ranges] for key, value in part.items()}
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is tuple:
        parts = [schema(part) for part in get_args(hint)]
        return {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
    if hint not in _JSON:
        raise TypeError(f"{hint} is no type of a setting")
    return {"type": _JSON[hint]}


_JSON = {bool: "boolean", int: "integer", float: "number", str: "string"}


def take(value: Any, hint: Any) -> Any:
    """A JSON value as its type. `ValueError`, saying what is needed, for one that is none; texts are `read`."""
    if isinstance(value, str):
        return read(value, hint)
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        values = list(value) if isinstance(value, list | tuple) else [value] * len(parts)
        if len(values) != len(parts):
            raise ValueError(f"needs {_needed(hint)}")
        return tuple(take(one, part) for one, part in zip(values, parts, strict=True))
    if type(value) is bool and hint is bool:
        return value
    if hint in (int, float) and type(value) is not bool and isinstance(value, Integral if hint is int else Real):
        return hint(value)
    raise ValueError(f"needs {_needed(hint)}")


def _needed(hint: Any) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    return words.get(hint) or f"one value, or {len(get_args(hint))} separated by commas"


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
        raise ValueError(f"needs {_needed(hint)}")
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            raise ValueError(f"needs {_needed(hint)}") from None
    if hint is str:
        return text
    choices: Sequence[Any] = get_args(hint)
    if get_origin(hint) is tuple:
        parts = text.split(",")
        if len(parts) == 1:
            parts = parts * len(choices)
        if len(parts) != len(choices):
            raise ValueError(f"needs {_needed(hint)}")
        return tuple(read(part, choice) for part, choice in zip(parts, choices, strict=True))
    if text not in choices:
        raise ValueError(f"needs {_needed(hint)}")
    return text
