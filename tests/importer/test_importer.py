"""QONNX files become graphs that answer what the files answer."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from binarynet.cli import main
from binarynet.errors import ImportedModelError
from binarynet.export import Options, write
from binarynet.export.qonnx import executed
from binarynet.format import load
from binarynet.graph import Graph, interpret
from binarynet.graph.ir import Affine, Conv2d, Input, Linear, MaxPool2d, SumPool2d, Threshold
from binarynet.importer import import_onnx, shown
from tests.export.graphs import MAKERS, SAME, Whole, wide_nets
from tests.graph.graphs import small_convnet, small_mlp
from tests.importer.files import File, onnx
from tests.runtime.test_property import mlps

pytest.importorskip("qonnx", reason="pip install 'binarynet[onnx]'")
FEW = settings(derandomize=True, database=None, deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
READABLE = [make for make in MAKERS if make.__name__ in ("mlp", "convnet", "ternary", "reals", "bits_as_answer")]


def assert_comes_back(graph: Graph, codes: np.ndarray, folder: Path) -> Graph:
    """Exported and imported again, the answers are the same, with ==."""
    (file,) = write(graph, "qonnx", folder, Options("net"))
    again = import_onnx(file, allow_real=True)
    expected, found = interpret(graph, codes), interpret(again, codes)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    return again


def assert_answers_as_the_file(file: Path, images: np.ndarray, pixels: str | None = None, **more) -> Graph:
    """Raw images (n, channels, height, width) or (n, features): the graph's numbers are those of qonnx."""
    graph = import_onnx(file, pixels, **more)
    found = executed(file, shown(file, images, pixels))
    codes = images.transpose(0, 2, 3, 1) if len(graph.input.shape) == 3 else images.reshape(len(images), -1)
    answer = interpret(graph, np.ascontiguousarray(codes))
    answer = answer.transpose(0, 3, 1, 2) if answer.ndim == 4 else answer
    np.testing.assert_array_equal(answer, found)
    return graph


