"""Ray Data with two workers, one of which is killed: examples/score_with_ray.py counts what became of every row."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "score_with_ray.py"


@pytest.mark.skipif(find_spec("ray") is None, reason="no ray (pip install 'ray[data]'); make scale-check brings it")
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing() -> None:
    environment = os.environ | {"RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--demo", "100000"], capture_output=True, text=True, timeout=500, env=environment
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    said = done.stdout.splitlines()[-1]
    assert "killed when" in said
    assert said.endswith("0 lost, 0 twice, 0 wrong")
