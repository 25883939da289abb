"""JSON as it is read by everyone alike; native/library/json.cpp refuses the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain
from math import isinf
from typing import Any

from binarynet.errors import FormatError

_DEEPEST = 64  # objects and lists inside each other


def parsed(text: str | bytes, what: str, kind: str = "json") -> Any:
    """JSON as it is read by everyone alike: a key stands once in an object, a number is one that 64 bits hold, text is
    Unicode, and nothing is nested deeper than it needs to be."""
    try:
        found = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_constant=_refuse_constant,
            parse_int=_whole,
            parse_float=_finite,
            object_pairs_hook=_once,
        )
        _check_tree(found)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not JSON: {error}", kind) from None
    return found


def _whole(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63 or text == "-0":
        raise ValueError(f"{text:.40} is no whole number of 64 bits")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"{text:.40} is too large for a number")
    return number


def _check_tree(tree: Any) -> None:
    """Level by level: every text is one, and the levels come to an end."""
    level = [tree]
    for _ in range(_DEEPEST):
        try:
            "".join(item for item in level if isinstance(item, str)).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a surrogate pair, which is no character") from None
        level = [item for node in level if isinstance(node, dict | list) for item in _inside(node)]
        if not level:
            return
    raise ValueError(f"it is nested more than {_DEEPEST} deep")


def _inside(node: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return node if isinstance(node, list) else chain(node, node.values())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in an object")
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that JSON knows")
