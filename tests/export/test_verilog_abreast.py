"""An image a clock: dense nets unrolled whole, words of many pixels, classes side by side."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from binarynet.errors import ExportError
from binarynet.export import write
from binarynet.export.verilog.check import lint
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.pins import pins, shifted
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.unrolled.timing import clocks
from tests.export.building import need
from tests.export.simulating import assert_verilog_equals_the_oracle
from tests.runtime.graphs import Maker


def sparse(seed: int = 1, affine: bool = True) -> Maker:
    """Bytes, a threshold for each pixel, layers whose neurons read few inputs, and a last one that reads all."""
    make = Maker((4, 6, 1), "b8", seed=seed)
    make.conv(1, (1, 1))
    make.threshold("mixed")
    make.flatten()
    for width in (40, 30):
        make.linear(width, encoding="t2")
        make.ops[-1].weight[0] = 0  # a neuron that looks at nothing
        make.ops[-1].weight[1, 1:] = 0  # and one that looks at one input, which its threshold may never reach
        make.threshold("mixed")
    make.linear(10)
    weight = make.ops[-1].weight
    weight[7] = weight[2]  # classes that are equal
    if affine:
        make.affine()
    return make


@pytest.mark.parametrize(
    ("family", "affine", "simulator", "images"),
    [("xilinx", False, "iverilog", 30), ("ecp5", True, "iverilog", 30), ("ecp5", True, "verilator", 9)],
)
def test_an_image_a_clock_equals_the_oracle_and_is_lint_clean(family, affine, simulator, images, tmp_path):
    need("verilator")  # for the lint
    made, fold = sparse(affine=affine), ("input=24x1",)
    graph, codes = made.graph(), made.codes(images)
    found = assert_verilog_equals_the_oracle(graph, codes, tmp_path, fold, simulator, unroll=("all",), family=family)
    assert found.interval == 1
    lint(tmp_path, "net_axis")


@pytest.mark.parametrize("pixels", [3, 12])
def test_words_of_some_pixels_take_as_many_clocks_as_an_image_has_of_them(pixels, tmp_path):
    made, fold = sparse(2), (f"input={pixels}x1",)
    found = assert_verilog_equals_the_oracle(made.graph(), made.codes(20), tmp_path, fold, unroll=("all",))
    assert found.interval == 24 // pixels


@pytest.mark.parametrize("pixels", [8, 24])
def test_holds_gaps_and_resets_change_nothing(pixels, tmp_path):
    made, fold = sparse(3), (f"input={pixels}x1",)
    assert_verilog_equals_the_oracle(made.graph(), made.codes(80), tmp_path, fold, stalls=True, unroll=("all",))


def test_an_image_of_channels_and_codes_of_many_digits(tmp_path):
    make = Maker((2, 3, 2), "u3", seed=4)
    make.conv(3, (1, 1), encoding="t2")
    make.threshold(encoding="u2")
    make.flatten()
    make.linear(7)
    make.threshold(encoding="b2")
    make.linear(9)
    graph, fold = make.graph(), ("input=12x1",)
    found = assert_verilog_equals_the_oracle(graph, make.codes(20), tmp_path, fold, unroll=("all",))
    assert found.interval == 1


def test_few_classes_behind_a_slow_input_still_go_out_one_by_one():
    graph = sparse().graph()
    assert not planned(graph, Options("net", unroll=("all",))).flows
    assert planned(graph, Options("net", unroll=("all",))).interval == 24
    assert planned(graph, Options("net", unroll=("all",), fold=("input=24x1",))).flows


def test_words_that_are_no_whole_pixels_and_layers_that_cannot_read_them_are_refused(tmp_path):
    graph = sparse().graph()
    with pytest.raises(ExportError, match=r"fold input=5x1: a word is some of a pixel.s 1 values, or several"):
        planned(graph, Options("net", unroll=("all",), fold=("input=5x1",)))
    with pytest.raises(ExportError, match=r"conv1 \(Conv2d\): .* words of several pixels as an unrolled layer only"):
        planned(graph, Options("net", fold=("input=6x1",)))
    make = Maker((4, 6, 1), "b1", seed=1)
    make.conv(2)
    make.threshold()
    make.flatten()
    make.linear(3)
    with pytest.raises(ExportError, match=r"conv1 \(Conv2d\): .* words of several pixels as a 1x1 convolution only"):
        planned(make.graph(), Options("net", fold=("input=6x1",), unroll=("all",)))


def test_a_tally_takes_as_many_clocks_as_the_units_say():
    assert [clocks(bits, 4) for bits in (1, 12, 13, 24, 25, 75)] == [1, 1, 2, 2, 3, 4]
    assert [clocks(bits, 6) for bits in (1, 36, 37, 73)] == [1, 1, 2, 3]


def test_ports_wider_than_a_chip_stand_between_shift_registers(tmp_path):
    need("iverilog")
    made = sparse()
    write(made.graph(), "verilog", tmp_path, Options("net", unroll=("all",), fold=("input=24x1",)))
    text = (tmp_path / "net.v").read_text(encoding="ascii")
    plan = planned(made.graph(), Options("net", unroll=("all",), fold=("input=24x1",)))
    logits = 10 * int(np.ceil(np.log2(2 * plan.last.weight[0].size + 2)) + 1)
    assert 24 * 8 + 4 < pins(text) <= 24 * 8 + 4 + 7 + logits
    (tmp_path / "net_pins.v").write_text(shifted(text, "net"), encoding="ascii")
    command = ["iverilog", "-g2005", "-Wall", "-y", ".", "-s", "net_pins", "-o", "made", "net_pins.v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "net_pins.v" not in done.stderr
