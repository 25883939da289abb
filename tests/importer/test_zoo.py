"""Published QONNX files of others: they import as they are and after `qonnx-cleanup`, and answer what qonnx answers."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from binarynet.data import load_split
from binarynet.errors import DataError
from binarynet.export.qonnx import executed
from binarynet.graph import interpret
from binarynet.importer import import_onnx, shown
from tests.importer.files import onnx  # skips without it

pytest.importorskip("qonnx", reason="pip install 'binarynet[onnx]'")
ZOO = Path(os.environ.get("BINARYNET_QONNX_ZOO", Path(__file__).parents[2] / ".." / "shared" / "models" / "qonnx-zoo"))
# what the input is, whether products may read reals, the published accuracy on MNIST
FILES = {
    "TFC_1W1A": (None, False, 93.17),
    "TFC_1W2A": (None, False, 94.79),
    "TFC_2W2A": (None, False, 96.60),
    "kwsmlp_w3a3": ("real", False, None),
    "qkeras_jettagging": ("real", True, None),
    "unsw_nb15-mlp-w2a2": ("bipolar", False, None),
}


def file(name: str, cleaned: bool, folder: Path) -> Path:
    path = ZOO / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path.name} of the QONNX model zoo is not in {ZOO}")
    if not cleaned:
        return path
    out = folder / f"{name}-clean.onnx"
    command = [str(Path(sys.executable).parent / "qonnx-cleanup"), "--out-file", str(out), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.mark.parametrize("cleaned", [False, True], ids=["raw", "cleaned"])
@pytest.mark.parametrize("name", FILES)
def test_a_published_file_answers_what_qonnx_answers(name, cleaned, tmp_path):
    pixels, allow_real, _ = FILES[name]
    path, said = file(name, cleaned, tmp_path), []
    graph = import_onnx(path, pixels, allow_real=allow_real, say=said.append)
    assert any("proved on 8 images" in line for line in said)
    shape, rng = graph.input.shape, np.random.default_rng(3)
    count = 40
    raw = rng.integers(0, 2 if pixels == "bipolar" else 256, (count, int(np.prod(shape))), np.uint8)
    if pixels == "real":
        raw = rng.normal(size=raw.shape).astype(np.float32) * 2
    reference = _with_domains(path, tmp_path)
    with warnings.catch_warnings():  # the files say a batch of 1
        warnings.simplefilter("ignore")
        expected = executed(reference, _in_shape(path, shown(path, raw, pixels))).reshape(count, -1)
    codes = raw if len(shape) == 1 else np.moveaxis(raw.reshape(count, shape[2], *shape[:2]), 1, -1)
    found = interpret(graph, codes).astype(np.float32).reshape(count, -1)
    if any("left out" in line for line in said):  # a softmax at the end
        found = np.exp(found - found.max(1, keepdims=True))
        found /= found.sum(1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def _in_shape(path: Path, images: np.ndarray) -> np.ndarray:
    sizes = [one.dim_value for one in onnx.load(path).graph.input[0].type.tensor_type.shape.dim]
    return images.reshape(len(images), *sizes[1:])


def _with_domains(path: Path, folder: Path) -> Path:
    """The file with the opset entries that the checker of qonnx's executor misses."""
    proto = onnx.load(path)
    said = {one.domain for one in proto.opset_import}
    for domain in {node.domain for node in proto.graph.node} - said:
        proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    out = folder / f"{path.stem}-domains.onnx"
    onnx.save(proto, out)
    return out


@pytest.mark.parametrize("name", [name for name, row in FILES.items() if row[2] is not None])
def test_a_published_file_reaches_its_published_accuracy_on_mnist(name, tmp_path):
    graph = import_onnx(file(name, False, tmp_path))
    try:
        data = load_split("mnist", "test", None)
    except DataError as error:
        pytest.skip(f"MNIST is not at hand: {error}")
    found = interpret(graph, data.images.reshape(len(data.images), -1)).argmax(1)
    assert 100 * np.mean(found == data.labels) == pytest.approx(FILES[name][2], abs=0.3)
