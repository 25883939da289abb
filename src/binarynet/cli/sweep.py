"""``binarynet sweep``: a search over the settings of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.images import parse_shape
from binarynet.cli.options import AsJson, Background, Data, DataDir, Shape, TorchThreads, pairs
from binarynet.cli.printing import console, show_json
from binarynet.cli.table import Table


@app.command()
def sweep(
    recipe: Annotated[
        str, typer.Argument(help="A recipe, or your own: path/to/recipe.py:Name.", autocompletion=complete.recipes)
    ],
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="lr_start=1e-4..1e-2 and width=256|512 are searched, others are as given.",
        ),
    ],
    data: Data = None,
    data_dir: DataDir = None,
    shape: Shape = None,
    background: Background = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of each run.", show_default="the recipe's")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Runs, with those that are there already.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the runs and of the search.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the runs.", show_default="runs/sweep-RECIPE")] = None,
    threads: TorchThreads = 0,
    as_json: AsJson = False,
) -> None:
    """Train many runs with settings out of ranges and choices; the best by validation error stands first."""
    from binarynet import recipes as catalogue
    from binarynet.data import load
    from binarynet.train.sweep import is_searched
    from binarynet.train.sweep import sweep as search

    given = pairs(settings)
    searched = {name: text for name, text in given.items() if is_searched(text)}
    fixed = {name: text for name, text in given.items() if name not in searched}
    fixed |= ({"data": data} if data else {}) | ({"epochs": str(epochs)} if epochs else {})
    chosen = catalogue.get(recipe).with_settings(fixed)
    data_set = load(
        chosen.data,
        data_dir,
        shape=parse_shape(shape),
        background=background,
        progress=not as_json,
        **chosen.reading(),
    )
    folder = out or Path("runs") / f"sweep-{recipe.rpartition(':')[2] or Path(recipe).stem}"
    how: dict[str, Any] = {"trials": trials, "seed": seed, "progress": False, "threads": threads or None}
    if not as_json:
        how["say"] = _say
    found = search(chosen, data_set, folder, searched, **how)
    if as_json:
        show_json([{**vars(one), "folder": str(one.folder)} for one in found])
        return
    shown = Table("trial", ">validation", *searched)
    for one in found[:20]:
        shown.add_row(str(one.number), f"{one.validation_error:.2f} %", *(one.settings[name] for name in searched))
    console.print(shown)
    if found:
        folder = found[0].folder
        console.print(f"the best: {folder}; binarynet train --config {folder}/config.json goes on from it")


def _say(one: Any) -> None:
    settings = ", ".join(f"{name}={text}" for name, text in one.settings.items())
    console.print(f"trial {one.number}: {one.validation_error:.2f} %  {settings}")
