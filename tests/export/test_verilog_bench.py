"""A test bench that bites: every mutant of every part fails it, and hangs for no more clocks than it allows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from binarynet.export import write
from binarynet.export.verilog.bench import write_vectors
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from tests.export.building import need
from tests.export.graphs import SAME
from tests.runtime.graphs import Maker

# File, what stands in it, what a mistake would have made of it.
MUTANTS = {
    "a threshold takes words while it holds one": ("threshold", "in_ready = !out_valid | out_ready", "in_ready = 1'b1"),
    "a threshold drops a word": ("threshold", "out_valid <= in_valid;", "out_valid <= in_valid & !out_valid;"),
    "a matrix runs on while its reader waits": ("matrix", "advance = !out_valid | out_ready", "advance = 1'b1"),
    "a matrix begins a sum one step late": ("matrix", "part_first <= step[1]", "part_first <= step[0]"),
    "a window takes words into rows that are in use": (
        "window", "in_ready = arrived < kept",
        "in_ready = arrived <= kept",
    ),
    "a window reads rows before they have come": ("window", "arrived >= (whole", "1'b1 + arrived >= (whole"),
    "a window is off by a column": (
        "window", "image_column = column - IMAGE_LEFT",
        "image_column = column - 1'b1 - IMAGE_LEFT",
    ),
    "an unrolled window forgets the border": ("columns", "column_outside[k] ? FILL :", "1'b0 ? FILL :"),
    "an unrolled window drops the last places": ("columns", "(late & column == {XBITS{1'b0}})", "1'b0"),
    "an unrolled window takes words always": (
        "columns", "in_ready = arrived < kept + BUFFER_ROWS[YBITS-1:0]",
        "in_ready = 1'b1",
    ),
    "a pool compares with the image before": ("pool", "so_far = first ? worst :", "so_far = 1'b0 ? worst :"),
    "a pool's reader is not waited for": ("pool", "advance = !out_valid | out_ready", "advance = 1'b1"),
    "a narrower drops what its reader has not taken": ("narrow", "in_ready = !out_valid | done", "in_ready = 1'b1"),
    "a widener goes out one part early": ("widen", "COUNT(PARTS)", "COUNT(PARTS - 1)"),
    "a loop runs once too often": ("loop", "LAST = COUNT - 1", "LAST = COUNT"),
    "equal classes go to the last": ("argmax", "in_data > best", "in_data >= best"),
    "a class is not held": ("argmax", "in_ready = !out_valid | out_ready", "in_ready = 1'b1"),
    "a class does not come": ("argmax", "out_valid <= in_valid & last", "out_valid <= 1'b0"),
    "classes never stop": ("argmax", "out_valid <= in_valid & last", "out_valid <= 1'b1"),
    "codes are not turned by a weight of -1": ("lane", "x[INPUTS*n+j] ~^ w[j]", "x[INPUTS*n+j]"),
    "a slice takes a third word": ("slice", "in_ready = !waits", "in_ready = 1'b1"),
    "a slice loses the second word": ("slice", "waits ? second : in_data", "in_data"),
    "constants begin with the second": ("sequence", "fetch = step | !begun[KEPT]", "fetch = step"),
    "a reset leaves half an image": ("loop", "if (reset) value", "if (1'b0) value"),
    "a count is one too low": ("count", "count[d] = TABLE[bits]", "count[d] = TABLE[bits] & !(&bits)"),
}  # fmt: skip

# The same of the units of a design that takes a word in every clock.
FLOWING = {
    "more images are let in than have a place": ("admit", "full <= next == PLACES[DEPTH_BITS:0]", "full <= 1'b0"),
    "places are not given back": ("admit", "- {{DEPTH_BITS{1'b0}}, taken}", ""),
    "an image never ends": ("admit", "midway <= !last", "midway <= 1'b1"),
    "a queue's word goes before it is taken": ("queue", "move = !out_valid | out_ready", "move = 1'b1"),
    "a queue loses a word": ("queue", "if (in_valid) next <=", "if (in_valid & !out_valid) next <="),
    "a queue says nothing": ("queue", "out_valid <= waits", "out_valid <= 1'b0"),
    "a queue forgets no word in a reset": ("queue", "out_valid <= 1'b0;", "out_valid <= out_valid;"),
    "equal classes go to the last": ("contest", "right > left", "right >= left"),
    "the latter half never wins": ("contest", "wins = right > left", "wins = 1'b0 & right > left"),
    "integers lack their base": ("scores", "sum + BASES[LOGIT_BITS*k+:LOGIT_BITS]", "sum"),
    "a tally forgets a half": ("tally", "{{(BITS - LEFT) {1'b0}}, left}", "{BITS{1'b0}}"),
    "a tally waits a clock less": ("tally", "if (CLOCKS == 1)", "if (CLOCKS <= 2)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def flowing(tmp_path_factory) -> Path:
    """Two words an image; classes that tie, by their integers alone."""
    need("iverilog")
    folder = tmp_path_factory.mktemp("flowing")
    make = Maker((2, 5, 1), "u2", seed=7)
    make.conv(3, (1, 1), encoding="t2")
    make.threshold("mixed")
    make.flatten()
    make.linear(13)
    make.threshold("mixed")
    make.linear(5)
    weight = make.ops[-1].weight
    weight[1] = weight[0]
    weight[4] = weight[2]
    graph, fold = make.graph(), ("input=5x1",)
    options = Options("net", fold=fold, unroll=("all",), family="ecp5")
    write(graph, "verilog", folder, options)
    write_vectors(planned(graph, options), folder, "net", make.codes(60))
    return folder


@pytest.fixture(scope="module")
def design(tmp_path_factory) -> Path:
    """Folded and unrolled layers, a pool, words of other widths; classes that tie."""
    need("iverilog")
    folder = tmp_path_factory.mktemp("design")
    make = Maker((4, 5, 2), "u3", seed=3)
    make.conv(6, padding=SAME)
    make.threshold("mixed")
    make.max_pool((2, 2), (1, 1))
    make.conv(5, padding=SAME)
    make.threshold("mixed")
    make.flatten()
    make.linear(4)
    weight = make.ops[-1].weight
    weight[1] = weight[0]  # classes that are equal
    weight[3] = weight[2]
    write(make.graph(), "verilog", folder, Options("net", fold=("2x2", "input=2x1", "linear7=2x2"), unroll=("conv4",)))
    return folder


def said(folder: Path, *plus: str) -> str:
    """The last line of the test bench in a folder."""
    built = ["iverilog", "-g2005", "-y", ".", "-s", "net_tb", "-o", "tb", "net_tb.v"]
    subprocess.run(built, cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["vvp", "-n", "tb", *plus], cwd=folder, capture_output=True, text=True, timeout=120)
    return done.stdout.splitlines()[-1]


def test_the_design_passes_with_gaps_holds_and_resets(design):
    assert said(design, "+stalls", "+resets") == "PASS 8 images"


def test_a_design_that_flows_passes_with_gaps_holds_and_resets(flowing):
    assert said(flowing, "+stalls", "+resets") == "PASS 60 images"


@pytest.mark.parametrize("mutant", FLOWING)
def test_a_mutant_of_a_design_that_flows_fails(mutant, flowing, tmp_path):
    fails(FLOWING[mutant], flowing, tmp_path)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_fails(mutant, design, tmp_path):
    fails(MUTANTS[mutant], design, tmp_path)


def fails(mutant: tuple[str, str, str], design: Path, tmp_path: Path) -> None:
    part, right, wrong = mutant
    for file in design.iterdir():
        if file.suffix in (".v", ".hex"):
            shutil.copy(file, tmp_path)
    file = tmp_path / f"binarynet_{part}.v"
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))
    assert "FAIL" in said(tmp_path, "+stalls", "+resets")


def test_a_reset_that_takes_words_fails(design, tmp_path):
    for file in design.iterdir():
        if file.suffix in (".v", ".hex"):
            shutil.copy(file, tmp_path)
    top = tmp_path / "net.v"
    text = top.read_text()
    assert "in_ready = input_ready & !reset" in text
    top.write_text(text.replace("in_ready = input_ready & !reset", "in_ready = input_ready"))
    assert said(tmp_path, "+resets").startswith("FAIL: in_ready or out_valid is 1 in reset")


def test_a_lost_word_of_an_image_fails(design, tmp_path):
    for file in design.iterdir():
        if file.suffix in (".v", ".hex"):
            shutil.copy(file, tmp_path)
    images = tmp_path / "net_images.hex"
    images.write_text("".join(images.read_text().splitlines(keepends=True)[1:]))
    assert "FAIL" in said(tmp_path)


def test_a_rank_of_another_class_fails(tmp_path):
    need("iverilog")
    make = Maker((9,), "b1", seed=3)
    make.linear(5)
    make.affine()
    graph, options = make.graph(), Options("net", fold=("5x9", "input=9x1"))
    write(graph, "verilog", tmp_path, options)
    write_vectors(planned(graph, options), tmp_path, "net", make.codes(60))
    assert said(tmp_path, "+stalls", "+resets") == "PASS 60 images"
    file = tmp_path / "binarynet_turn.v"
    text = file.read_text()
    for right, wrong in (("next == LAST[BITS-1:0]", "1'b0"), ("if (advance) number <= next", "number <= next")):
        assert right in text
        file.write_text(text.replace(right, wrong))
        assert "FAIL" in said(tmp_path, "+stalls", "+resets"), wrong


def test_outputs_that_read_another_group_fail(tmp_path):
    need("iverilog")
    make = Maker((3, 4, 4), "b2", seed=3)
    make.conv(4, padding=SAME, groups=4)
    make.threshold("mixed")
    make.flatten()
    make.linear(3)
    write(make.graph(), "verilog", tmp_path, Options("net", fold=("2x1", "linear4=1x4")))
    assert said(tmp_path, "+stalls") == "PASS 8 images"
    file = tmp_path / "binarynet_matrix.v"
    text = file.read_text()
    for right, wrong in (("OWN = p / (OUTPUTS / GROUPS)", "OWN = 0"), (".ALONG(ALONG)", ".ALONG(0)")):
        assert right in text
        file.write_text(text.replace(right, wrong))
        assert "FAIL" in said(tmp_path, "+stalls")


def test_a_window_that_does_not_wait_and_borders_of_another_kind_fail(tmp_path):
    need("iverilog")
    make = Maker((4, 3, 2), "b2", seed=5)
    make.conv(6, padding=SAME)
    make.threshold("mixed")
    make.flatten()
    make.linear(3)
    graph, options = make.graph(), Options("net", fold=("2x18", "linear4=1x2"))  # the last layer is slower
    write(graph, "verilog", tmp_path, options)
    write_vectors(planned(graph, options), tmp_path, "net", make.codes(16))
    assert said(tmp_path, "+stalls", "+resets") == "PASS 16 images"
    for part, right, wrong in (
        ("whole", "advance & (!valid | last_tile)", "advance"),
        ("whole", "advance = !out_valid | out_ready", "advance = 1'b1"),
        ("whole", "flags[(WAIT+1)*FLAGS+:FLAGS]", "flags[WAIT*FLAGS+:FLAGS]"),
        ("borders", "start | {{(A - FLAGS) {1'b0}}, flags}", "start"),
        ("borders", "last ? {A{1'b0}} : start + NEXT[A-1:0]", "start + NEXT[A-1:0]"),
        ("borders", "in_ready = !out_valid | out_ready", "in_ready = 1'b1"),
    ):
        file = tmp_path / f"binarynet_{part}.v"
        text = file.read_text()
        assert right in text
        file.write_text(text.replace(right, wrong))
        assert "FAIL" in said(tmp_path, "+stalls", "+resets"), wrong
        file.write_text(text)
