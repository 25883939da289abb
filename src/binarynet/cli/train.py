"""Verbs around training: recipes, train, lower, eval."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.cli import complete
from binarynet.cli.app import app, console, human_bytes, show_json
from binarynet.cli.model import AsJson, Isa, ModelFile, Threads
from binarynet.cli.table import Table
from binarynet.errors import InputError, RecipeError, closest

DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the data sets are.", metavar="DIR", show_default="BINARYNET_DATA, or they are downloaded"),
]
Precision = Annotated[str, typer.Option(help="32, or bf16 (training steps under autocast).")]
Gradients = Annotated[
    str | None,
    typer.Option(
        metavar="float32|bf16|int8|1 … 8",
        help="How gradients enter the products of binary layers on a CPU.",
        show_default="as BINARYNET_GRADIENTS says, else bf16 where the CPU multiplies that, else float32",
    ),
]


@app.command()
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One recipe, with its page and settings.", show_default="all", autocompletion=complete.recipes
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the recipes; with a NAME, show its paper, its departures and its settings."""
    from binarynet import recipes as catalogue
    from binarynet.recipes.measured import measured

    found = {one: catalogue.get(one) for one in ([name] if name else catalogue.names())}
    if as_json:
        runs = {one: [run for run in measured() if run.recipe == one] for one in found}
        show_json({one: _described(recipe, runs[one]) for one, recipe in found.items()})
    elif name:
        recipe = found[name]
        page = (sys.modules[type(recipe).__module__].__doc__ or "").strip()
        console.print("\n".join(_fitted(page, console.width)), soft_wrap=True)
        for run in (run for run in measured() if run.recipe == name):
            console.print(f"\nOurs: {run.test_error:.2f} % (epoch {run.best_epoch}), {run.command}", highlight=False)
        console.print("\nSettings of " + name + ", changed with --set NAME=VALUE:", highlight=False)
        for key, value in recipe.settings().items():
            console.print(f"  {key}={_text(value)}", highlight=False)
    else:
        _list(found)
        console.print("Test errors. `binarynet recipes NAME` shows one and the commands of our runs,", style="dim")
        console.print("`binarynet train NAME` trains it.", style="dim")


def _list(found: dict[str, Any]) -> None:
    """A row for each recipe, and a sentence for each paper."""
    from binarynet.recipes.measured import best

    shown = Table("recipe", ">reported", ">ours", ">epochs")
    families: dict[tuple[str, str], list[str]] = {}
    for name, recipe in found.items():
        reported, ours = recipe.reported.get(recipe.data), best(name)
        shown.add_row(
            name,
            f"{reported:.2f} %" if reported else "—",
            f"{ours.test_error:.2f} %" if ours else "—",
            str(ours.epochs) if ours else "—",
        )
        families.setdefault((recipe.paper, recipe.binarized), []).append(name.removesuffix(f"-{recipe.data}"))
    console.print(shown)
    console.print("\nWhat is binarized, after which paper:")
    for (paper, binarized), names in families.items():
        console.print(f"{', '.join(f'{name}-…' for name in dict.fromkeys(names))}: {binarized}. {paper}")
    console.print()


def _fitted(page: str, width: int) -> Iterator[str]:
    """The lines of a page; prose is filled to a narrower width, tables and what is indented stay as they are."""
    for paragraph in page.split("\n\n"):
        lines = paragraph.splitlines()
        laid_out = any(line.startswith((" ", "|", "=", "* ", "- ")) for line in lines)
        if laid_out or max(map(len, lines), default=0) <= width:
            yield from lines
        else:
            yield from textwrap.wrap(" ".join(lines), width, break_on_hyphens=False, break_long_words=False)
        yield ""


def _described(recipe: Any, ours: list[Any]) -> dict[str, Any]:
    return {
        "paper": recipe.paper,
        "binarized": recipe.binarized,
        "data": recipe.data,
        "reported": recipe.reported.get(recipe.data),
        "ours": [asdict(run) | {"command": run.command} for run in ours],
        "settings": recipe.settings(),
    }


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


