"""``binarynet serve``: models behind HTTP."""

from __future__ import annotations

import re
import socket
from typing import Annotated

import typer

from binarynet.cli.app import app
from binarynet.cli.options import Isa, Threads
from binarynet.errors import InputError
from binarynet.models import find

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HOSTS = ("127.0.0.1", "0.0.0.0", "::")


@app.command()
def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL…", help=".bnn files, run folders or names; NAME=MODEL calls one otherwise."),
    ],
    host: Annotated[
        str, typer.Option(help="127.0.0.1: this machine alone; 0.0.0.0 or ::, all who reach it.", metavar="ADDRESS")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Where it listens.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes for each model.")] = 1,
    threads: Threads = 0,
    isa: Isa = None,
    megabytes: Annotated[float, typer.Option(min=0.001, help="The largest body of a request.")] = 16.0,
    images: Annotated[int, typer.Option(min=1, help="The most images of a request.")] = 4096,
    seconds: Annotated[float, typer.Option(min=0.01, help="The longest that a request may take.")] = 30.0,
    waiting: Annotated[int, typer.Option(min=1, help="Requests at once; more are told to come again.")] = 1024,
) -> None:
    """Serve models by the Open Inference Protocol v2: POST /v2/models/NAME/infer, JSON or binary tensors.

    Requests that come together are run together. /v2/health/live and /v2/health/ready say how it is, /metrics how it
    was. SIGTERM and Ctrl-C let it answer what it has begun, and end it. See docs/server.md.
    """
    from binarynet.format import load
    from binarynet.runtime import Session
    from binarynet.serve import Limits
    from binarynet.serve import serve as run

    if host not in _HOSTS:
        raise InputError(f"--host {host}: one of {', '.join(_HOSTS)}")
    _must_be_free(host, port)
    sessions = {}
    for given in models:
        name, path = _named(given)
        if name in sessions:
            raise InputError(f"two models are called {name!r}: call one otherwise, as in OTHER={path}")
        sessions[name] = Session(load(find(path)), isa=isa, threads=threads)
    shown = "127.0.0.1" if host == "127.0.0.1" else socket.gethostname()
    for name in sessions:
        print(f"http://{shown}:{port}/v2/models/{name}/infer", flush=True)
    run(
        sessions,
        host=host,
        port=port,
        workers=workers,
        limits=Limits(megabytes=megabytes, images=images, seconds=seconds, waiting=waiting),
    )


def _named(given: str) -> tuple[str, str]:
    """``NAME=MODEL``, or a model whose name is that of its file or of its run folder."""
    name, equal, path = given.partition("=")
    if not equal:
        found = find(given)
        name, path = (found.parent.name if found.name == "model.bnn" else found.stem), given
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name for an address: letters, digits, '.', '_' and '-', as in digits={path}")
    return name, path


def _must_be_free(host: str, port: int) -> None:
    """A line instead of a server's traceback."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"--port {port}: {error.strerror}; take another") from None
