"""``binarynet push``: a model to the Hugging Face hub, with a card that says what it is."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from binarynet.cli.app import app
from binarynet.cli.options import ModelFile
from binarynet.cli.printing import console


@app.command()
def push(
    file: ModelFile,
    address: Annotated[str, typer.Argument(help="Where to put it: hf://user/name.", metavar="hf://USER/NAME")],
    private: Annotated[bool, typer.Option("--private", help="Make a repository that others do not see.")] = False,
) -> None:
    """Put a model (or that of a run, with its test error) on the Hugging Face hub; `load("hf://user/name")` gets it."""
    from binarynet import hub
    from binarynet.format import load

    graph = load(file)  # what is damaged is not passed on
    accuracy = None
    result = file.parent / "result.json"
    if file.name == hub.FILE and result.is_file():
        error = json.loads(result.read_text(encoding="utf-8")).get("test_error")
        accuracy = 100 - error if isinstance(error, int | float) else None
    name = address.removeprefix("hf://").partition("@")[0]
    card = hub.card_of(name, graph.meta, accuracy, file.stat().st_size)
    console.print(hub.push(file, address, card, private=private), highlight=False)
