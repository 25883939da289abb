"""``binarynet train``: a recipe trained to the end, with its model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.lower import write_model
from binarynet.cli.options import AsJson, DataDir, Gradients, Precision, Threads, pairs
from binarynet.cli.printing import console, human_bytes, show_json


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe; `binarynet recipes` lists them.", autocompletion=complete.recipes)
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="Another data set of the same image shape.",
            show_default="the recipe's",
            autocompletion=complete.data_sets,
        ),
    ] = None,
    data_dir: DataDir = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs; the schedule stretches with them.", show_default="the recipe's")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting, any number of times; `binarynet recipes RECIPE` lists them.",
            show_default="the recipe's",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and noise.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="runs/RECIPE-seedN")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, bit-exactly.")] = False,
    precision: Precision = "32",
    gradients: Gradients = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes or GPUs on each machine.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Train a recipe, choose the epoch on the validation split, test once, and write model.bnn."""
    from binarynet import recipes as catalogue
    from binarynet.data import load
    from binarynet.train import fit, is_main_process

    given = pairs(settings or [])
    given |= ({"data": data} if data else {}) | ({"epochs": str(epochs)} if epochs else {})
    chosen = catalogue.get(recipe).with_settings(given)
    data_set = load(chosen.data, data_dir)
    folder = out or Path("runs") / f"{recipe}-seed{seed}"
    result = fit(
        chosen,
        data_set,
        folder,
        seed=seed,
        resume=resume,
        precision=precision,  # type: ignore[arg-type]
        gradients=gradients,
        devices=devices,
        nodes=nodes,
        threads=threads or None,
        progress=not as_json,
    )
    if not is_main_process():
        return
    file = folder / "model.bnn"
    graph = write_model(result.model, recipe, data_set.shape, data_set.classes, chosen.data, file, quiet=as_json)
    if as_json:
        document = {name: getattr(result, name) for name in ("best_epoch", "validation_error", "test_error")}
        show_json({**document, "run": str(folder), "model": str(file), "bytes": file.stat().st_size})
        return
    console.print(
        f"epoch {result.best_epoch} has the lowest validation error, {result.validation_error:.2f} %; "
        f"test error {result.test_error:.2f} % (accuracy {100 - result.test_error:.2f} %)"
    )
    console.print(f"{file}: {human_bytes(file.stat().st_size)}, {len(graph.ops)} ops", highlight=False)
