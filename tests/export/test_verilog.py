"""The Verilog target: simulated with Icarus Verilog, lint clean by Verilator, equal to the oracle."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binarynet.data import load_split
from binarynet.errors import ExportError
from binarynet.export import write
from binarynet.export.verilog import SUPPORTED, check, refuses
from binarynet.export.verilog.check import lint, simulate
from binarynet.export.verilog.options import Options
from binarynet.graph import OPS, Encoding, Graph, verify
from binarynet.graph.ir import Affine, Input, Linear, Threshold
from tests.export.building import need
from tests.export.graphs import SAME, WEIGHTS
from tests.export.simulating import assert_verilog_equals_the_oracle
from tests.graph.graphs import signs, small_convnet, small_mlp
from tests.runtime.graphs import Maker

FEW = settings(derandomize=True, database=None, deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
FOLDS = st.tuples(st.integers(1, 9), st.integers(1, 12)).map(lambda pair: (f"{pair[0]}x{pair[1]}",))


def mlp() -> Maker:
    make = Maker((65,), "b8", seed=1)
    for width, kind in ((33, "mixed"), (7, "falling")):
        make.linear(width)
        make.threshold(kind)
    make.linear(10)
    make.affine()
    return make


def convnet() -> Maker:
    make = Maker((7, 6, 3), "b8", seed=2)
    make.conv(9, padding=SAME)
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.conv(5, padding=SAME, pad_value=-1)
    make.threshold("extreme")
    make.flatten()
    make.linear(5)
    return make


def strange() -> Maker:
    """Strides, dilation, groups, uneven padding, pools that overlap, codes of many kinds."""
    make = Maker((9, 8, 4), "u4", seed=3)
    make.conv(6, (3, 2), stride=(2, 1), padding=((2, 0), (1, 2)), groups=2)
    make.threshold(encoding="b2")
    make.max_pool((3, 3), (2, 1), ((1, 0), (0, 2)))
    make.conv(4, (2, 3), dilation=(2, 1), padding=((1, 2), (0, 1)), encoding="t2")
    make.threshold(encoding="t2")
    make.flatten()
    make.linear(3, encoding="i3")
    make.threshold(encoding="i2")
    make.linear(4, encoding="u2")
    make.affine()
    return make


@pytest.mark.parametrize("fold", [(), ("1x1",), ("3x5",), ("64x64",)], ids=str)
@pytest.mark.parametrize("make", [mlp, convnet, strange], ids=lambda make: make.__name__)
def test_any_folding_equals_the_oracle(make, fold, tmp_path):
    made = make()
    assert_verilog_equals_the_oracle(made.graph(), made.codes(2), tmp_path, fold)


@pytest.mark.parametrize("make", [mlp, strange], ids=lambda make: make.__name__)
def test_late_inputs_and_readers_change_nothing(make, tmp_path):
    made = make()
    assert_verilog_equals_the_oracle(made.graph(), made.codes(3), tmp_path, ("4x3", "input=2x1"), stalls=True)


@pytest.mark.parametrize("depth", [1, 63, 64, 65])
def test_a_depth_of_any_length_and_a_folding_that_does_not_divide_it(depth, tmp_path):
    make = Maker((depth,), "b1", seed=depth)
    make.linear(3)
    make.threshold("extreme")
    make.linear(2)
    make.affine()
    assert_verilog_equals_the_oracle(make.graph(), make.codes(5), tmp_path, ("2x31",))


@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize("weights", ["b1", "t2", "i4"])
def test_padding_is_exact_for_every_pad_value(weights, pad_value, tmp_path):
    make = Maker((3, 4, 5), "b3", seed=4)
    make.conv(3, padding=((2, 1), (1, 2)), pad_value=pad_value, encoding=weights)
    make.threshold()
    make.flatten()
    make.linear(3)
    assert_verilog_equals_the_oracle(make.graph(), make.codes(4), tmp_path, ("2x3",))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_of_every_encoding(weights, tmp_path):
    make = Maker((9,), "u3", seed=5)
    make.linear(4, encoding=weights)
    make.threshold(encoding="b2")
    make.linear(3, encoding=weights)
    assert_verilog_equals_the_oracle(make.graph(), make.codes(5), tmp_path, ("3x4",))


@st.composite
def nets(draw: st.DrawFn) -> Maker:
    """Convolutions, pools and dense layers of any size and any encoding that the target takes."""
    size = st.integers(1, 7)
    make = Maker((draw(size), draw(size), draw(st.sampled_from([1, 2, 5]))), draw(st.sampled_from(["b1", "b8", "u4"])))
    for _ in range(draw(st.integers(1, 2))):
        height, width, channels = make.value().shape
        code = make.value().encoding
        padding = draw(st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2))
        kernel = tuple(
            draw(st.integers(1, min(3, side + sum(pad)))) for side, pad in zip((height, width), padding, strict=True)
        )
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
        outside = draw(st.sampled_from([0, *(value for value in (1, -1) if code.low <= value <= code.high)]))
        groups, weights = draw(st.sampled_from([(1, "b1"), (channels, "b1"), (1, "t2"), (1, "i3"), (1, "b2")]))
        make.conv(groups * draw(st.integers(1, 5)), kernel, stride, (1, 1), padding, outside, groups, encoding=weights)
        make.threshold(encoding=draw(st.sampled_from(["b1", "b1", "u2", "i2", "t2", "b2"])))
        if draw(st.booleans()):
            height, width, _ = make.value().shape
            make.max_pool((min(2, height), min(2, width)), draw(st.tuples(st.integers(1, 2), st.integers(1, 3))))
    make.flatten()
    make.linear(draw(st.sampled_from([1, 2, 5])))
    if draw(st.booleans()):
        make.affine()
    return make


@FEW
@given(nets(), FOLDS, st.booleans())
def test_any_net_equals_the_oracle(make, fold, stalls):
    with tempfile.TemporaryDirectory() as folder:
        assert_verilog_equals_the_oracle(make.graph(), make.codes(3), Path(folder), fold, stalls=stalls)


def test_equal_float_logits_go_to_the_first_class_although_their_integers_differ(tmp_path):
    """1 · 2^-30 + 1 rounds to 1: all integers become the same logit, which fixed point would not see."""
    weight = np.array([[-1, -1, -1], [1, 1, 1]], np.int8)
    scale, offset = np.full(2, 2.0**-30, np.float32), np.ones(2, np.float32)
    ops = (Input("input", (), (3,), "b1"), Linear("classes", ("input",), weight))
    graph = Graph((*ops, Affine("logits", ("classes",), scale, offset)))
    codes = np.array([[1, 1, 1], [0, 0, 0]], np.uint8)
    found = assert_verilog_equals_the_oracle(graph, codes, tmp_path)
    np.testing.assert_array_equal(found.integers, [[-3, 3], [3, -3]])
    np.testing.assert_array_equal(found.classes, [0, 0])


def test_real_images_of_digits_equal_the_oracle_and_take_the_clocks_that_the_head_promises(tmp_path):
    graph = small_mlp(features=64, hidden=32, classes=10)
    codes = load_split("digits", "test").images[:60].reshape(-1, 64)
    found = assert_verilog_equals_the_oracle(graph, codes, tmp_path, ("4x16",))
    head = (tmp_path / "net.v").read_text(encoding="ascii")
    promised = int(re.search(r"from one image to the next: ([\d,]+)", head)[1].replace(",", ""))
    assert found.interval == promised == 64  # words of the input; the first layer takes 8 · 4 clocks
    assert re.search(r"linear1, sign1: 1x1x64 b8 -> 1x1x32 b1, 1x1 b1 +32  4 outputs x 16 inputs", head)


def test_real_images_through_a_convnet_equal_the_oracle(tmp_path):
    graph = small_convnet(channels=1, filters=6, side=8)
    codes = load_split("digits", "test").images[:50].reshape(-1, 8, 8, 1)
    assert_verilog_equals_the_oracle(graph, codes, tmp_path, ("6x6",))


@pytest.mark.parametrize("make", [mlp, convnet, strange], ids=lambda make: make.__name__)
def test_verilator_has_no_complaint(make, tmp_path):
    need("verilator")
    write(make().graph(), "verilog", tmp_path, Options("net", fold=("4x5", "input=2x1")))
    lint(tmp_path, "net")


def test_verilator_simulates_the_same(tmp_path):
    make = convnet()
    assert_verilog_equals_the_oracle(make.graph(), make.codes(20), tmp_path, ("3x5",), "verilator", stalls=True)


def test_the_test_bench_sees_a_wrong_weight_and_a_missing_answer(tmp_path):
    make = mlp()
    graph, codes = make.graph(), make.codes(4)
    assert_verilog_equals_the_oracle(graph, codes, tmp_path)
    expected = (tmp_path / "net_expected.hex").read_text()
    run = ["vvp", "-n", "net_tb.vvp"]
    (tmp_path / "net_expected.hex").write_text(expected + expected.splitlines()[0] + "\n")
    assert "FAIL" in subprocess.run(run, cwd=tmp_path, capture_output=True, text=True).stdout
    (tmp_path / "net_expected.hex").write_text(expected)
    rom = tmp_path / "net_linear5_weights.hex"
    rom.write_text("".join(f"{int(word, 16) ^ 1:x}\n" for word in rom.read_text().split()))
    assert "FAIL" in subprocess.run(run, cwd=tmp_path, capture_output=True, text=True).stdout
    # The vectors are written anew, the ROM stays wrong.
    assert not simulate(tmp_path, graph, Options("net"), codes, "iverilog").passed


def test_the_same_model_gives_the_same_files_and_all_are_plain_text(tmp_path):
    for folder in ("a", "b"):
        write(small_convnet(), "verilog", tmp_path / folder, Options("net"))
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes().isascii()
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_names_of_ops_become_identifiers_and_keywords_are_left_alone(tmp_path):
    rng = np.random.default_rng(0)
    ops = (
        Input("in", (), (6,), "b1"),
        Linear("module", ("in",), signs(rng, 5, 6)),
        Threshold("é wire", ("module",), np.zeros((5, 1), np.int32), np.ones(5, bool)),
        Linear("out_data", ("é wire",), signs(rng, 3, 5)),
        Threshold("module_2", ("out_data",), np.zeros((3, 1), np.int32), np.ones(3, bool)),
        Linear("logits", ("module_2",), signs(rng, 2, 3)),
    )
    codes = rng.integers(0, 2, (4, 6)).astype(np.uint8)
    assert_verilog_equals_the_oracle(Graph(ops), codes, tmp_path)


def refused(make: Maker, said: str) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ExportError, match=said):
        write(make.graph(), "verilog", Path(folder))


def test_what_has_no_unit_is_refused_by_name():
    make = mlp()
    make.threshold()
    refused(make, r"sign7 \(Threshold\): the target verilog")
    make = Maker((4, 4, 2), "u8")
    make.sum_pool((2, 2), (2, 2))
    refused(make, r"sum1 \(SumPool2d\): the target verilog has no unit for it")
    make = Maker((4,), "u8")
    make.linear(3, encoding="f32")
    refused(make, r"linear1 \(Linear\): the target verilog has no reals")
    make = Maker((4,), "b1")
    make.linear(3)
    make.affine()
    make.threshold()
    make.linear(2)
    refused(make, r"sign3 \(Threshold\): the target verilog has no reals")
    refused(Maker((4,), "f32"), r"input \(Input\): the target verilog has no reals")
    make = Maker((5, 5, 4), "b1")
    make.conv(40, groups=2, encoding="b2")  # of which not one is computed in parallel
    make.threshold()
    make.flatten()
    make.linear(2)
    refused(make, r"conv1 \(Conv2d\): the target verilog has groups for b1")


def test_a_table_of_logits_that_no_chip_holds_is_refused_by_name():
    make = Maker((5000,), "u8")
    make.linear(10, encoding="i8")
    make.affine()
    refused(make, r"affine2 \(Affine\): the target verilog orders classes by a table")


@pytest.mark.parametrize("fold", ["8", "0x4", "ax2", "classes=3", "8x", "absent=1x1"])
def test_a_folding_that_is_none_is_refused(fold, tmp_path):
    with pytest.raises(ExportError, match="fold"):
        write(small_mlp(), "verilog", tmp_path, Options("net", fold=(fold,)))


@pytest.mark.parametrize("api", ["module", "logic", "binarynet_lane"])
def test_an_api_that_is_a_keyword_of_verilog_is_refused(api, tmp_path):
    with pytest.raises(ExportError, match="keyword of Verilog"):
        write(small_mlp(), "verilog", tmp_path, Options(api))


def test_what_the_target_declares_is_what_it_takes(tmp_path):
    b1, i32, f32 = (Encoding.parse(name) for name in ("b1", "i32", "f32"))
    assert refuses(OPS["Linear"], b1, b1) is None
    assert refuses(OPS["Linear"], f32, b1) is not None
    assert refuses(OPS["Threshold"], i32, b1) is None
    assert refuses(OPS["Affine"], b1, None) is not None
    assert {op for op in OPS.values() if refuses(op, None, None) is None} == set(SUPPORTED)
    graph = strange().graph()
    values = verify(graph)
    for op in graph.ops[1:]:
        assert refuses(type(op), values[op.source].encoding, None) is None


def test_missing_tools_are_named_with_their_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"verilator, iverilog\): apt-get install verilator"):
        check.simulator()
    with pytest.raises(ExportError, match="apt-get install iverilog"):
        check.simulator("iverilog")
    with pytest.raises(ExportError, match="unknown simulator 'modelsim'"):
        check.simulator("modelsim")
    with pytest.raises(ExportError, match="yosys is not installed: apt-get install yosys"):
        check.tool("yosys", "yosys")
