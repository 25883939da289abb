"""``binarynet report``: one HTML file about a run or a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from binarynet import atomic
from binarynet.cli.app import app
from binarynet.cli.images import data_of, split_of
from binarynet.cli.options import Data, DataDir, ModelFile, SplitName
from binarynet.cli.printing import console, human_bytes
from binarynet.errors import DataError, InputError


@app.command()
def report(
    file: ModelFile,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write.", metavar="FILE.html", show_default="RUN/report.html or MODEL.html"),
    ] = None,
    data: Data = None,
    data_dir: DataDir = None,
    split: SplitName = "test",
) -> None:
    """Write one HTML file: curves, mistakes, filters, thresholds, layers, energy, the proof that engines agree.

    It holds all that it shows and works without a network. Without the data it shows the model alone, and says so.
    """
    from binarynet.format import load
    from binarynet.report.page import content_of, page, read_run

    graph = load(file)
    run = read_run(file.parent) if file.name == "model.bnn" else None
    images = None
    try:
        name = data_of(graph, file, data)
        images = split_of(graph, name, split, data_dir)
        said = f"{Path(name).name}, {split}"
    except (DataError, InputError) as error:
        if data is not None:
            raise
        said = str(error)
    target = out or (run.folder / "report.html" if run else Path(f"{file.stem}.html"))
    atomic.write(target, page(content_of(file, graph, images, said), run))
    console.print(f"{target}: {human_bytes(target.stat().st_size)}", highlight=False)
    if images is None:
        console.print(f"without images: {said}", style="dim")
