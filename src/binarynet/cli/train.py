"""``binarynet train``: a recipe trained to the end, with its model file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.images import parse_shape
from binarynet.cli.lower import write_model
from binarynet.cli.options import AsJson, Background, Data, DataDir, Gradients, Precision, Shape, TorchThreads, pairs
from binarynet.cli.printing import console, human_bytes, show_json
from binarynet.errors import InputError, RecipeError


@app.command()
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A recipe; `binarynet recipes` lists them. Or your own: path/to/recipe.py:Name.",
            show_default="that of --config",
            autocompletion=complete.recipes,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The config.json of a run: its recipe, settings, data and seed. What else is given goes before it.",
            show_default="none",
        ),
    ] = None,
    data: Data = None,
    data_dir: DataDir = None,
    shape: Shape = None,
    background: Background = None,
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
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of weights, order and noise.", show_default="that of --config, or 0")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="runs/RECIPE-seedN")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, bit-exactly.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Take away the run that --out holds.")] = False,
    precision: Precision = None,
    gradients: Gradients = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes or GPUs on each machine.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    threads: TorchThreads = 0,
    as_json: AsJson = False,
) -> None:
    """Train a recipe, choose the epoch on the validation split, test once, and write model.bnn."""
    import binarynet.nn  # noqa: F401  # refuses a wrong environment before Lightning is imported, which takes seconds
    from binarynet import recipes as catalogue
    from binarynet.data import is_own, load
    from binarynet.train import Config, fit, is_main_process

    before = Config.read(config) if config else Config()
    name = recipe or before.recipe
    if not name:
        raise InputError("give a RECIPE, or --config with the config.json of a run")
    given = pairs(settings or [])
    given |= ({"data": data} if data else {}) | ({"epochs": str(epochs)} if epochs else {})
    if before.recipe and name != before.recipe:
        print(f"{config}: its settings are those of {before.recipe}, and {name} starts with its own", file=sys.stderr)
        given = ({"data": before.settings["data"]} if not before.path and "data" in before.settings else {}) | given
    chosen = _of_config(catalogue.get(name), before.settings_of(name), config).with_settings(given)
    seed = seed if seed is not None else before.seed
    if resume and overwrite:
        raise InputError("--resume goes on with a run, --overwrite takes it away: give one of them")
    place = given.get("data") or before.path or chosen.data
    own, same = is_own(place), "data" not in given  # pictures to bring to a shape; the very data of the config
    data_set = load(
        place,
        data_dir,
        shape=parse_shape(shape) or (before.shape if own and not chosen.reading() else None),
        background=background or (before.background if own else None),  # type: ignore[arg-type]
        layout=before.layout if own and same else None,  # type: ignore[arg-type]
        seed=before.data_seed if own and same else 0,
        progress=not as_json,
        **chosen.reading(),
    )
    folder = out or Path("runs") / f"{name.rpartition(':')[2] or Path(name).stem}-seed{seed}"
    result = fit(
        chosen,
        data_set,
        folder,
        seed=seed,
        resume=resume,
        exist="overwrite" if overwrite else "error",
        precision=precision or before.precision,  # type: ignore[arg-type]
        gradients=gradients or before.gradients,
        devices=devices,
        nodes=nodes,
        threads=threads or None,
        progress=not as_json,
    )
    if not is_main_process():
        return
    file = folder / "model.bnn"
    graph = write_model(
        result.model,
        catalogue.name_of(chosen),
        data_set.shape,
        data_set.classes,
        data_set.name,
        file,
        data_set.origin,
        quiet=as_json,
    )
    if as_json:
        document = {name: getattr(result, name) for name in ("best_epoch", "validation_error", "test_error")}
        document |= {f"test_{name}": value for name, value in chosen.measures(result.test_loss).items()}
        show_json({**document, "run": str(folder), "model": str(file), "bytes": file.stat().st_size})
        return
    lowest = f"validation error, {result.validation_error:.2f} %"
    if chosen.chosen_by != "validation_error":
        lowest = f"{chosen.chosen_by.replace('_', ' ')}, with a {lowest}"
    more = "".join(f", {name} {value:.4g}" for name, value in chosen.measures(result.test_loss).items())
    console.print(
        f"epoch {result.best_epoch} has the lowest {lowest}; "
        f"test error {result.test_error:.2f} % (accuracy {100 - result.test_error:.2f} %){more}"
    )
    console.print(f"{file}: {human_bytes(file.stat().st_size)}, {len(graph.ops)} ops", highlight=False)


def _of_config(recipe: Any, settings: dict[str, Any], config: Path | None) -> Any:
    """The recipe with the settings of a config.json; an error names the file beside the setting."""
    try:
        return recipe.with_settings(settings)
    except RecipeError as error:
        raise RecipeError(f"{config}: {error}") from None
