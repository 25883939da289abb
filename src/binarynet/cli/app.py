"""The command line's frame: one Typer app, one way to print, one way to fail.

Bad input ends with one line on standard error and exit code 2, never with a traceback.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup
from typer.exceptions import TyperException

from binarynet.errors import BinarynetError, printable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Neural networks of +1 and −1: train, lower, prove, run.",
)


class _ModelFirst(TyperGroup):
    """``bench FILE`` is short for ``bench model FILE``: what names no command and asks no help belongs to that one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["model", *args]
        return super().parse_args(ctx, args)


bench = typer.Typer(cls=_ModelFirst, no_args_is_help=True, help="Time a model (bench MODEL.bnn), or something else.")
app.add_typer(bench, name="bench")


class _Plain(Console):
    """Prints text as it is: names out of files are no markup, no emoji, and steer no terminal."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(printable(text), **how)


# Into a pipe or a file nothing is wrapped at 80 columns.
console = _Plain(width=None if sys.stdout.isatty() else 200, markup=False, emoji=False)


# Which extra brings a package that is not there; the rest comes with "train".
_EXTRAS = {"onnx": "onnx", "onnxruntime": "onnx", "qonnx": "onnx", "triton": "gpu"}


def _show_version(asked: bool) -> None:
    if asked:
        from binarynet import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What can be said before the verb."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Returns (and exits with) 0, 1 for a check that failed, 2 for bad input, 130 after Ctrl-C."""
    # Waiting threads that spin make torch ten times slower as soon as another process wants a core. Read at its import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from binarynet.cli import (  # noqa: F401  (each adds its verbs)
        bench_gpu,
        bench_model,
        bench_suite,
        bench_train,
        demo,
        export,
        importing,
        model,
        run,
        train,
    )

    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        code = code if isinstance(code, int) else 0
    except TyperException as error:
        # Without arguments Typer raises its own help text, which is no mistake.
        helped = type(error).__name__ == "NoArgsIsHelpError"
        code = 0 if helped else fail(error.format_message())
    except BinarynetError as error:
        code = fail(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("binarynet"):
            raise
        extra = _EXTRAS.get(str(error.name).split(".")[0], "train")
        code = fail(f"this needs the package {error.name!r}: pip install 'binarynet[{extra}]'")
    except OSError as error:
        code = fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    except (KeyboardInterrupt, typer.Abort) as error:
        stopped = error.__cause__ or error  # Typer wraps it
        if str(stopped):
            fail(str(stopped))  # training says how to go on
        code = int(getattr(stopped, "exit_code", 130))
    if arguments is None:
        sys.exit(code)
    return code


def fail(message: str) -> int:
    """One line on standard error; returns the exit code for bad input."""
    print("binarynet: " + " ".join(printable(message).split()), file=sys.stderr)
    return 2


def show_json(document: Any) -> None:
    """The document on standard output, one object, for programs."""
    print(json.dumps(document, indent=2))


def table(*columns: str, title: str | None = None) -> Table:
    """A table whose columns named with a leading '>' stand to the right."""
    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    return made


def human_time(seconds: float) -> str:
    """0.00123 → '1.23 ms'."""
    return f"{seconds * 1e3:,.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def human_bytes(count: int) -> str:
    """1234567 → '1.23 MB' (10⁶ bytes)."""
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"
