"""``binarynet new recipe``: a file of your own that trains, to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from binarynet import atomic
from binarynet.cli.app import app
from binarynet.cli.printing import console
from binarynet.errors import InputError

new = typer.Typer(no_args_is_help=True, help="Write a file to begin with: new recipe NAME.")
app.add_typer(new, name="new")


@new.command()
def recipe(
    name: Annotated[str, typer.Argument(help="What it is called, such as my-net.")],
    out: Annotated[Path, typer.Option(help="Folder to write into.", metavar="DIR")] = Path(),
) -> None:
    """Write NAME.py, a recipe that trains as it is."""
    from binarynet.recipes.new import recipe_file

    file, kind, text = recipe_file(name, out)
    if file.exists():
        raise InputError(f"{file} is there already: give another name, or --out")
    out.mkdir(parents=True, exist_ok=True)
    atomic.write(file, text)
    console.print(f"{file}: change it, then\n  binarynet train {file}:{kind}", highlight=False)
