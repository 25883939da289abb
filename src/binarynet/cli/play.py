"""``binarynet play``: draw a digit in the browser, and see every layer's bits."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from binarynet.cli.app import app
from binarynet.errors import InputError
from binarynet.models import find


@app.command()
def play(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL…]",
            help="Models to look into: .bnn files, run folders or names.",
            show_default="those that come along",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 takes a free one.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the page and the models into a folder, for any web server, and stop.",
            show_default="serve them here",
        ),
    ] = None,
) -> None:
    """Open a page that classifies what you draw, while you draw, and shows the bits of every layer.

    The network runs in the browser, as WebAssembly: this command serves files to this machine alone, and nothing that
    is drawn leaves it. Ctrl-C ends it.
    """
    from binarynet.web import copy, server

    if out is not None:
        if files:
            raise InputError("--out: writes the page with the models of the package; leave the others out")
        copy(out)
        print(f"{out}: open page/index.html through a web server")
        return
    with server(port=port, given=_checked(files or [])) as pages:
        address = f"http://127.0.0.1:{pages.server_address[1]}/"
        print(f"{address}   Ctrl-C ends it", flush=True)
        if open_browser:
            webbrowser.open(address)
        pages.serve_forever(poll_interval=0.2)


def _checked(files: list[str]) -> dict[str, Path]:
    """Name → file of models that can be read; FormatError, or OSError, for others."""
    from binarynet.format import load

    found: dict[str, Path] = {}
    for given in files:
        path = find(given)
        load(path)
        name = path.parent.name if path.name == "model.bnn" else path.stem
        found[name if name not in found else f"{name} ({len(found) + 1})"] = path
    return found
