"""The command line's frame: one Typer app, one way to print, one way to fail.

Bad input ends with one line on standard error and exit code 2, never with a traceback.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup
from typer.exceptions import TyperException

from binarynet.cli.install import missing
from binarynet.errors import BinarynetError, closest, printable
from binarynet.models import find


class _Stopped(BaseException):
    """Carries a KeyboardInterrupt past Typer, which would end it without its text."""


class _Verbs(TyperGroup):
    """The verbs; Ctrl-C and SIGTERM in one of them reach `main`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Stopped from error


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Neural networks of +1 and −1: train, lower, prove, run.",
)


class _ModelFirst(TyperGroup):
    """``bench FILE`` is short for ``bench model FILE``: what names no command and asks no help belongs to that one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help") and not self._is_mistyped(args[0]):
            args = ["model", *args]
        return super().parse_args(ctx, args)

    def _is_mistyped(self, word: str) -> bool:
        return bool(closest(word, self.commands)) and not find(word).is_file()


bench = typer.Typer(cls=_ModelFirst, no_args_is_help=True, help="Time a model (bench MODEL.bnn), or something else.")
app.add_typer(bench, name="bench")


class _Plain(Console):
    """Prints text as it is: names out of files are no markup, no emoji, and steer no terminal."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(printable(text), **how)


# Into a pipe or a file nothing is wrapped.
console = _Plain(width=None if sys.stdout.isatty() else 10**6, markup=False, highlight=False, emoji=False)


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
    """Entry point. Returns (and exits with) 0, 1 for a check that failed, 2 for bad input, 130 after Ctrl-C, 143 after
    SIGTERM."""
    # Waiting threads that spin make torch ten times slower as soon as another process wants a core. Read at its import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with _terminable():
        code = _run(arguments)
    if arguments is None:
        sys.exit(code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
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

        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        return code if isinstance(code, int) else 0
    except TyperException as error:
        # Without arguments Typer raises its own help text, which is no mistake.
        return 0 if type(error).__name__ == "NoArgsIsHelpError" else fail(error.format_message())
    except BinarynetError as error:
        return fail(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("binarynet"):
            raise
        return fail(missing(str(error.name)))
    except OSError as error:
        return fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    except typer.Abort:
        return _stopped(KeyboardInterrupt())
    except _Stopped as error:
        return _stopped(error.__cause__)
    except KeyboardInterrupt as error:
        return _stopped(error)


class Terminated(KeyboardInterrupt):
    """SIGTERM: it ends a verb as Ctrl-C does, with the exit code that shells know it by."""

    exit_code = 128 + signal.SIGTERM


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM raises `Terminated` in the main thread, so that files, processes and run folders are left in order."""

    def terminate(number: int, frame: Any) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(error: BaseException | None) -> int:
    """Say that it was stopped (training says how to go on); the exit code."""
    fail(str(error or "") or "stopped")
    return int(getattr(error, "exit_code", 128 + signal.SIGINT))


def fail(message: str) -> int:
    """One line on standard error; returns the exit code for bad input."""
    if sys.stderr is not None:  # as it is where a process was started without one
        print("binarynet: " + " ".join(printable(message).split()), file=sys.stderr)
    return 2


def show_json(document: Any) -> None:
    """The document on standard output, one object, for programs."""
    print(json.dumps(document, indent=2))


def human_time(seconds: float) -> str:
    """0.00123 → '1.23 ms'."""
    return f"{seconds * 1e3:,.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def human_bytes(count: int) -> str:
    """1234567 → '1.23 MB' (10⁶ bytes)."""
    for unit, size in (("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"
