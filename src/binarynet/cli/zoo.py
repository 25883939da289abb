"""``binarynet zoo``: the trained models that there are by name, and the card of each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.options import AsJson
from binarynet.cli.printing import console, human_bytes, show_json
from binarynet.cli.table import Table
from binarynet.errors import InputError, closest


@app.command()
def zoo(
    name: Annotated[
        str | None,
        typer.Argument(help="One model, with its card.", show_default="all", autocompletion=complete.models),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the trained models that have a name; with a NAME, show its card and where its file is."""
    from binarynet import models

    entries = models.zoo.entries()
    if name is not None and name not in entries:
        raise InputError(f"no model {name!r}.{closest(name, entries)} There are {', '.join(entries)}.")
    wanted = [entries[name]] if name else list(entries.values())
    if as_json:
        show_json([asdict(entry) | {"where": models.zoo.where(entry.name)} for entry in wanted])
    elif name:
        console.print(models.card(name).strip(), soft_wrap=True, highlight=False, markup=False)
        console.print(f"\nFile: {models.zoo.where(name)}", highlight=False, soft_wrap=True)
    else:
        table = Table("model", "data", ">test error", ">file", "where")
        for entry in wanted:
            size = human_bytes(entry.bytes)
            table.add_row(entry.name, entry.data, f"{entry.error:.2f} %", size, models.zoo.where(entry.name))
        console.print(table)
        console.print("`binarynet eval NAME --data DATA` tests one, `binarynet zoo NAME` shows its card.", style="dim")
