"""Small trained models that come with the package: ``binarynet.load("digits")`` classifies at once.

Each is NAME.bnn with its card, NAME.md: what it was trained on, by which command, and how well it does.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from binarynet import hub
from binarynet.errors import takes

__all__ = ["card", "find", "names"]

_FOLDER = Path(str(files(__name__)))


def names() -> tuple[str, ...]:
    """The models that are there."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.bnn")))


def find(model: str | os.PathLike[str]) -> Path:
    """What is meant by ``model``, in this order: a file; the ``model.bnn`` of a run folder; a model of this package, by
    name. What is none of these is returned as it is.

    So a folder that happens to be called ``digits`` hides nothing, and a file does.
    """
    if address := hub.address_of(model):
        return hub.fetch(address)
    path = Path(model)
    if path.is_dir():
        if (path / "model.bnn").is_file():
            return path / "model.bnn"
    elif path.exists():
        return path
    return _FOLDER / f"{model}.bnn" if str(model) in names() else path


@takes(name=(str, "the name of a model"))
def card(name: str) -> str:
    """What one should know of a model before using it, as Markdown."""
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")
