"""``binarynet recipes``: what can be trained, and the page of each."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.options import AsJson
from binarynet.cli.printing import console, show_json
from binarynet.cli.table import Table
from binarynet.errors import InputError


@app.command()
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            help="One recipe, with its page and settings.", show_default="all", autocompletion=complete.recipes
        ),
    ] = None,
    as_json: AsJson = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the settings of NAME, as config.json holds them.")
    ] = False,
) -> None:
    """List the recipes; with a NAME, show its paper, its departures and its settings."""
    from binarynet import recipes as catalogue
    from binarynet.recipes.measured import measured

    if schema:
        if not name:
            raise InputError("--schema needs the NAME of one recipe; `binarynet recipes` lists them")
        show_json(catalogue.get(name).schema())
        return

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


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
