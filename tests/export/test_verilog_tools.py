"""What other tools want of a design: where ROMs are and what they are made of, FuseSoC, cocotb, waves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import binarynet.export.verilog as verilog
from binarynet import load_graph
from binarynet.errors import ExportError
from binarynet.export import write
from binarynet.export.verilog import check, report
from binarynet.export.verilog.check import lint, simulate
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.roms import STYLES, styled
from binarynet.graph import Graph
from tests.export.building import need
from tests.export.test_names import GRAPHS
from tests.runtime.graphs import Maker

PARTS = Path(verilog.__file__).parent / "parts"


def made(folder: Path, **options: object) -> tuple[Graph, np.ndarray, Options]:
    """A net with a folded and an unrolled layer, written into the folder."""
    make = Maker((12,), "u4", seed=1)
    make.linear(24)
    make.threshold("mixed")
    make.linear(6)
    make.threshold()
    make.linear(5)
    make.affine()
    chosen = Options("net", fold=("4x4",), unroll=("linear3",), **options)  # type: ignore[arg-type]
    graph = make.graph()
    write(graph, "verilog", folder, chosen)
    return graph, make.codes(8), chosen


def installed(module: str) -> None:
    """Skip, naming the package, where it is missing."""
    pytest.importorskip(module, reason=f"pip install {module}")


def said(command: list[str | Path], folder: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


ICARUS = ["iverilog", "-g2005", "-y", ".", "-s", "net_tb", "-o", "net_tb", "net_tb.v"]


@pytest.mark.parametrize("path", ["roms", "../out/roms/"])
def test_roms_are_read_from_where_the_prefix_says_and_a_parameter_moves_them(path, tmp_path):
    need("iverilog")
    folder = tmp_path / "out"
    graph, codes, options = made(folder, rom_path=path)
    assert simulate(folder, graph, options, codes, "iverilog").passed  # --check finds them where they were written
    (folder / "roms").mkdir()
    for rom in folder.glob("net_*.hex"):
        if rom.name not in ("net_images.hex", "net_expected.hex"):
            rom.rename(folder / "roms" / rom.name)
    subprocess.run(ICARUS, cwd=folder, check=True)
    assert "PASS 8 images" in said(["vvp", "-n", "net_tb"], folder)
    subprocess.run([*ICARUS[:1], '-Pnet_tb.ROM_PATH="elsewhere/"', *ICARUS[1:]], cwd=folder, check=True)
    text = said(["vvp", "-n", "net_tb"], folder)
    assert "elsewhere/net_linear1_weights.hex" in text
    assert "PASS" not in text


def test_a_design_with_a_prefix_is_lint_clean_and_runs_in_verilator(tmp_path):
    need("verilator")
    graph, codes, options = made(tmp_path, rom_path="roms", rom_style="distributed")
    lint(tmp_path, "net_axis")
    assert simulate(tmp_path, graph, options, codes, "verilator").passed


@pytest.mark.parametrize(
    "path", ['"', "a b", "a\\b", "a\n", "$x", "`x", "a;b", "a'b", "%s", "a,b", "é", "x" * 201, "{x}", "(x)"], ids=ascii
)
def test_a_prefix_that_would_leave_its_string_is_refused(path):
    with pytest.raises(ExportError, match="rom-path"):
        Options("net", rom_path=path)


def test_an_unknown_style_is_refused_with_those_that_there_are():
    with pytest.raises(ExportError, match=r"rom-style 'blocks'.* Known: auto, block, distributed"):
        Options("net", rom_style="blocks")


def test_a_style_says_what_roms_are_made_of(tmp_path):
    need("yosys")
    part = (PARTS / "binarynet_rom.v").read_text()
    (tmp_path / "words.hex").write_text("".join(f"{k * 40503 & 65535:x}\n" for k in range(64)))
    found = {}
    for style in ("auto", "block", "distributed", "M20K"):
        (tmp_path / "rom.v").write_text(styled(part, style))
        given = 'chparam -set WIDTH 16 -set WORDS 64 -set FILE "words.hex" binarynet_rom'
        script = f"read_verilog rom.v; {given}; synth_ice40 -top binarynet_rom; tee -o cells stat"
        subprocess.run(["yosys", "-q", "-p", script], cwd=tmp_path, check=True)
        found[style] = "SB_RAM40_4K" in (tmp_path / "cells").read_text()
    assert found == {"auto": False, "block": True, "distributed": False, "M20K": True}
    assert all(styled(part, style).replace(STYLES[style], "").count("rom_style") <= 1 for style in STYLES)


def test_lanes_that_are_compiled_apart_answer_the_same(tmp_path, monkeypatch):
    """A net of two shapes of lanes, and one that is large enough to be compiled so."""
    need("verilator")
    graph, codes, options = made(tmp_path)
    assert not check.lanes_apart(planned(graph, options))
    assert check.lanes_apart(planned(load_graph("mnist-small"), Options("net", fold=("auto",))))
    monkeypatch.setattr(check, "MANY", 1)
    found = check.simulate(tmp_path, graph, options, codes, "verilator")
    assert "hier_block" in (tmp_path / "net_tb.vlt").read_text()
    assert found.passed
    assert len(found.classes) == len(codes)


def test_the_report_finds_roms_that_will_lie_elsewhere(tmp_path):
    need("yosys")
    make = Maker((4,), "u2", seed=1)
    make.linear(3)
    write(make.graph(), "verilog", tmp_path, Options("net", rom_path="away", rom_style="block"))
    assert report.area(tmp_path, "net", "ice40").memories["SB_RAM40_4K"]


def test_waves_are_written_where_they_are_asked_for(tmp_path):
    need("iverilog")
    made(tmp_path)
    subprocess.run(ICARUS, cwd=tmp_path, check=True)
    said(["vvp", "-n", "net_tb"], tmp_path)
    assert not (tmp_path / "net.vcd").exists()
    assert "PASS 8 images" in said(["vvp", "-n", "net_tb", "+vcd"], tmp_path)
    waves = (tmp_path / "net.vcd").read_text()
    assert re.search(r"\$var wire +4 \S+ in_data", waves)
    assert "$scope module linear1 $end" in waves


def fusesoc(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    installed("fusesoc")
    program = "import sys; from fusesoc.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "--cores-root", folder, "run", "--work-root", folder / "work", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_fusesoc_simulates_the_design(tmp_path):
    need("iverilog", "make")
    made(tmp_path, rom_path="roms")
    done = fusesoc(tmp_path, "--target=sim", "net", "--stalls", "--resets")
    assert done.returncode == 0, done.stderr
    assert "PASS 8 images" in done.stdout + done.stderr


def test_fusesoc_lints_the_design(tmp_path):
    need("verilator", "make")
    made(tmp_path)
    done = fusesoc(tmp_path, "--target=lint", "net")
    assert done.returncode == 0, done.stderr
    source = tmp_path / "net_axis.v"
    source.write_text(source.read_text().replace("assign m_axis_tlast = 1'b1", "assign m_axis_tlast = 2'b1"))
    assert fusesoc(tmp_path, "--target=lint", "net").returncode


def test_the_core_file_names_every_file_once(tmp_path):
    yaml = pytest.importorskip("yaml", reason="pip install pyyaml")
    made(tmp_path, rom_path="roms")
    text = (tmp_path / "net.core").read_text(encoding="ascii")
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.partition("\n")[2])
    assert core["name"] == "::net:0"
    listed = [
        file if isinstance(file, str) else next(iter(file))
        for one in core["filesets"].values()
        for file in one["files"]
    ]
    written = {file.name for file in tmp_path.iterdir()} - {"net.core", "net_cocotb.py"}
    assert sorted(listed) == sorted(written)
    assert core["parameters"]["ROM_PATH"]["default"] == "./"


@pytest.mark.parametrize("graph", GRAPHS, ids=["first", "second", "third"])
def test_no_name_of_a_model_breaks_out_of_the_core_file_or_the_test(graph, tmp_path):
    yaml = pytest.importorskip("yaml", reason="pip install pyyaml")
    write(graph, "verilog", tmp_path, Options("net", unroll=("all",), command="--out 'x\n- y: &a'"))
    core = yaml.safe_load((tmp_path / "net.core").read_text(encoding="ascii").partition("\n")[2])
    assert set(core) == {"name", "description", "filesets", "targets", "parameters"}
    listed = [
        next(iter(file)) if isinstance(file, dict) else file for s in core["filesets"].values() for file in s["files"]
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_]+\.(v|hex)", file) for file in listed)
    program = ast.parse((tmp_path / "net_cocotb.py").read_text(encoding="ascii"))
    assert "INJECTED{" not in ast.unparse(program)  # no identifier holds a brace


def test_cocotb_finds_every_answer_and_sees_a_wrong_one(tmp_path):
    need("iverilog")
    installed("cocotb")
    made(tmp_path, rom_path="roms")
    text = said([sys.executable, "net_cocotb.py"], tmp_path)
    assert "PASS 3 of 3 tests" in text, text[-2000:]
    expected = tmp_path / "net_expected.hex"
    first, *rest = expected.read_text().splitlines()
    number, integer, *others = first.split()
    expected.write_text("\n".join([" ".join([number, f"{int(integer, 16) ^ 1:x}", *others]), *rest]) + "\n")
    text = said([sys.executable, "net_cocotb.py"], tmp_path)
    assert "FAIL" in text
    assert "PASS 3 of 3" not in text
