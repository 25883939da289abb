"""What a shell may complete a word to: names of verbs' arguments. Nothing here imports torch, so that Tab is quick."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

Completion = Callable[[str], list[str]]


def _starting(names: Callable[[], Iterable[str]]) -> Completion:
    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _models() -> Iterable[str]:
    from binarynet.models import zoo

    return zoo.entries()


def _recipes() -> Iterable[str]:
    """The keys of every table RECIPES, read off the source: to import them is to import torch, which takes seconds."""
    spec = find_spec("binarynet.recipes")
    assert spec is not None
    assert spec.origin is not None
    found = []
    for file in Path(spec.origin).parent.glob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "RECIPES":
                assert isinstance(node.value, ast.Dict)
                found += [ast.literal_eval(key) for key in node.value.keys if key is not None]
    return sorted(found)


def _data_sets() -> Iterable[str]:
    from binarynet.data import names

    return names()


def _targets() -> Iterable[str]:
    from binarynet.export import TARGETS

    return TARGETS


def _instruction_sets() -> Iterable[str]:
    from binarynet.runtime import isa

    return isa.available()


models = _starting(_models)
recipes = _starting(_recipes)
data_sets = _starting(_data_sets)
targets = _starting(_targets)
instruction_sets = _starting(_instruction_sets)
