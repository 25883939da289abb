"""The ONNX targets, run where their readers run them: onnxruntime, and the qonnx package."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binarynet.cli import main
from binarynet.errors import ExportError
from binarynet.export import TARGETS, Options, write
from binarynet.format import save
from binarynet.graph import Graph, interpret
from binarynet.graph.ir import Input, Linear, Threshold
from tests.export.graphs import MAKERS, SAME, Whole, convnet, mlp, residual, wide_nets
from tests.graph.graphs import small_convnet, small_mlp
from tests.runtime.graphs import Maker
from tests.runtime.test_property import convnets, mlps

onnx = pytest.importorskip("onnx", reason="pip install 'binarynet[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install 'binarynet[onnx]'")
PACKAGES = {"onnx": "onnxruntime", "qonnx": "qonnx"}
BOTH = pytest.mark.parametrize("target", list(PACKAGES))
FEW = settings(derandomize=True, database=None, deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
TARGET = st.sampled_from(list(PACKAGES))


def assert_onnx_equals_the_oracle(graph: Graph, codes: np.ndarray, target: str, folder: Path) -> onnx.ModelProto:
    """Every logit of every image, with ==; returns the model."""
    pytest.importorskip(PACKAGES[target], reason="pip install 'binarynet[onnx]'")
    (file,) = write(graph, target, folder, Options("net"))
    found = TARGETS[target].answers(graph, folder, Options("net"), codes)
    expected = interpret(graph, codes)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected, err_msg=target)
    model = onnx.load(file)
    onnx.checker.check_model(model)
    return model


def kinds(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


@BOTH
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_kind_of_network_equals_the_oracle(make, target, tmp_path):
    made = make()
    assert_onnx_equals_the_oracle(made.graph(), made.codes(9), target, tmp_path)


@FEW
@given(convnets(), TARGET)
def test_any_convnet_equals_the_oracle(make, target):
    with tempfile.TemporaryDirectory() as folder:
        assert_onnx_equals_the_oracle(make.graph(), make.codes(3), target, Path(folder))


@FEW
@given(mlps(), TARGET)
def test_any_mlp_equals_the_oracle(make, target):
    with tempfile.TemporaryDirectory() as folder:
        assert_onnx_equals_the_oracle(make.graph(), make.codes(3), target, Path(folder))


@FEW
@given(wide_nets(), TARGET)
def test_any_encoding_equals_the_oracle(make, target):
    with tempfile.TemporaryDirectory() as folder:
        assert_onnx_equals_the_oracle(make.graph(), make.codes(3), target, Path(folder))


@BOTH
@pytest.mark.parametrize("depth", [1, 7, 8, 9, 63, 64, 65])
def test_rows_that_do_not_fill_a_byte(depth, target, tmp_path):
    make = Maker((depth,), "b1", seed=depth)
    make.linear(3)
    assert_onnx_equals_the_oracle(make.graph(), make.codes(20), target, tmp_path)


@BOTH
def test_a_batch_of_one_and_an_image_of_one_pixel(target, tmp_path):
    make = Maker((1, 1, 5), "b8")
    make.conv(3, (1, 1))
    make.threshold()
    make.flatten()
    make.linear(2)
    assert_onnx_equals_the_oracle(make.graph(), make.codes(1), target, tmp_path)


@BOTH
def test_features_of_a_flattened_image_keep_their_places(target, tmp_path):
    make = Whole((3, 4, 5), "u3", seed=11)
    make.conv(6, (2, 2))
    make.flatten()
    flat = make.affine()
    make.prelu()
    make.threshold(encoding="u2")
    make.linear(make.value(flat).channels, encoding="i3")
    make.affine()
    make.add(flat, make.last)  # one of them in ONNX's order, the other not
    assert_onnx_equals_the_oracle(make.graph(), make.codes(8), target, tmp_path)
    make.threshold()  # … and an answer in ONNX's order
    assert_onnx_equals_the_oracle(make.graph(), make.codes(8), target, tmp_path)


@BOTH
def test_pools_of_accumulators_and_of_reals_with_the_smallest_and_padding(target, tmp_path):
    make = Whole((6, 5, 4), "b8", seed=12)
    make.conv(5, padding=SAME)
    make.max_pool((3, 2), (2, 1), ((1, 1), (1, 0)))
    make.relu()
    make.sum_pool((2, 2), (1, 1), ((1, 0), (0, 1)))
    make.affine()
    make.max_pool((2, 2), (1, 1), ((0, 1), (1, 0)))
    make.sum_pool((2, 2), (2, 1), ((1, 1), (0, 1)))
    assert_onnx_equals_the_oracle(make.graph(), make.codes(6), target, tmp_path)


def test_sums_past_24_bits_stay_exact_in_onnx(tmp_path):
    depth = 3000
    weight = np.full((2, depth), 127, np.int8)
    weight[1, ::2] = -125
    graph = Graph((Input("input", (), (depth,), "b8"), Linear("classes", ("input",), weight, "b7")))
    codes = np.random.default_rng(0).integers(0, 256, (4, depth), np.uint8)
    codes[0], codes[1] = 255, 0
    assert np.abs(interpret(graph, codes)).max() > 2**26
    assert_onnx_equals_the_oracle(graph, codes, "onnx", tmp_path)


def test_sums_past_24_bits_are_refused_in_qonnx_by_name(tmp_path):
    weight = np.full((2, 3000), 127, np.int8)
    graph = Graph((Input("input", (), (3000,), "b8"), Linear("classes", ("input",), weight, "b7")))
    with pytest.raises(ExportError, match=r"classes \(Linear\): the target qonnx has only float32, .* ±97155000"):
        write(graph, "qonnx", tmp_path)


@BOTH
def test_thresholds_at_the_ends_and_infinite_ones(target, tmp_path):
    make = Maker((6,), "b1")
    make.linear(4)
    ends = np.array([[-(2**31)], [2**31 - 1], [-6], [7]], np.int32)
    make._add(Threshold("ends", (make.last,), ends, np.array([True, True, False, False])))
    make.linear(6)
    make.affine()
    reals = np.array([[np.inf], [-np.inf], [0], [np.inf], [-np.inf], [0]], np.float32)
    make._add(Threshold("reals", (make.last,), reals, np.arange(6) < 3))
    assert_onnx_equals_the_oracle(make.graph(), make.codes(32), target, tmp_path)


def test_onnx_is_of_standard_operators_and_takes_bytes(tmp_path):
    model = assert_onnx_equals_the_oracle(convnet().graph(), convnet().codes(5), "onnx", tmp_path)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 13)]
    (image,), (answer,) = model.graph.input, model.graph.output
    assert (image.name, image.type.tensor_type.elem_type) == ("images", onnx.TensorProto.UINT8)
    assert [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim] == ["N", 3, 7, 6]
    assert (answer.name, answer.type.tensor_type.elem_type) == ("logits", onnx.TensorProto.INT32)


def test_weights_of_one_bit_take_one_bit(tmp_path):
    make = Maker((1000,), "b1")
    make.linear(640)
    assert_onnx_equals_the_oracle(make.graph(), make.codes(3), "onnx", tmp_path)
    assert 80_000 < (tmp_path / "net.onnx").stat().st_size < 84_000  # the table of a byte's bits takes 2,048


@pytest.mark.parametrize("bound", [2**23 - 1, 2**23, 2**23 + 1])
def test_signs_at_the_largest_sums_whose_halves_float32_holds(bound, tmp_path):
    """A sum of ±bound, thresholds beside both ends, in both directions."""
    weight = np.full((1, -(-bound // 127)), 127, np.int16)
    weight[0, -1] = bound - 127 * (weight.size - 1)
    weight = np.concatenate([weight, -weight]).astype(np.int8)
    limits = np.array([[bound], [bound - 1]], np.int32)
    for rising in ([True, False], [False, True]):
        ops = (
            Input("input", (), (weight.shape[1],), "b1"),
            Linear("sums", ("input",), weight, "i8"),
            Threshold("sign", ("sums",), limits, np.array(rising)),
        )
        codes = np.zeros((2, weight.shape[1]), np.uint8)
        codes[1] = 1
        assert np.abs(interpret(Graph(ops[:2]), codes)).max() == bound
        assert_onnx_equals_the_oracle(Graph(ops), codes, "onnx", tmp_path)


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    for target in PACKAGES:
        files = [write(residual().graph(), target, tmp_path / target / side)[0] for side in ("a", "b")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_qonnx_has_quantizers_where_finn_and_hls4ml_look_for_them(tmp_path):
    make = mlp()
    model = assert_onnx_equals_the_oracle(make.graph(), make.codes(4), "qonnx", tmp_path)
    assert kinds(model) == {"Mul", "Add", "BipolarQuant", "Gemm"}
    assert ("qonnx.custom_op.general", 2) in [(one.domain, one.version) for one in model.opset_import]
    (note,) = model.graph.quantization_annotation
    assert note.tensor_name == "images"
    assert note.quant_parameter_tensor_names[0].value == "UINT8"
    wide = Maker((5,), "u4")
    wide.linear(6, encoding="t2")
    wide.threshold(encoding="u3")
    wide.linear(3, encoding="b3")
    assert {"IntQuant", "MultiThreshold"} <= kinds(
        assert_onnx_equals_the_oracle(wide.graph(), wide.codes(9), "qonnx", tmp_path)
    )


def test_the_model_says_what_wrote_it(tmp_path):
    (file,) = write(small_mlp(), "onnx", tmp_path, Options("net", command="binarynet export net.bnn"))
    model = onnx.load(file)
    assert model.producer_name == "binarynet"
    assert re.search(r"Model: sha256 [0-9a-f]{64}", model.doc_string)
    assert "Command: binarynet export net.bnn" in model.doc_string
    assert {one.key: one.value for one in model.metadata_props} == dict(small_mlp().meta)


def test_an_op_may_bear_any_name(tmp_path):
    names = {"conv1": "images", "sign1": "logits", "pool1": "images.1/ü"}
    graph = small_convnet()
    ops = [
        replace(op, name=names.get(op.name, op.name), sources=tuple(names.get(s, s) for s in op.sources))
        for op in graph.ops
    ]
    assert_onnx_equals_the_oracle(Graph(tuple(ops)), Maker((6, 6, 3), "b8").codes(3), "onnx", tmp_path)


@BOTH
def test_the_command_writes_one_file_and_proves_it_equal(target, tmp_path, capsys):
    pytest.importorskip(PACKAGES[target], reason="pip install 'binarynet[onnx]'")
    save(small_mlp(features=64, classes=10), tmp_path / "net.bnn")
    out = tmp_path / "to" / "my-net.onnx"
    code = main(["export", str(tmp_path / "net.bnn"), "--to", target, "--out", str(out), "--check", "digits"])
    assert code == 0
    assert f"{target} on digits test: 296/296 equal logits with the oracle" in capsys.readouterr().out
    assert list(out.parent.iterdir()) == [out]


def test_a_missing_package_is_one_line_with_its_extra(tmp_path, monkeypatch, capsys):
    from importlib import util

    real = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None if name == "onnx" else real(name, *rest))
    save(small_mlp(), tmp_path / "net.bnn")
    assert main(["export", str(tmp_path / "net.bnn"), "--to", "onnx", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said == "binarynet: the target onnx needs the package onnx: pip install 'binarynet[onnx]'\n"
