"""Brevitas's own networks, exported by Brevitas, imported here: the same classes for the same images.

They are the BNNs of its examples for MNIST (TFC: 784 – 64 – 64 – 64 – 10) and CIFAR-10 (CNV: six convolutions, three
fully connected layers), with random weights and with the statistics that their norms find on random images.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from binarynet.graph.ir import Conv2d, Linear
from binarynet.importer import import_onnx
from binarynet.runtime import Session
from tests.importer.files import onnx  # skips without it

for package in ("brevitas", "onnxoptimizer", "onnxscript"):
    pytest.importorskip(package, reason="pip install 'binarynet[brevitas]'")
assert onnx

NETWORKS = {"tfc_1w1a": {"b1"}, "tfc_2w2a": {"t2"}, "cnv_1w1a": {"b1"}, "separable": {"i4", "i8"}}

# In a process of its own: Brevitas and torch's exporters warn, register operators and keep them.
EXPORT = """
import sys, numpy as np, torch
from brevitas.export import export_qonnx
from brevitas_examples.bnn_pynq.models import model_with_cfg

from brevitas import nn as qnn
from brevitas.quant import Int8WeightPerChannelFloat, Int16Bias, Int32Bias, Uint8ActPerTensorFloat


class Mean(torch.nn.Module):
    # As MobileNet and ProxylessNAS end: a mean that keeps its upper bits.
    def __init__(self):
        super().__init__()
        self.pool = qnn.TruncAvgPool2d(kernel_size=8, bit_width=4, float_to_int_impl_type="floor")

    def forward(self, x):
        return self.pool(x).value.flatten(1)


def separable():
    # As Brevitas's MobileNet: scales for each channel before a depthwise layer, biases of 16 and 32 bits.
    def block(inside, out, kernel, each, **more):
        apart = {"scaling_per_output_channel": True, "per_channel_broadcastable_shape": (1, out, 1, 1),
                 "scaling_stats_permute_dims": (1, 0, 2, 3)} if each else {}
        conv = qnn.QuantConv2d(inside, out, kernel, padding=kernel // 2, weight_bit_width=4 if inside > 3 else 8,
                               weight_quant=Int8WeightPerChannelFloat, **more)
        act = qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=4, return_quant_tensor=True, **apart)
        return [conv, torch.nn.BatchNorm2d(out), act]

    return torch.nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        *block(3, 8, 3, True, stride=2, bias_quant=Int16Bias),
        *block(8, 8, 3, False, groups=8, stride=2, bias=True, bias_quant=Int32Bias),
        *block(8, 16, 1, False, bias=True, bias_quant=Int32Bias),
        Mean(),
        qnn.QuantLinear(16, 10, bias=True, weight_bit_width=4),
        torch.nn.BatchNorm1d(10),
    )


torch.set_num_threads(1)
for name in sys.argv[2:]:
    torch.manual_seed(0)
    model = separable() if name == "separable" else model_with_cfg(name, pretrained=False)[0]
    shape = (1, 28, 28) if name.startswith("tfc") else (3, 32, 32)
    x = torch.randint(0, 256, (24, *shape), dtype=torch.uint8)
    with torch.no_grad():
        model.train()
        for _ in range(3):
            for module in model.modules():
                module.momentum = 0.7  # of the norms: their statistics are found in a few steps
            model(x.float().div(255))
        model.eval()
        answers = model(x.float().div(255))
    np.savez(f"{sys.argv[1]}/{name}.npz", images=x.numpy(), answers=answers.numpy())
    # Both exporters of torch, which write Gemm and weights transposed by a node.
    export_qonnx(model, torch.rand(1, *shape), f"{sys.argv[1]}/{name}.onnx", dynamo=name == "tfc_1w1a")
"""


def test_networks_of_brevitas_predict_the_same(tmp_path):
    done = subprocess.run([sys.executable, "-c", EXPORT, str(tmp_path), *NETWORKS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, weights in NETWORKS.items():
        found = np.load(tmp_path / f"{name}.npz")
        graph = import_onnx(tmp_path / f"{name}.onnx")
        logits = Session(graph).logits(found["images"])
        expected = found["answers"]
        assert len(np.unique(expected.argmax(axis=1))) > 3
        np.testing.assert_array_equal(logits.argmax(axis=1), expected.argmax(axis=1))
        # Only the last norm is not of integers: one step of an accumulator is worth far more than this.
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        assert {op.weight_encoding for op in graph.ops if isinstance(op, Linear | Conv2d)} == weights
