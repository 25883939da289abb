"""benchmarks/circuits.py: how often 2-D kernels repeat, of a file and of a run folder."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from binarynet.errors import run_script
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.unrolled.text import Layer
from binarynet.export.verilog.unrolled.unit import Unrolled
from binarynet.format import load
from binarynet.graph.ir import Conv2d
from binarynet.report.filters import repetition

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "circuits.py"
repeated = runpy.run_path(str(SCRIPT))["repeated"]


def test_a_kernel_and_its_inverse_count_as_one() -> None:
    plus = np.ones((3, 3), np.int8)
    other = plus.copy()
    other[1, 1] = -1
    weight = np.stack([plus, -plus, other, -other]).reshape(2, 2, 3, 3).transpose(0, 2, 3, 1)  # (out, h, w, in)
    assert repeated(weight) == (2 / 4, 1.0)  # each channel has one of each; the layer two
    assert repeated(weight[[0, 0]]) == (1 / 4, 1 / 2)


def test_the_counts_are_those_of_the_analysis() -> None:
    graph = load(ROOT / "zoo" / "mnist-small" / "model.bnn")
    conv3 = graph["conv3"]
    assert isinstance(conv3, Conv2d)
    found = repetition(conv3)
    assert repeated(conv3.weight) == (found.unique_up_to_sign / found.filters, found.share_up_to_sign)


def test_a_folder_that_is_no_run_is_said_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--counts"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("\n") == 1


def test_counters_alone_share_no_sign_class() -> None:
    graph = load(ROOT / "zoo" / "digits" / "model.bnn")
    unit = planned(graph, Options("net", unroll=("classes",))).units[-1]
    assert isinstance(unit, Unrolled)
    alone, shared = Layer(unit, "net", 1), Layer(unit, "net")
    assert (alone.size, len(alone.groups)) == (1, len(alone.large))
    assert shared.size > 1
    assert len(shared.groups) < len(alone.groups)
    assert alone.text() != shared.text()


def test_a_file_that_cannot_be_written_ends_a_script_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_script(lambda: (tmp_path / "none" / "x").write_text("") and 0)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"{tmp_path}/none/x: No such file or directory\n")
