"""Brevitas's own networks, exported by Brevitas, imported here: the same classes for the same images.

They are the BNNs of its examples for MNIST (TFC: 784 – 64 – 64 – 64 – 10) and CIFAR-10 (CNV: six convolutions, three
fully connected layers), with random weights and with the statistics that their norms find on random images.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from binarynet.graph.ir import Conv2d, Linear
from binarynet.importer import import_onnx
from binarynet.runtime import Session
from tests.importer.files import onnx  # skips without it

for package in ("brevitas", "onnxoptimizer", "onnxscript"):
    pytest.importorskip(package, reason="pip install 'binarynet[brevitas]'")
assert onnx

# In a process of its own: Brevitas and torch's exporters warn, register operators and keep them.
EXPORT = """
import sys, numpy as np, torch
from brevitas.export import export_qonnx
from brevitas_examples.bnn_pynq.models import model_with_cfg

name, dynamo, shape, images, folder = (*sys.argv[1:4], int(sys.argv[4]), sys.argv[5])
shape = tuple(map(int, shape.split(",")))
torch.manual_seed(0)
model, _ = model_with_cfg(name, pretrained=False)
x = torch.randint(0, 256, (images, *shape), dtype=torch.uint8)
with torch.no_grad():
    model.train()
    for _ in range(12):
        model(x.float().div(255))
    model.eval()
    answers = model(x.float().div(255))
np.savez(f"{folder}/answers.npz", images=x.numpy(), answers=answers.numpy())
export_qonnx(model, torch.rand(1, *shape), f"{folder}/net.onnx", dynamo=dynamo == "True")
"""


@pytest.mark.parametrize(
    ("name", "dynamo", "shape", "images", "weights"),
    [
        ("tfc_1w1a", True, (1, 28, 28), 200, {"b1"}),
        ("tfc_2w2a", False, (1, 28, 28), 200, {"t2"}),
        ("cnv_1w1a", False, (3, 32, 32), 40, {"b1"}),
        ("cnv_2w2a", True, (3, 32, 32), 40, {"t2"}),
    ],
)
def test_a_network_of_brevitas_predicts_the_same(name, dynamo, shape, images, weights, tmp_path):
    arguments = [name, str(dynamo), ",".join(map(str, shape)), str(images), str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", EXPORT, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(Path(tmp_path) / "answers.npz")
    graph = import_onnx(tmp_path / "net.onnx")
    logits = Session(graph).logits(found["images"])
    expected = found["answers"]
    assert len(np.unique(expected.argmax(axis=1))) > 3
    np.testing.assert_array_equal(logits.argmax(axis=1), expected.argmax(axis=1))
    # Only the last norm is not of integers: one step of an accumulator is worth far more than this.
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    held = {op.weight_encoding for op in graph.ops if isinstance(op, Linear | Conv2d)}
    assert held == weights