def bytes_of(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("make", READABLE, ids=lambda make: make.__name__)
def test_every_kind_of_network_comes_back(make, tmp_path):
    made = make()
    assert_comes_back(made.graph(), made.codes(9), tmp_path)


@FEW
@given(mlps())
def test_any_mlp_comes_back(make):
    with tempfile.TemporaryDirectory() as folder:
        assert_comes_back(make.graph(), make.codes(3), Path(folder))


@FEW
@given(wide_nets())
def test_any_encoding_comes_back(make):
    with tempfile.TemporaryDirectory() as folder:
        assert_comes_back(make.graph(), make.codes(3), Path(folder))


def test_ops_encodings_and_class_names_come_back(tmp_path):
    graph = small_convnet()
    again = assert_comes_back(graph, bytes_of(5, 6, 6, 3), tmp_path)
    assert [type(op) for op in again.ops] == [type(op) for op in graph.ops]
    assert again.input.encoding == graph.input.encoding == "b8"
    assert dict(again.meta) == dict(graph.meta)


def test_pools_and_residuals_of_integers_come_back(tmp_path):
    make = Whole((6, 6, 3), "u4", seed=1)
    make.conv(4, padding=SAME)
    make.relu()
    make.sum_pool((2, 2), (2, 2))
    make.threshold(encoding="u2")
    make.conv(4, padding=SAME, encoding="t2")
    make.max_pool((2, 2), (1, 1))
    make.affine()
    make.prelu()
    make.threshold(encoding="t2")
    make.flatten()
    make.linear(5, encoding="i3")
    again = assert_comes_back(make.graph(), make.codes(9), tmp_path)
    assert any(isinstance(op, SumPool2d) for op in again.ops)


def brevitas_like(channels: int = 6) -> File:
    """x in [0, 1] → 2x − 1 → 8 bits, a power of two → conv – norm – sign – pool – flatten – sign layer – norm."""
    file = File(3, 6, 6)
    file.node("Mul", 2.0)
    file.node("Sub", [1.0])
    file.quant(2.0**-7, 8)
    file.node("Conv", file.weights(channels, 3, 3, 3), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    file.norm(channels)
    file.bipolar()
    file.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    file.node("Reshape", file.constant([1, -1], np.int64))
    file.node("Gemm", file.weights(5, 9 * channels, seed=1), transB=1)
    return file


def test_thresholds_are_read_off_the_files_own_arithmetic(tmp_path):
    graph = assert_answers_as_the_file(brevitas_like().save(tmp_path / "net.onnx"), bytes_of(40, 3, 6, 6))
    kinds = [Input, Affine, Threshold, Conv2d, Threshold, MaxPool2d, type(graph.ops[6]), Linear]
    assert [type(op) for op in graph.ops] == kinds
    assert (graph.input.encoding, graph.ops[2].encoding, graph.ops[4].encoding) == ("u8", "i8", "b1")


@pytest.mark.parametrize("seed", range(4))
def test_ties_negative_and_zero_gammas_decide_as_in_the_file(seed, tmp_path):
    file = File(40)
    file.node("Sub", 127.5)
    file.bipolar()
    file.node("MatMul", file.weights(40, 33, seed=seed))
    file.norm(33, seed)
    file.quant(0.5, 3, narrow=seed % 2)
    file.node("MatMul", file.weights(33, 4, seed=seed + 9))
    assert_answers_as_the_file(file.save(tmp_path / "net.onnx"), bytes_of(200, 40, seed=seed), "byte")


@pytest.mark.parametrize(
    ("scale", "more"),
    [(2.0**-7, {}), (2.0**-7, {"narrow": 1}), (1 / 3, {"narrow": 1}), (0.1, {"rounding_mode": "FLOOR"})],
)
@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("pixels", ["byte/255", "byte"])
def test_every_byte_meets_the_input_quantizer_as_in_the_file(pixels, bits, scale, more, tmp_path):
    file = File(256)
    file.node("Mul", 2.0 if pixels == "byte/255" else 2 / 255)
    file.node("Sub", 1.0)
    file.quant(scale, bits, **more)
    file.node("Gemm", np.eye(256, dtype=np.float32), transB=1)
    graph = import_onnx(file.save(tmp_path / "net.onnx"), pixels)
    numbers = executed(
        tmp_path / "net.onnx", shown(tmp_path / "net.onnx", np.arange(256)[None].astype(np.uint8), pixels)
    )
    found = interpret(Graph(graph.ops[:4]), np.arange(256, dtype=np.uint8)[None])
    np.testing.assert_array_equal((found * np.float32(scale)).astype(np.float32), numbers)


def test_bytes_without_a_quantizer_are_the_numbers_of_the_papers(tmp_path):
    file = File(1, 4, 4)
    file.node("Mul", 2.0)
    file.node("Sub", 1.0)
    file.node("Flatten")
    file.node("Gemm", file.weights(7, 16), transB=1)
    file.norm(7)
    file.bipolar()
    file.node("Gemm", file.weights(3, 7), transB=1)
    graph = import_onnx(file.save(tmp_path / "net.onnx"))
    assert (graph.input.encoding, graph.input.shape) == ("b8", (16,))
    assert_answers_as_the_file(tmp_path / "net.onnx", bytes_of(100, 1, 4, 4))


def test_a_real_input_stays_real(tmp_path):
    file = File(9)
    file.norm(9)
    file.bipolar()
    file.node("Gemm", file.weights(3, 9), transB=1)
    graph = import_onnx(file.save(tmp_path / "net.onnx"), "real")
    x = np.random.default_rng(0).normal(size=(300, 9)).astype(np.float32) * 8
    np.testing.assert_array_equal(interpret(graph, x), executed(tmp_path / "net.onnx", x))


def test_weights_behind_a_quantizer_become_integers_and_their_scale(tmp_path):
    file = File(20)
    file.bipolar()
    real = np.random.default_rng(0).normal(size=(6, 20)).astype(np.float32)
    x = file.last
    scales = 2.0 ** np.arange(-3, 3)[:, None]
    weight = file.node("Quant", scales, 0.0, 2.0, of=file.constant(real), signed=1, narrow=1, rounding_mode="ROUND")
    file.last = x
    file.node("Gemm", weight, transB=1)
    file.makes = (6,)
    file.norm(6)
    file.bipolar()
    file.node("Gemm", 0.25 * file.weights(3, 6), transB=1)
    graph = assert_answers_as_the_file(file.save(tmp_path / "net.onnx"), bytes_of(100, 20), "byte")
    linear = [op for op in graph.ops if isinstance(op, Linear)]
    assert [op.weight_encoding for op in linear] == ["t2", "b1"]
    np.testing.assert_array_equal(linear[0].weight, np.clip(np.rint(real / scales), -1, 1))


def test_pools_before_the_norm_and_means_are_folded(tmp_path):
    file = File(4, 6, 6)
    file.quant(1 / 16, 4, signed=0)
    file.node("Conv", file.weights(6, 2, 3, 3), kernel_shape=[3, 3], group=2)
    file.node("MaxPool", kernel_shape=[2, 2], strides=[1, 1])
    file.norm(6)
    file.node("Relu")
    file.quant(0.25, 2, signed=0)
    file.node("GlobalAveragePool")
    file.norm(6, seed=3)
    file.bipolar()
    file.node("Flatten")
    file.node("Gemm", file.weights(4, 6), transB=1)
    graph = assert_answers_as_the_file(file.save(tmp_path / "net.onnx"), bytes_of(60, 4, 6, 6))
    assert {SumPool2d, MaxPool2d} <= {type(op) for op in graph.ops}


def test_a_residual_of_real_values_is_kept(tmp_path):
    file = File(2, 5, 5)
    file.quant(1.0, 8, signed=0)
    file.node("Conv", file.weights(4, 2, 1, 1), kernel_shape=[1, 1])
    trunk = file.norm(4)
    file.bipolar()
    file.node("Conv", file.weights(4, 4, 3, 3), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    branch = file.norm(4, seed=1)
    file.node("Add", trunk, of=branch)
    file.bipolar()
    file.node("Flatten")
    file.node("Gemm", file.weights(3, 100), transB=1)
    graph = import_onnx(file.save(tmp_path / "net.onnx"), "byte")
    images = bytes_of(60, 2, 5, 5)
    found = executed(tmp_path / "net.onnx", images.astype(np.float32))
    np.testing.assert_array_equal(interpret(graph, images.transpose(0, 2, 3, 1)), found)


def refused(file: File, tmp_path: Path, match: str, pixels: str | None = None) -> None:
    with pytest.raises(ImportedModelError, match=match):
        import_onnx(file.save(tmp_path / "net.onnx"), pixels)


def start() -> File:
    file = File(8)
    file.bipolar()
    return file


def test_a_node_without_a_counterpart_is_named_with_its_operator(tmp_path):
    file = start()
    file.node("Gemm", file.weights(4, 8), transB=1)
    file.node("Sin")
    refused(file, tmp_path, r"sin2 \(Sin\): has no counterpart in the graph\. Known: .*Gemm")
    file = start()
    file.node("Gemm", file.weights(4, 8), transB=1)
    file.node("Softplus")
    refused(file, tmp_path, r"softplus2 \(Softplus\): the result of 'softplus2' .*only before a quantizer")


def test_a_scale_for_each_channel_is_refused_by_the_product_that_would_need_one(tmp_path):
    file = start()
    file.node("Gemm", file.weights(8, 8), transB=1)
    file.quant(np.linspace(1, 2, 8)[None], 4)
    file.node("Gemm", file.weights(3, 8), transB=1)
    refused(file, tmp_path, r"gemm3 \(Gemm\): reads codes with a scale for each channel")


def test_real_weights_and_real_operands_are_refused_unless_allowed(tmp_path):
    file = start()
    file.node("Gemm", np.random.default_rng(0).normal(size=(4, 8)), transB=1)
    refused(file, tmp_path, r"gemm1 \(Gemm\): its weights are real")
    assert import_onnx(tmp_path / "net.onnx", allow_real=True)[("gemm1")].weight_encoding == "f32"
    file = start()
    file.node("Gemm", file.weights(4, 8), transB=1)
    file.norm(4)
    file.node("Gemm", file.weights(4, 4), transB=1)
    refused(file, tmp_path, r"gemm3 \(Gemm\): reads the real values of 'batchnormalization2'")


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (("Trunc", 1.0, 0.5, 8.0, 1.0, 4.0), "zero point other than 0"),
        (("Quant", np.ones(8), 0.0, 9.0), "9 bits"),
        (("Quant", 1.0, 0.5, 4.0), "zero point"),
        (("Quant", -1.0, 0.0, 4.0), "not positive"),
        (("BipolarQuant", 0.0), "not positive"),
        (("ArgMax",), "cut the file off"),
        (("Mul", np.ones((8, 1))), r"makes \(8,\) of|makes"),
        (("Transpose",), "mixes the images"),
    ],
)
def test_what_is_wrong_with_a_node_is_said(node, said, tmp_path):
    file = start()
    file.node("Gemm", file.weights(8, 8), transB=1)
    more = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"} if node[0] == "Quant" else {}
    file.node(*node, **more)
    refused(file, tmp_path, rf"{node[0].lower()}2 \({node[0]}\): .*({said})|{said}")


def test_an_unknown_rounding_domain_and_input_are_named(tmp_path):
    file = start()
    file.node("Gemm", file.weights(8, 8), transB=1)
    file.quant(1.0, 4, rounding_mode="DICE")
    refused(file, tmp_path, "rounding_mode 'DICE' is unknown; known: ROUND")
    file = start()
    file.node("Fancy", domain="com.example")
    with pytest.raises(ImportedModelError):  # the checker knows no such domain, or the importer no such node
        import_onnx(file.save(tmp_path / "net.onnx"))
    refused(start(), tmp_path, "input 'float' is unknown; known: byte/255, byte, bipolar, real", "float")


def test_files_that_are_no_models_are_one_line(tmp_path, capsys):
    (tmp_path / "net.onnx").write_bytes(b"not a model")
    for name, said in (("net.onnx", "not a valid ONNX model"), ("absent.onnx", "cannot be read")):
        assert main(["import", str(tmp_path / name), "--out", str(tmp_path / "net.bnn")]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    file = File(0, 4)
    file.bipolar()
    refused(file, tmp_path, r"must be \(features,\), .*\(channels, height, width\), all of them known")


def test_the_command_imports_and_proves_it_equal_on_a_data_set(tmp_path, capsys):
    (file,) = write(small_mlp(features=64, classes=10), "qonnx", tmp_path, Options("net"))
    out = tmp_path / "again.bnn"
    assert main(["import", str(file), "--out", str(out), "--check", "digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["check"]["equal"] == found["check"]["images"] == 296
    assert found["input"] == "b8"
    assert load(out).meta["imported"] == "net.onnx"


def test_a_missing_package_is_one_line_with_its_extra(tmp_path, monkeypatch):
    from importlib import util

    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None)
    with pytest.raises(ImportedModelError, match=r"needs the package onnx: pip install 'binarynet\[onnx\]'"):
        import_onnx(tmp_path / "net.onnx")


def test_weights_may_be_computed_from_constants(tmp_path):
    """As the older exporter of torch writes them: a quantizer, a Transpose, a MatMul; a Constant node for the shape."""
    file = File(1, 2, 4)
    shape = onnx.helper.make_node(
        "Constant", [], ["shape"], name="shape", value=onnx.numpy_helper.from_array(np.array([-1, 8]))
    )
    file.nodes.append(shape)
    file.node("Reshape", "shape")
    x = file.bipolar()
    file.node("BipolarQuant", 1.0, of=file.constant(np.random.default_rng(0).normal(size=(5, 8))))
    weight = file.node("Transpose", perm=[1, 0])
    file.node("MatMul", weight, of=x)
    file.makes = (5,)
    assert_answers_as_the_file(file.save(tmp_path / "net.onnx"), bytes_of(30, 1, 2, 4))
