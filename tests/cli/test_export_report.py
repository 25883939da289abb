"""The line of energy behind what an export's --report says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from binarynet.cli import main
from binarynet.export import TARGETS
from binarynet.format import load
from binarynet.report.analysis import analyse
from binarynet.report.energy import energy_line

CONVNET = Path(__file__).parents[1] / "data" / "small_convnet.bnn"


def test_the_line_is_the_models_and_says_so() -> None:
    graph = load(CONVNET)
    line = energy_line(graph)
    assert line.startswith(f"{analyse(graph).cost.energy_pj / 1e3:,.3g} nJ an image")
    assert "by the model of 45 nm" in line
    assert "not of this chip" in line


@pytest.mark.parametrize("asked", [True, False])
def test_report_adds_energy_behind_the_targets_lines(tmp_path, capsys, monkeypatch, asked) -> None:
    monkeypatch.setattr(TARGETS["verilog"], "says", lambda folder, options: ["tables"] if options.report else [])
    words = ["export", str(CONVNET), "--to", "verilog", "--out", str(tmp_path), "--json"]
    assert main([*words, "--report"] if asked else words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.get("report") == (["tables", "", energy_line(load(CONVNET))] if asked else None)
