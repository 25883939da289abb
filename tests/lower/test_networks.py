"""The networks people call binary: torch = oracle = every instruction set, and C and ONNX."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from binarynet.export import Options, write
from binarynet.export.onnx.dialect import from_onnx
from binarynet.graph import interpret
from binarynet.lower import lower
from binarynet.report.agreement import together
from binarynet.runtime import Session, isa
from tests.export.building import assert_c_equals_the_oracle
from tests.lower.models import images, settle
from tests.lower.networks import NETWORKS

IMAGES = 32
DOCS = Path(__file__).parents[2] / "docs"
EXPORTED = [name for name, network in NETWORKS.items() if not network.real]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_answers_the_same_in_torch_in_the_oracle_and_on_every_instruction_set(name):
    torch.manual_seed(1)
    network = NETWORKS[name]
    model, shape = settle(network.make(), 2, spread=9), (3, network.size, network.size)
    batch = images(shape, IMAGES, seed=3)
    said: list[str] = []
    graph = lower(model, shape, allow_real=network.real, images=batch, say=said.append)
    codes = np.ascontiguousarray(np.moveaxis(batch.numpy(), 1, -1))
    with torch.no_grad():
        expected = np.concatenate([one.numpy().reshape(len(batch), -1) for one in tree_leaves(model(batch))], 1)
    parts = Session(graph, engine="oracle").run(batch.numpy(), layout="nchw")
    found = np.concatenate([one.reshape(len(batch), -1) for one in tree_leaves(parts)], 1)
    if network.real:  # the proof holds each step; from end to end a sign behind a float32 sum may fall either way
        assert np.abs(found - expected).mean() < 0.05 * np.abs(expected).mean()
    elif not any("decided by float32 rounding" in line for line in said):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    oracle = interpret(graph, codes)
    for one in isa.available():
        made = together(Session(graph, isa=one, threads=2), codes, "nhwc")
        if (
            network.real
        ):  # float32 products, in an order of each instruction set; a sign behind them may fall either way
            assert np.mean(np.abs(made - oracle) > 1e-3 * np.abs(oracle).max()) < 0.1
        else:
            np.testing.assert_array_equal(made, oracle)


@pytest.mark.parametrize("name", EXPORTED)
def test_one_without_real_products_is_the_same_integers_in_c_and_onnx(name, tmp_path):
    torch.manual_seed(1)
    network = NETWORKS[name]
    shape = (3, network.size, network.size)
    graph = lower(settle(network.make(), 2, spread=9), shape)
    codes = np.ascontiguousarray(np.moveaxis(images(shape, 4, seed=5).numpy(), 1, -1))
    assert_c_equals_the_oracle(graph, codes, tmp_path)
    onnxruntime = pytest.importorskip("onnxruntime")
    (file,) = write(graph, "onnx", tmp_path, Options("net"))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    made = session.run(None, {"images": np.ascontiguousarray(np.moveaxis(codes, -1, 1))})
    np.testing.assert_array_equal(from_onnx(graph, made), interpret(graph, codes))


def test_the_page_says_how_many_lines_each_takes():
    spec = importlib.util.spec_from_file_location("network_lines", DOCS / "network_lines.py")
    assert spec is not None
    lines = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lines)
    text = lines.PAGE.read_text(encoding="utf-8")
    assert lines.page(text) == text, "run python docs/network_lines.py --write"
    assert list(lines.counted(lines.SOURCE.read_text(encoding="utf-8"))) == list(NETWORKS)
