"""Runs the verb that a command line asks for.

Bad input ends with one line on standard error and exit code 2, never with a traceback; Ctrl-C and SIGTERM end a verb in
order.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.exceptions import TyperException

from binarynet.cli.app import Stopped, app
from binarynet.cli.install import missing
from binarynet.cli.printing import fail
from binarynet.errors import BinarynetError


def run(arguments: Sequence[str]) -> int:
    """The exit code: 0, 1 for a check that failed, 2 for bad input, 130 after Ctrl-C, 143 after SIGTERM."""
    # Waiting threads that spin make torch ten times slower as soon as another process wants a core. Read at its import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with _terminable():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        from binarynet.cli import (  # noqa: F401  (each adds its verb)
            bench_gpu,
            bench_model,
            bench_suite,
            bench_train,
            compare,
            data,
            demo,
            doctor,
            eval,
            export,
            import_,
            inspect,
            lower,
            new,
            play,
            push,
            recipes,
            report,
            run,
            serve,
            sweep,
            train,
            tune,
            verify,
            zoo,
        )

        code = app(args=list(arguments), standalone_mode=False)
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
    except Stopped as error:
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
