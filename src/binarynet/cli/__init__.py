"""The command line: ``demo · recipes · train · eval · lower · inspect · run · verify · export · import · bench``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """`binarynet.cli.app.main`, imported here so that Ctrl-C during its imports leaves no traceback."""
    try:
        from binarynet.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    return run(arguments)
