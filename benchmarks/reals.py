"""Convolutions of float32 beside ONNX Runtime's, one thread each, in turn in one process.

    python benchmarks/reals.py [--seconds 1] [--batch 1 4]

Stems, 1 × 1 and depthwise convolutions of the sizes that nets at 224 × 224 have. Input and answer lie in memory that is
kept, images as each library likes them. The shortest processor time of each counts, so a busy machine hurts little.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from binarynet import _native
from binarynet.errors import InputError, run_script

TURN = 0.02  # seconds


class Layer(NamedTuple):
    name: str
    side: int
    channels: int
    filters: int
    kernel: int
    stride: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        return 0 if self.kernel == 11 else self.kernel // 2


LAYERS = (
    Layer("stem 7 × 7, stride 2, 3 → 64 on 224", 224, 3, 64, 7, 2),
    Layer("stem 11 × 11, stride 4, 3 → 96 on 227", 227, 3, 96, 11, 4),
    Layer("stem 3 × 3, stride 2, 3 → 32 on 224", 224, 3, 32, 3, 2),
    Layer("1 × 1, 64 → 128 on 28", 28, 64, 128, 1),
    Layer("1 × 1, 256 → 512 on 7", 7, 256, 512, 1),
    Layer("3 × 3, 64 → 64 on 56", 56, 64, 64, 3),
    Layer("depthwise 3 × 3, 64 on 56", 56, 64, 64, 3, 1, 64),
    Layer("depthwise 3 × 3, 256 on 14", 14, 256, 256, 3, 1, 256),
    Layer("depthwise 3 × 3, stride 2, 128 on 56", 56, 128, 128, 3, 2, 128),
)


def ours(layer: Layer, weight: NDArray[np.float32], images: NDArray[np.float32]) -> tuple[Callable[[], Any], Any]:
    """A call, and where its answer lies: (batch, height, width, filters)."""
    network = _native.Network("", 1, "")
    pads = ((layer.padding,) * 2,) * 2
    sides = (layer.kernel, layer.kernel), (layer.stride, layer.stride), (1, 1), pads
    rows = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(layer.filters, -1)
    source = network.add_input((layer.side, layer.side, layer.channels), "f32")
    network.finish(network.add_conv2d_f32("layer", source, rows, *sides, 0, layer.groups))
    answers = np.empty(len(images) * network.output_numbers, np.float32)
    return lambda: network.run(images, answers), answers


def theirs(layer: Layer, weight: NDArray[np.float32], images: NDArray[np.float32]) -> tuple[Callable[[], Any], Any]:
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise InputError(f"it compares with {error.name}: pip install 'binarynet[peers]' -c constraints.txt") from error
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=[layer.stride] * 2, pads=[layer.padding] * 4, group=layer.groups
    )
    batch, pixels = len(images), np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, pixels.shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, layer.filters, None, None])
    graph = helper.make_graph([node], "layer", [x], [y], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("x", pixels)
    binding.bind_output("y", "cpu")
    return lambda: session.run_with_iobinding(binding), binding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each layer and batch")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    rng = np.random.default_rng(0)
    for batch in options.batch:
        for layer in LAYERS:
            shape = (layer.filters, layer.channels // layer.groups, layer.kernel, layer.kernel)
            weight = rng.standard_normal(shape, np.float32)
            images = rng.standard_normal((batch, layer.side, layer.side, layer.channels), np.float32)
            calls, places = zip(ours(layer, weight, images), theirs(layer, weight, images), strict=True)
            taken: list[list[float]] = [[], []]
            end = time.perf_counter() + options.seconds
            while not taken[1] or time.perf_counter() < end:
                for call, times in zip(calls, taken, strict=True):
                    call()
                    turn = time.perf_counter() + TURN
                    while not times or time.perf_counter() < turn:
                        begin = time.thread_time()
                        call()
                        times.append(time.thread_time() - begin)
            answers = places[1].copy_outputs_to_cpu()[0].transpose(0, 2, 3, 1).ravel()
            # Sums of up to 600 products of about 1 each, in another order: 2^-13 of their size.
            if not np.allclose(places[0], answers, rtol=2**-13, atol=2**-8):
                raise InputError(f"{layer.name}: the answers differ")
            mine, other = min(taken[0]) * 1e6, min(taken[1]) * 1e6
            ratio = mine / other
            print(f"{layer.name:40} batch {batch}: {mine:9.1f} µs, ONNX Runtime {other:9.1f} µs, ratio {ratio:.2f}")


if __name__ == "__main__":
    run_script(main)
