"""Programs outside the package end as the command line does: one line, exit code 2, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [
    path
    for folder in ("benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "__main__" in (text := path.read_text(encoding="utf-8")) and "binarynet" in text and "gpu" not in path.parts
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_ends_by_the_function_that_says_errors_in_a_line(script):
    assert "run_script(" in script.read_text(encoding="utf-8").split('if __name__ == "__main__":')[1]


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("benchmarks/exported_c.py", ["nothing.bnn", "--data", "digits"], "nothing.bnn"),
        ("benchmarks/record.py", ["nothing"], "is no run folder"),
        ("examples/deploy_mcu/run.py", ["nothing.bnn"], "nothing.bnn"),
    ],
)
def test_what_is_missing_is_said_in_one_line(script, arguments, said):
    ended = subprocess.run(
        [sys.executable, str(ROOT / script), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith(f"{Path(script).name}: ")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
