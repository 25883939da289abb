"""The C library as the tests find it: built once by `make library`, for all processes."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "native"


@cache
def built() -> Path:
    """The folder with libbinarynet, bnn and reader_pipe. Skips the test where the library cannot be built."""
    if shutil.which("make") is None:
        pytest.skip("the library is built by make (Debian package make)")
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "library.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["make", "-s", "library"], cwd=ROOT, capture_output=True, text=True, env=_plain())
    assert not done.returncode, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    if "skipped" in done.stdout:
        pytest.skip(done.stdout.strip())
    return BUILD


def _plain() -> dict[str, str]:
    """The environment without what an outer make hands down."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
