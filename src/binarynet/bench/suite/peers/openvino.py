"""OpenVINO on the CPU: float32, bfloat16, int8, and its BinaryConvolution, which counts bits.

BinaryConvolution takes what a FakeQuantize of two levels, 0 and 1, makes of reals, and u1 weights, lowest bit first. A
dense layer is a 1 × 1 convolution. ``pad_value`` 0 leaves what is outside the image out of the sum, which is the
number 0. Raw bytes cannot enter it: the first layer is a product of bytes (int8).
W6 has reals between its products, so there it is not tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from binarynet.bench.suite.layers import Layer, layers
from binarynet.bench.suite.peers import OTHER_NETS, TWINNED, Answers, Array, NotHere, Peer, reads_other_nets
from binarynet.bench.suite.workloads import Workload


class This(Peer):
    kinds: ClassVar[tuple[str, ...]] = ("W1", "W2", "W3", "W4", *TWINNED)
    packages: ClassVar[Mapping[str, str]] = {"openvino": "openvino"}
    ways: ClassVar[Mapping[str, str]] = {
        "float32": "MatMul / Convolution with the norm folded in, Clamp",
        "bfloat16": "the same, inference precision bf16",
        "int8": "the same from u8 FakeQuantize of 256 levels and s8 weights; W6, W7: ONNX Runtime's quantized twin",
        "binary": "BinaryConvolution-1 behind FakeQuantize of 2 levels; an int8 first layer",
        **OTHER_NETS,
    }

    def build(self, work: Workload) -> None:
        import openvino
        from openvino import opset1, opset13

        self.ov, self.op, self.max_pool = openvino, opset13, opset1.max_pool
        self.kept: list[Any] = []  # the memory of u1 constants is not copied
        self.binarized = False
        self.sums = None
        if work.kind in TWINNED:
            from binarynet.bench.suite import exported

            if self.way == "int8" and "ReActNet" in work.name:
                raise NotHere("OpenVINO 2026.4 crashes (SIGSEGV) on the quantized twin")
            made = openvino.Core().read_model(exported.model(work, self.way), b"")
            return self._compile(made, exported.images_of(work))
        images = work.images()
        if images.ndim == 4:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        elif work.is_product and self.way != "int8":
            images = (2 * images.astype(np.float32) - 1).astype(np.float32)
        chain = layers(work.graph)
        if self.way == "binary" and images.ndim == 2:
            images = images[..., None, None]
        x = value = self.op.parameter(images.shape, images.dtype)
        if images.dtype != np.float32:
            value = self.op.convert(x, np.float32)
        if self.way == "int8":
            value = self._codes(value, (0, 255), 128 if chain[0].is_conv else 0)
        for layer, following in zip(chain, [*chain[1:], None], strict=True):
            if self.way == "binary":
                value = self._binary(value, layer)
            elif self.way == "int8":
                value = self._int8(value, layer, 128 if following and following.is_conv else 0)
            else:
                value = self._float(value, layer)
        self._compile(openvino.Model([value], [x], "workload"), images)
        self.sums = chain[0].sums if work.is_product and self.way == "int8" else None

    def _compile(self, model: Any, images: Array) -> None:
        precision = {"bfloat16": "bf16"}.get(self.way, "f32")
        settings = {
            "INFERENCE_NUM_THREADS": self.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": 1,
        }
        self.compiled = self.ov.Core().compile_model(model, "CPU", settings)
        self.request = self.compiled.create_infer_request()
        self.images = images
        self.request.set_input_tensor(self.ov.Tensor(self.images, shared_memory=True))

    def run(self) -> Any:
        self.request.infer()
        return self.request.get_output_tensor(0).data

    def answer(self, raw: Any) -> Array:
        array: Array = raw.reshape(len(raw), -1)
        return array if self.sums is None else 2 * array - self.sums

    def has(self, work: Workload) -> bool:
        if self.way == "binary":
            return work.kind in Peer.kinds
        return super().has(work) and (self.way not in OTHER_NETS or reads_other_nets(work))

    def promise(self, work: Workload) -> Answers:
        if self.way == "binary":
            return "equal" if work.is_product else "same"
        if self.way == "int8":
            return "equal" if work.is_product else "same" if work.kind == "W3" else "own"
        return "near" if self.way == "bfloat16" and work.is_product else super().promise(work)

    def details(self) -> str:
        found = dict[str, None]()
        for node in self.compiled.get_runtime_model().get_ops():
            kind = str(node.get_rt_info()["layerType"].astype(str))
            if any(word in kind for word in ("MatMul", "Convolution", "FullyConnected")):
                found[f"{kind} {node.get_rt_info()['primitiveType'].astype(str)}"] = None
        return "; ".join(found)

    def _float(self, x: Any, layer: Layer) -> Any:
        weight, bias = layer.as_floats()
        x = self._product(x, layer, self._real(weight))
        if layer.threshold is not None or layer.affine is not None:
            x = self.op.add(x, self._real(_beside(bias, layer.is_conv)))
        if layer.threshold is not None:
            x = self.op.clamp(x, -1.0, 1.0)
        return self._pool(x, layer)

    def _int8(self, x: Any, layer: Layer, zero_after: int) -> Any:
        """x: codes 0 … 255 as reals, of which only the ends occur behind a hidden layer."""
        if layer.threshold is None:
            x = self._product(x, layer, self._s8(layer.weight))
            if layer.affine is None:
                return x
            scale, offset = layer.last_of_bytes()
            return self.op.add(self.op.multiply(x, self._real(scale)), self._real(offset))
        weight, bias = layer.as_bytes(128 if layer.is_conv else 0)
        x = self._product(x, layer, self._s8(weight))
        x = self.op.add(x, self._real(_beside(bias, layer.is_conv)))
        # Sums of codes 0 / 255 are never near the bound, so the steep part may be wide enough for float32.
        ends = (0.25, 0.75) if layer.first else (-30.0, 31.0)
        return self._pool(self._codes(x, ends, zero_after), layer)

    def _codes(self, x: Any, ends: tuple[float, float], zero: int) -> Any:
        """Reals between the ends → 256 levels, less the code that stands for 0."""
        return self.op.fake_quantize(x, *(self._real(each) for each in (*ends, -zero, 255 - zero)), 256)

    def _s8(self, weight: Array) -> Any:
        scale = np.ones((len(weight), *[1] * (weight.ndim - 1)))
        real = self.op.convert(self.op.constant(np.ascontiguousarray(weight, np.int8)), np.float32)
        return self.op.multiply(real, self._real(scale))

    def _binary(self, x: Any, layer: Layer) -> Any:
        """x: sums, or ±1, or at first the bytes. Channels that fall are turned, so that pools may be max."""
        weight = layer.weight if layer.is_conv else layer.weight[:, :, None, None]
        bound = None
        if layer.threshold is not None:
            bound = layer.threshold.thresholds[:, 0].astype(np.float64)
            rising = layer.threshold.rising
            weight = weight * np.where(rising, 1, -1).astype(np.int8)[:, None, None, None]
            bound = np.where(rising, bound, 1 - bound) - 0.5
        around = [int(layer.is_conv)] * 2
        if layer.first:
            x = self.op.convolution(self._codes(x, (0, 255), 0), self._s8(weight), [1, 1], around, around, [1, 1])
            # Σ w (2 x − 255) ≥ t, halved; the weights that lie inside the image are fewer at its borders.
            x = self.op.add(x, self._real(-127.5 * _inside(weight, x.get_output_shape(0)[2:], around[0])))
            bound = None if bound is None else bound / 2
        else:
            if not self.binarized:
                x = self._two_levels(x, np.zeros(weight.shape[1]))
            x = self._counted(x, weight, around)
        self.binarized = False
        x = self._pool(x, layer)
        if layer.affine is not None:
            scale, offset = (self._real(_beside(each, True)) for each in (layer.affine.scale, layer.affine.offset))
            return self.op.add(self.op.multiply(x, scale), offset)
        if bound is None:
            return x
        self.binarized = True
        return self._two_levels(x, bound)

    def _two_levels(self, x: Any, bound: Array) -> Any:
        ends = self._real(_beside(bound, True))
        return self.op.fake_quantize(
            x, ends, ends, self._real(np.zeros((1, 1, 1, 1))), self._real(np.ones((1, 1, 1, 1))), 2
        )

    def _counted(self, x: Any, weight: Array, around: list[int]) -> Any:
        shape = x.get_output_shape(0)
        if not around[0] and (shape[2] > 1 or shape[1] != weight.shape[1]):  # an image that is read as a vector
            x = self.op.reshape(x, self.op.constant(np.array([shape[0], weight.shape[1], 1, 1])), False)
        bits = np.packbits((weight > 0).ravel(), bitorder="little")
        self.kept.append(bits)
        u1 = self.op.constant(self.ov.Tensor(bits, self.ov.Shape(weight.shape), self.ov.Type.u1))
        return self.op.binary_convolution(x, u1, [1, 1], around, around, [1, 1], "xnor-popcount", 0.0)

    def _product(self, x: Any, layer: Layer, weight: Any) -> Any:
        if layer.is_conv:
            return self.op.convolution(x, weight, [1, 1], [1, 1], [1, 1], [1, 1])
        if layer.flattens:
            x = self.op.reshape(x, self.op.constant(np.array([x.get_output_shape(0)[0], layer.weight.shape[1]])), False)
        return self.op.matmul(x, weight, False, True)

    def _pool(self, x: Any, layer: Layer) -> Any:
        if not layer.pools:
            return x
        return self.max_pool(x, [2, 2], [0, 0], [0, 0], [2, 2])

    def _real(self, numbers: Any) -> Any:
        return self.op.constant(np.asarray(numbers, np.float32))


def _beside(numbers: Array, is_image: bool) -> Array:
    """One number a channel, in the shape that meets (n, channels) or (n, channels, height, width)."""
    return numbers.reshape(1, -1, 1, 1) if is_image else numbers.reshape(1, -1)


def _inside(weight: Array, size: Any, around: int) -> Array:
    """Sum of the weights (out, in, k, k) that lie inside the image, (1, out, height, width)."""
    taps = weight.sum(axis=1, dtype=np.int64)  # (out, k, k)
    height, width = size
    padded = np.pad(np.ones((height, width)), around)
    total = np.zeros((len(weight), height, width))
    for row in range(taps.shape[1]):
        for column in range(taps.shape[2]):
            total += taps[:, row, column, None, None] * padded[row : row + height, column : column + width]
    return total[None]
