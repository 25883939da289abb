"""Compilers and simulators, run to their end, and ended with all that they have started if we are stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path


def finished(
    command: Sequence[str | Path], folder: Path | None = None, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program in ``folder`` with ``given`` on its standard input; its exit code and what it printed.

    It and its children are a group of their own. Ctrl-C and SIGTERM reach us alone, and then end that group.
    """
    program = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = program.communicate(given)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
        raise
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)
