"""``binarynet data``: what a data set holds, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from binarynet.atomic import replacing
from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.images import parse_shape
from binarynet.cli.options import AsJson, Background, DataDir, Shape
from binarynet.cli.printing import console, human_bytes, show_json
from binarynet.cli.table import Table

_MOST = 50  # classes that are listed


@app.command(name="data")
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH",
            help="A data set's name, or the path of your own: class folders of pictures, .npz or .csv.",
            autocompletion=complete.data_sets,
        ),
    ],
    data_dir: DataDir = None,
    shape: Shape = None,
    background: Background = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Write a contact sheet, some pictures of each class.", metavar="FILE.png", show_default="none"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a data set holds: images of each class in each split, their shape, what reading did to them."""
    from binarynet.data import load

    found = load(name, data_dir, shape=parse_shape(shape), background=background, progress=not as_json)
    splits = {"train": found.train, "validation": found.validation, "test": found.test}
    counts = {part: np.bincount(split.labels, minlength=len(found.classes)) for part, split in splits.items()}
    if sheet is not None:
        _write_sheet(found, sheet)
    pixels = sum(split.images.nbytes for split in splits.values())
    notes, passed_over = dict(found.origin.get("notes", {})), list(found.origin.get("passed over", ()))
    if as_json:
        document: dict[str, Any] = {"name": found.name, "shape": found.shape, "classes": found.classes, "bytes": pixels}
        document |= {part: numbers.tolist() for part, numbers in counts.items()}
        show_json({**document, "notes": notes, "passed_over": passed_over, "sheet": str(sheet) if sheet else None})
        return
    shown = Table("class", ">train", ">validation", ">test")
    for index, label in enumerate(found.classes[:_MOST]):
        shown.add_row(label, *(f"{numbers[index]:,}" for numbers in counts.values()))
    if len(found.classes) > _MOST:
        shown.add_row(f"… {len(found.classes) - _MOST} more")
    shown.add_section()
    shown.add_row("all", *(f"{len(split):,}" for split in splits.values()))
    console.print(shown)
    channels, height, width = found.shape
    console.print(
        f"{found.name}: {channels} channel{'s' * (channels > 1)}, {height} rows, {width} columns, as "
        f"{channels}x{height}x{width}; {human_bytes(pixels)} of pixels"
    )
    for note, count in notes.items():
        console.print(f"{count:,} pictures: {note}")
    if passed_over:
        console.print(f"{len(passed_over):,} files that are no pictures were passed over, the first: {passed_over[0]}")
    if sheet is not None:
        console.print(f"{sheet}: {human_bytes(sheet.stat().st_size)}")


def _write_sheet(found: Any, path: Path) -> None:
    from binarynet.data.lazy import need
    from binarynet.data.sheet import contact_sheet

    picture = need("PIL.Image", "pillow", "a contact sheet").fromarray(contact_sheet(found.train, found.classes))
    with replacing(path) as part:
        picture.save(part, format="PNG")
