"""What a process does that is killed while it trains."""

from __future__ import annotations

import signal
from pathlib import Path

from binarynet.nn import native
from binarynet.train import fit
from tests.train import tiny


def fit_until(out: Path, step: int, gradients: str | None) -> None:
    """Train a tiny net, and die by SIGKILL at a step; with gradients, our products do all of it."""
    tiny.before_step = tiny.send_at(step, signal.SIGKILL)
    if gradients:
        native.PRODUCTS = native.ELEMENTS = 0  # no net is too small
    fit(tiny.Tiny(), tiny.blobs(), out, progress=False, threads=1, gradients=gradients)
