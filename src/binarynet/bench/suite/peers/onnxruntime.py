"""onnxruntime on the CPU: float32 nets, and u8 × s8 products (QGemm, QLinearConv, MatMulInteger)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from binarynet.bench.suite.layers import STEEP, Layer, layers
from binarynet.bench.suite.peers import OTHER_NETS, TWINNED, Answers, NotHere, Peer, reads_other_nets
from binarynet.bench.suite.workloads import Workload


class This(Peer):
    kinds: ClassVar[tuple[str, ...]] = ("W1", "W2", "W3", "W4", "W5", *TWINNED)
    packages: ClassVar[Mapping[str, str]] = {"onnxruntime": "onnxruntime", "onnx": "onnx"}
    ways: ClassVar[Mapping[str, str]] = {
        "float32": "Gemm / Conv with the norm folded in, Clip",
        "u8s8": "MatMulInteger, QGemm, QLinearConv, requantized to 0 / 255; W6, W7: its quantized twin",
        **OTHER_NETS,
    }

    def build(self, work: Workload) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        self.sums = None
        if work.kind in TWINNED:
            from binarynet.bench.suite import exported

            made, images = exported.model(work, self.way), exported.images_of(work)
            session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
            return self._bind(session, images, np.float32, work.batch, session.get_outputs()[0].shape[1])
        images = work.images()
        one_conv = work.kind == "W5"
        if one_conv and self.way != "float32":
            raise NotHere("a convolution by itself ends in int32, which QLinearConv does not give")
        if one_conv:
            images = 2 * images.astype(np.float32) - 1
        if images.ndim == 4:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        elif work.is_product:
            images = 2 * images.astype(np.float32) - 1 if self.way == "float32" else images
        model = _Model(images, integer=self.way == "u8s8")
        chain = layers(work.graph)
        for layer in chain:
            model.float_layer(layer) if self.way == "float32" else model.byte_layer(layer)
        session = onnxruntime.InferenceSession(model.bytes(), options, providers=["CPUExecutionProvider"])
        kind = np.int32 if work.is_product and self.way == "u8s8" else np.float32
        channels = len(chain[-1].weight)
        self._bind(session, images, kind, work.batch, channels, *(images.shape[2:] if one_conv else ()))
        # The sum over codes 0 / 1 of a product is (Σ a · w + Σ w) / 2 of ±1 rows.
        self.sums = chain[0].sums if work.is_product and self.way == "u8s8" else None

    def _bind(self, session: Any, images: Any, kind: Any, *shape: int) -> None:
        """Images and answer, (batch, …) of a ``kind``, lie in memory of ours."""
        from onnxruntime import OrtValue

        self.session, self.into = session, np.empty(shape, kind)
        self.binding = session.io_binding()
        self.images = OrtValue.ortvalue_from_numpy(images)
        self.binding.bind_ortvalue_input("x", self.images)
        self.binding.bind_output("y", "cpu", 0, kind, self.into.shape, self.into.ctypes.data)

    def run(self) -> Any:
        self.session.run_with_iobinding(self.binding)
        return self.into

    def answer(self, raw: Any) -> Any:
        if raw.ndim == 4:
            return raw.transpose(0, 2, 3, 1)
        return raw if self.sums is None else 2 * raw - self.sums

    def has(self, work: Workload) -> bool:
        return super().has(work) and (self.way not in OTHER_NETS or reads_other_nets(work))

    def promise(self, work: Workload) -> Answers:
        if self.way == "float32":
            return "equal" if work.kind == "W5" else super().promise(work)
        return {"W1": "equal", "W2": "equal", "W3": "same"}.get(work.kind, "own")  # type: ignore[return-value]


class _Model:
    """An ONNX graph that grows by one layer at a time; its input is "x", its output "y"."""

    def __init__(self, images: Any, integer: bool) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self.helper, self.constants = helper, numpy_helper
        self.kinds = {"f": TensorProto.FLOAT, "u": TensorProto.UINT8, "i": TensorProto.INT32}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.input = helper.make_tensor_value_info("x", self.kinds[images.dtype.kind], images.shape)
        self.last, self.kind = "x", "f"
        if not integer and images.dtype == np.uint8:
            self.add("Cast", to=self.kinds["f"])

    def add(self, op: str, *constants: Any, domain: str = "", **attributes: Any) -> None:
        """A node that reads the last value, then constants (None: left out)."""
        inputs = [self.last, *("" if each is None else self.constant(each) for each in constants)]
        self.node(op, inputs, domain, **attributes)

    def node(self, op: str, inputs: list[str], domain: str = "", **attributes: Any) -> None:
        self.last = f"value{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(op, inputs, [self.last], domain=domain, **attributes))

    def constant(self, array: Any) -> str:
        name = f"constant{len(self.initializers)}"
        self.initializers.append(self.constants.from_array(np.ascontiguousarray(array), name))
        return name

    def float_layer(self, layer: Layer) -> None:
        weight, bias = layer.as_floats()
        if layer.is_conv:
            self.add("Conv", weight, bias, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        elif layer.threshold is None and layer.affine is None:
            self.add("MatMul", weight.T)
        else:
            self.flatten(layer)
            self.add("Gemm", weight, bias, transB=1)
        if layer.threshold is not None:
            self.add("Clip", np.float32(-1), np.float32(1))
        self.pool(layer)

    def byte_layer(self, layer: Layer) -> None:
        self.flatten(layer)
        if layer.threshold is None:
            self.add("MatMulInteger", layer.weight.T)
            self.kind = "i"
            if layer.affine is not None:
                scale, offset = layer.last_of_bytes()
                self.add("Cast", to=self.kinds["f"])
                self.add("Mul", scale)
                self.add("Add", offset)
                self.kind = "f"
            return
        zero = np.uint8(128 if layer.is_conv else 0)
        weight, bias = layer.as_bytes(int(zero))
        one, fine = np.float32(1), np.float32(1 / STEEP)
        if layer.is_conv:
            conv = (one, zero, weight, one, np.int8(0), fine, np.uint8(0), bias)
            self.add("QLinearConv", *conv, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        else:
            gemm = (one, zero, weight.T, one, np.int8(0), bias, fine, np.uint8(0))
            self.add("QGemm", *gemm, domain="com.microsoft")
        self.pool(layer)

    def flatten(self, layer: Layer) -> None:
        if layer.flattens:
            self.add("Flatten")

    def pool(self, layer: Layer) -> None:
        if layer.pools:
            self.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])

    def bytes(self) -> bytes:
        self.node("Identity", [self.last])
        self.nodes[-1].output[0] = "y"
        result = self.helper.make_tensor_value_info("y", self.kinds[self.kind], None)
        graph = self.helper.make_graph(self.nodes, "workload", [self.input], [result], self.initializers)
        sets = [self.helper.make_opsetid("", 17), self.helper.make_opsetid("com.microsoft", 1)]
        made: bytes = self.helper.make_model(graph, opset_imports=sets, ir_version=8).SerializeToString()
        return made
