"""The networks people call binary: torch = oracle = every instruction set, and C and ONNX."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from binarynet.export import Options, write
from binarynet.graph import interpret
from binarynet.lower import lower
from binarynet.runtime import Session, isa
from tests.export.building import assert_c_equals_the_oracle
from tests.lower.models import images, settle
from tests.lower.networks import NETWORKS
from tests.lower.test_truth import answers

EXPORTED = ("ReActNet without float32 products", "ReCU's scales", "8-bit ends", "an autoencoder")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_answers_the_same_in_torch_in_the_oracle_and_on_every_instruction_set(name):
    torch.manual_seed(1)
    network = NETWORKS[name]
    model, shape = settle(network.make(), 2, spread=9), (3, network.size, network.size)
    batch = images(shape, 8, seed=3)
    said: list[str] = []
    graph = lower(model, shape, allow_real=network.real, images=batch, say=said.append)
    codes = np.ascontiguousarray(np.moveaxis(batch.numpy(), 1, -1))
    with torch.no_grad():
        expected = model(batch).numpy().reshape(len(batch), -1)
    found = answers(graph, batch)
    if network.real:  # the proof holds each step; from end to end a sign behind a float32 sum may fall either way
        assert np.abs(found - expected).mean() < 0.05 * np.abs(expected).mean()
    elif not any("decided by float32 rounding" in line for line in said):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    oracle = interpret(graph, codes)
    for one in isa.available():
        made = Session(graph, isa=one, threads=2).logits(codes)
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
    made = session.run(None, {"images": np.ascontiguousarray(np.moveaxis(codes, -1, 1))})[0]
    oracle = interpret(graph, codes)
    np.testing.assert_array_equal(np.moveaxis(made, 1, -1) if made.ndim == 4 else made, oracle)
