"""Trained models by name: ``binarynet.load("digits")`` classifies at once.

Small ones come with the package, NAME.bnn with its card NAME.md: what it was trained on, by which command, and how well
it does. Larger ones are in the zoo (models/zoo.py).
"""

from __future__ import annotations

import os
from pathlib import Path

from binarynet import hub
from binarynet.errors import FormatError, closest, takes
from binarynet.models import zoo

__all__ = ["card", "find", "names", "zoo"]


def names() -> tuple[str, ...]:
    """The models that are there."""
    return tuple(sorted(file.stem for file in zoo.PACKAGE.glob("*.bnn")))


def find(model: str | os.PathLike[str]) -> Path:
    """What is meant by ``model``, in this order: a file; the ``model.bnn`` of a run folder; a model of this package, by
    name; one of the zoo. What is none of these is returned as it is.

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
    return zoo.locate(str(model)) if str(model) in zoo.entries() else path


@takes(name=(str, "the name of a model"))
def card(name: str) -> str:
    """What one should know of a model before using it, as Markdown.

    Raises:
        FormatError: no model of that name.
        RuntimeUnavailable: a model of the zoo that is not on this machine.
    """
    if name not in zoo.entries():
        raise FormatError(f"no model {name!r}.{closest(name, zoo.entries())} There are {', '.join(zoo.entries())}.")
    along = zoo.PACKAGE / f"{name}.md"
    file = along if along.is_file() else zoo.locate(name).with_name(zoo.CARD)
    return file.read_text(encoding="utf-8") if file.is_file() else zoo.entries()[name].text()
