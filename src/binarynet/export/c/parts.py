"""The C that no model changes: real files of the folder ``parts``, each of which names those that it needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

_NEEDED = re.compile(r'^#include "(\w+)\.c"\n', re.MULTILINE)
_DEFINED = r"^(?:(?:static|APART) [^=;]*?(\w+)\(|} (\w+);|#define (\w+))"
_LEFT_OUT = re.compile(r'^#(?:pragma once|include ".*")\n+', re.MULTILINE)


@cache
def part(name: str) -> str:
    """One file as it lies there."""
    return (files(__package__) / "parts" / name).read_text(encoding="utf-8")


def chosen(names: Iterable[str], constant_time: bool = False) -> str:
    """Parts and what they need, each once, behind what it calls; in constant time fixed_NAME in place of NAME."""
    order: dict[str, None] = {}
    fixed = {name for name in _names() if name.startswith("fixed_")} if constant_time else set()

    def add(name: str) -> None:
        name = f"fixed_{name}" if f"fixed_{name}" in fixed else name
        if name not in order:
            for needed in _NEEDED.findall(part(f"{name}.c")):
                add(needed)
            order[name] = None

    for name in sorted(set(names)):
        add(name)
    return "\n".join(_LEFT_OUT.sub("", part(f"{name}.c")) for name in order)


@cache
def _names() -> tuple[str, ...]:
    found = sorted(path.name for path in (files(__package__) / "parts").iterdir())
    return tuple(name.removesuffix(".c") for name in found if name.endswith(".c") and name != "main.c")


@cache
def provided() -> dict[str, str]:
    """Function, type or macro → the part that defines it."""
    found: dict[str, str] = {}
    for name in _names():
        if not name.startswith("fixed_"):
            defined = re.findall(_DEFINED, part(f"{name}.c"), re.MULTILINE)
            found |= {word: name for names in defined for word in names if word}
    return found


def called(text: str) -> set[str]:
    """The parts whose functions or types a text of C uses."""
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return {provided()[word] for word in re.findall(r"\b[A-Za-z_]\w*\b", code) if word in provided()}


def renamed(name: str, api: str) -> str:
    """A file that is written about a network called ``net``, for a network of another name."""
    return renamed_text(part(name), api)


def renamed_text(text: str, api: str) -> str:
    """As `renamed`. Words that begin with ``net_`` or are ``net`` take the name, ``NET`` in capitals."""
    return re.sub(r"(?<![A-Za-z0-9])(net|NET)(?=\b|_)", lambda found: api if found[0] == "net" else api.upper(), text)
