"""The images that a model is shown: of the data set that was asked for, in the shape and the classes that it learnt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal, cast

from binarynet.data import shown
from binarynet.data.dataset import Split
from binarynet.data.shown import Shape
from binarynet.data.text import Tokens
from binarynet.errors import InputError
from binarynet.graph import Graph


def parse_shape(text: str | None) -> Shape | None:
    """``3x32x32`` → (3, 32, 32). Of channels only 1 and 3 are pictures."""
    if text is None:
        return None
    found = re.fullmatch(r"([13])[x×](\d{1,5})[x×](\d{1,5})", text)
    if not found or "0" in found.groups():
        raise InputError(f"--shape {text}: write it as CHANNELSxHEIGHTxWIDTH, channels 1 or 3, such as 3x32x32")
    channels, height, width = map(int, found.groups())
    return channels, height, width


def shape_of(graph: Graph) -> Shape | None:
    """(channels, height, width) of the images that a model learnt from; None if a flat input's file does not say."""
    return shown.shape_of(graph.input.shape, graph.meta)


def text_of(graph: Graph) -> Tokens | None:
    """How text was cut for a model that learnt from such, if its file says so."""
    said, shape = graph.meta.get("tokens", ""), shape_of(graph)
    return Tokens(said, shape[2]) if said in ("characters", "words") and shape is not None else None  # type: ignore[arg-type]


def data_of(graph: Graph, file: Path, data: str | None) -> str:
    """The data set that is meant: the one asked for, else that of the run, else that of the model's file."""
    if data:
        return data
    if (stood := _of_run(file)) and not Path(stood).exists():
        raise InputError(f"{file}: its data stood in {stood}, which is not there any more: give --data")
    from binarynet.data import classes_of

    name = stood or graph.meta.get("data")
    if not name:
        raise InputError(f"{file} does not say what it was trained on: give --data")
    if not stood and graph.classes and classes_of(name) not in (None, graph.classes):
        raise InputError(
            f"{file}: its data is called {name}, but has other classes than the {name} that is known here, such as "
            f"{graph.classes[0]!r}: give --data"
        )
    return name


def split_of(graph: Graph, data: str, split: str, data_dir: Path | None) -> Split:
    """One split of a data set as this model takes it. Errors as `binarynet.data.load_split`."""
    from binarynet.data import is_own, load_split
    from binarynet.data.catalogue import OWN_FOLDERS

    which = cast(Literal["train", "validation", "test", "all"], split)
    if not is_own(data) and data not in OWN_FOLDERS:
        return load_split(data, which, data_dir)
    return load_split(
        data,
        which,
        data_dir,
        shape=shape_of(graph),
        background=shown.background_of(graph.meta),
        classes=graph.classes or None,
        crops=shown.crops_of(graph.input.shape, graph.meta),
        text=text_of(graph),
        layout=shown.layout_of(graph.meta),
        seed=shown.seed_of(graph.meta),
    )


def _of_run(file: Path) -> str | None:
    """Where the data of a run stood, by the run folder around its model file; no torch is needed to know it."""
    try:
        sessions = json.loads((file.parent / "config.json").read_text(encoding="utf-8"))["sessions"]
        path = sessions[-1].get("data")
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return path if isinstance(path, str) and path else None
