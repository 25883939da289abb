"""One way to print and one way to fail: results on standard output, a mistake in one line on standard error."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from binarynet.errors import printable


class _Plain(Console):
    """Prints text as it is: names out of files are no markup, no emoji, and steer no terminal."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(printable(text), **how)


# Into a pipe or a file nothing is wrapped.
console = _Plain(width=None if sys.stdout.isatty() else 10**6, markup=False, highlight=False, emoji=False)


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