@app.command()
def lower(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="The file to write.", show_default="RUN/model.bnn")] = None,
) -> None:
    """Lower the best checkpoint of a run to the integer graph and write it."""
    from binarynet.train import RunFolder, load_run

    recipe, model = load_run(run)
    config = RunFolder(run).read_config()
    file = out or run / "model.bnn"
    shape = tuple(config["data"]["shape"])
    write_model(model, config["recipe"], shape, config["data"]["classes"], recipe.data, file)
    console.print(f"{file}: {human_bytes(file.stat().st_size)}", highlight=False)


@app.command(name="eval")
def evaluate(
    file: ModelFile,
    data: Annotated[
        str | None,
        typer.Option(help="Data set.", show_default="the one it was trained on", autocompletion=complete.data_sets),
    ] = None,
    data_dir: DataDir = None,
    split: Annotated[str, typer.Option(help="test, validation or train.")] = "test",
    engine: Annotated[str, typer.Option(help="native, or oracle (slow and obvious).")] = "native",
    isa: Isa = None,
    threads: Threads = 0,
    check: Annotated[
        str,
        typer.Option(
            help="oracle: every ISA of this CPU must equal it; torch: predictions of the run's module.",
            show_default="no comparison",
        ),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            help="How many images --check takes at most; the accuracy is that of all.", min=1, show_default="all"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model's accuracy, and with --check prove that the engines agree. Exit code 1 if they do not."""
    from binarynet.data import load_split
    from binarynet.format import load as load_graph
    from binarynet.report import Agreement, oracle_logits, with_native, with_torch
    from binarynet.runtime import Session

    wanted = [part.strip() for part in check.split(",") if part.strip()]
    for part in wanted:
        if part not in ("oracle", "torch"):
            also = closest(part, ("oracle", "torch"))
            raise InputError(f"--check {part}:{also} Choose oracle, torch, or both separated by a comma.")
    graph = load_graph(file)
    name = data or graph.meta.get("data")
    if not name:
        raise InputError(f"{file} does not say what it was trained on: give --data")
    images = load_split(name, split, data_dir)  # type: ignore[arg-type]
    session = Session(graph, engine=engine, isa=isa, threads=threads)
    right = int((session.predict(images.images) == images.labels).sum())
    agreements: list[Agreement] = []
    if wanted:
        compared = images.images[:limit]
        expected = oracle_logits(graph, compared)
        agreements += with_native(graph, compared, expected)
        if "torch" in wanted:
            from binarynet.train import load_run

            _, model = load_run(file.parent)
            agreements.append(with_torch(model, compared, expected))
    accuracy = 100 * right / len(images)
    if as_json:
        document: dict[str, Any] = {"data": name, "split": split, "images": len(images), "right": right}
        document |= {"accuracy": accuracy, "engine": engine, "isa": session.isa}
        document["agreement"] = [vars(agreement) for agreement in agreements]
        show_json(document)
    else:
        console.print(f"{name} {split}: {right}/{len(images)} right, accuracy {accuracy:.2f} % ({session.engine})")
        for agreement in agreements:
            console.print(f"{agreement} with the oracle")
    if not all(agreement.holds for agreement in agreements):
        raise typer.Exit(1)


def write_model(
    model: Any, recipe: str, shape: tuple[int, int, int], classes: Any, data: str, file: Path, *, quiet: bool = False
) -> Any:
    """Lower a trained module and save it with what a user of the file wants to know; returns the graph.

    Says in a line what was compared to prove it, unless ``quiet``.
    """
    from binarynet import __version__
    from binarynet.format import save
    from binarynet.lower import lower

    meta = {
        "recipe": recipe,
        "data": data,
        "classes": "\n".join(classes),
        "made by": f"binarynet {__version__}",
    }
    say = None if quiet else lambda line: console.print(line, highlight=False)
    graph = lower(model, shape, meta, allow_real=True, say=say)  # a recipe says itself what is real
    save(graph, file)
    return graph


def pairs(settings: list[str]) -> dict[str, str]:
    pairs = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name or not value:
            raise RecipeError(f"--set {setting}: write it as name=value")
        pairs[name.strip()] = value.strip()
    return pairs


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
