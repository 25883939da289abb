"""The entry point around all verbs: what ends them that is no verb's own. One line on standard error, exit code 2.

Standard output that was closed before the start, a disk that is full when the last line is written, no memory left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb in ``arguments``, or in those of the process, which then ends with the exit code of the verb."""
    code = _run(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        sys.exit(code)
    return code


def _run(arguments: Sequence[str]) -> int:
    if sys.stdout is None:
        return _fail("standard output is closed: let it be a file, a pipe or a terminal")
    try:
        from binarynet.cli import verbs  # here: it asks how wide standard output is, and Ctrl-C may come meanwhile
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in ("typer", "rich"):
            raise
        return _fail(f"the command line needs {package!r}: pip install 'binarynet[cli]'")
    try:
        code = verbs.run(arguments)
        sys.stdout.flush()
    except MemoryError:
        return _fail("there is not enough memory for this")
    except OSError as error:
        # What could not be written would be tried once more at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(f"standard output: {error.strerror or error}")
    return code


def _fail(message: str) -> int:
    if sys.stderr is not None:
        print(f"binarynet: {message}", file=sys.stderr)
    return 2
