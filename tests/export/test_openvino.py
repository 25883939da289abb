"""The ONNX target in OpenVINO, which folds constants and picks precisions by rules of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from binarynet import models
from binarynet.data import load_split
from binarynet.errors import DataError
from binarynet.export import Options, write
from binarynet.export.onnx.dialect import from_onnx, to_onnx
from binarynet.format import load
from binarynet.graph import Graph, interpret
from binarynet.runtime import Session
from tests.export.graphs import MAKERS
from tests.runtime.graphs import Maker

pytest.importorskip("onnx", reason="pip install 'binarynet[onnx]'")
openvino = pytest.importorskip("openvino", reason="pip install 'binarynet[peers]'")
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
# The default is bfloat16 where the CPU has it.
PRECISIONS = pytest.mark.parametrize("settings", [FLOAT32, {}, {"INFERENCE_PRECISION_HINT": "bf16"}], ids=str)


def answers(graph: Graph, codes: np.ndarray, settings: dict[str, str], folder: Path) -> np.ndarray:
    (file,) = write(graph, "onnx", folder, Options("net"))
    compiled: Any = openvino.Core().compile_model(str(file), "CPU", settings)
    found = [compiled(to_onnx(codes[k : k + 500]))[0] for k in range(0, len(codes), 500)]
    return from_onnx(graph, [np.concatenate(found)])


@PRECISIONS
@pytest.mark.parametrize(("name", "data"), [("digits", "digits"), ("mnist-small", "mnist")])
def test_a_model_of_the_package_answers_every_test_image_alike(name, data, settings, tmp_path):
    try:
        images = load_split(data, "test", download=False).images
    except DataError as error:
        pytest.skip(str(error).splitlines()[0])
    graph = load(models.find(name))
    codes = images.transpose(0, 2, 3, 1) if len(graph.input.shape) == 3 else images.reshape(len(images), -1)
    found = answers(graph, codes, settings, tmp_path)
    np.testing.assert_array_equal(found, Session(graph).logits(images))


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_kind_of_network_equals_the_oracle_in_float32(make, tmp_path):
    made = make()
    codes = made.codes(9)
    found, expected = answers(made.graph(), codes, FLOAT32, tmp_path), interpret(made.graph(), codes)
    if expected.dtype == np.int32:
        np.testing.assert_array_equal(found, expected)
    else:  # it fuses a multiply and an add into one rounding: a last digit of the largest number
        np.testing.assert_allclose(found, expected, rtol=0, atol=float(np.abs(expected).max()) * 2.0**-22)


@PRECISIONS
@pytest.mark.parametrize("depth", [1, 7, 8, 9, 63, 64, 65, 1000])
def test_signs_of_rows_that_do_not_fill_a_byte_and_of_channels_that_fall(depth, settings, tmp_path):
    make = Maker((depth,), "b8", seed=depth)
    make.linear(33)
    make.threshold()  # of both directions
    make.linear(3)
    codes = make.codes(20)
    np.testing.assert_array_equal(answers(make.graph(), codes, settings, tmp_path), interpret(make.graph(), codes))
