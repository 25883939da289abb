"""``binarynet lower``: the model file of a run, and how every verb writes one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.cli.app import app
from binarynet.cli.printing import console, human_bytes


@app.command()
def lower(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="The file to write.", show_default="RUN/model.bnn")] = None,
) -> None:
    """Lower the best checkpoint of a run to the integer graph and write it."""
    from binarynet.train import RunFolder, load_run

    _, model = load_run(run)
    config = RunFolder(run).read_config()
    file = out or run / "model.bnn"
    shape = tuple(config["data"]["shape"])
    found = config["data"]
    write_model(model, config["recipe"], shape, found["classes"], found["name"], file, found)
    console.print(f"{file}: {human_bytes(file.stat().st_size)}", highlight=False)


def write_model(
    model: Any,
    recipe: str,
    shape: tuple[int, int, int],
    classes: Any,
    data: str,
    file: Path,
    pictures: Mapping[str, Any] | None = None,
    *,
    quiet: bool = False,
) -> Any:
    """Lower a trained module and save it with what a user of the file wants to know; returns the graph.

    pictures: how what it learnt from was read (`binarynet.train.folder.READ`); other names are passed over.
    Says in a line what was compared to prove it, unless ``quiet``.
    """
    from binarynet import __version__
    from binarynet.format import save
    from binarynet.lower import lower
    from binarynet.recipes.own import short
    from binarynet.train.folder import how_read

    meta = {
        "recipe": short(recipe),
        "data": data,
        "shape": "x".join(map(str, shape)),
        "classes": "\n".join(classes),
        "made by": f"binarynet {__version__}",
        **{name: str(value) for name, value in how_read(pictures or {}).items()},
    }
    say = None if quiet else lambda line: console.print(line, highlight=False)
    graph = lower(model, shape, meta, allow_real=True, say=say)  # a recipe says itself what is real
    save(graph, file)
    return graph
