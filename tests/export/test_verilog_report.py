"""What a design costs: yosys on three families, nextpnr for the clock, and the multiplier that an XNOR replaces."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import binarynet.export.verilog as verilog
from binarynet.errors import ExportError
from binarynet.export import write
from binarynet.export.verilog import report
from binarynet.export.verilog.check import lint
from binarynet.export.verilog.options import Options
from tests.export.building import need
from tests.graph.graphs import small_mlp

PRIMITIVES = Path(verilog.__file__).parent / "primitives"


def test_a_design_has_cells_and_a_clock_on_an_ice40(tmp_path):
    need("yosys", "nextpnr-ice40")
    write(small_mlp(), "verilog", tmp_path, Options("net", fold=("1x4",)))
    found = report.area(tmp_path, "net", "ice40")
    assert 100 < found.luts < 2_000
    assert 50 < found.flipflops < 1_000
    placed = report.placed(tmp_path, "net")
    assert 5 < placed.mhz < 500
    assert (placed.there, placed.kind) == (7680, "ICESTORM_LC")
    # A cell holds a table, a flip-flop or both, so there are no fewer than tables.
    assert found.luts <= placed.used < found.luts + found.flipflops
    assert placed.used < placed.there


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
def test_a_float_multiplier_costs_hundreds_of_times_an_xnor(family):
    need("yosys")
    multiplier, xnor = report.primitives(family)
    assert xnor.luts == 1
    assert multiplier.luts > 500
    assert multiplier.flipflops == xnor.flipflops == 0


def test_a_missing_module_is_one_line(tmp_path):
    need("yosys")
    (tmp_path / "net.v").write_text("module net (input wire a, output wire b); absent x (a, b); endmodule\n")
    with pytest.raises(ExportError, match=r"yosys: ERROR: Module .*absent' referenced") as error:
        report.area(tmp_path, "net", "ice40")
    assert "\n" not in str(error.value)


MULTIPLY = """module bench;
    reg [31:0] a, b;
    wire [31:0] product;
    float_multiplier dut (.a(a), .b(b), .product(product));
    integer file;
    initial begin
        file = $fopen("pairs.hex", "r");
        while ($fscanf(file, "%h %h", a, b) == 2) #1 $display("%h", product);
        $finish;
    end
endmodule
"""


def test_the_float_multiplier_is_one(tmp_path):
    """== with numpy on every kind of number; below the smallest normal one it has 0, as it says."""
    need("iverilog")
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, (3000, 2), dtype=np.uint32)
    near = (rng.integers(120, 135, (3000, 2)) << 23 | rng.integers(0, 2**23, (3000, 2))).astype(np.uint32)
    ends = np.uint32([0, 1 << 31, 0x3F800000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x00800000, 0x3FFFFFFF, 0x7FC00001])
    pairs = np.concatenate([bits, near, np.array(np.meshgrid(ends, ends)).reshape(2, -1).T])
    tiny = (pairs >> 23 & 255) == 0
    a, b = np.where(tiny, pairs & np.uint32(1 << 31), pairs).T.copy().view(np.float32)
    with np.errstate(all="ignore"):
        wide, expected = a.astype(np.float64) * b, a * b
        # What is rounded up to the smallest normal number from below it: the standard rounds it there, we to 0.
        expected = np.where(np.abs(wide) < 2.0**-126, np.copysign(np.float32(0), expected), expected)
    shutil.copy(PRIMITIVES / "float_multiplier.v", tmp_path)
    (tmp_path / "bench.v").write_text(MULTIPLY)
    (tmp_path / "pairs.hex").write_text("".join(f"{x:x} {y:x}\n" for x, y in pairs.tolist()))
    command = ["iverilog", "-g2005", "-o", "bench", "bench.v", "float_multiplier.v"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = np.array([int(word, 16) for word in done.stdout.split() if len(word) == 8], np.uint32)
    assert len(found) == len(pairs)
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(found.view(np.float32)), nan)
    np.testing.assert_array_equal(found[~nan], expected[~nan].astype(np.float32).view(np.uint32))


@pytest.mark.parametrize("name", report.PRIMITIVES)
def test_the_primitives_are_lint_clean(name):
    need("verilator")
    lint(PRIMITIVES, name)
