"""LiteRT (TensorFlow Lite) with XNNPACK: float32 nets and int8 nets, written layer by layer as a .tflite model.

A tensor has one zero point for the layer that writes it and the one that reads it, so between convolutions the rare
sum 0 becomes the code that pads: int8 ConvNets have numbers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from binarynet.bench.suite.layers import STEEP, Layer, layers
from binarynet.bench.suite.peers import Answers, Array, NotHere, Peer
from binarynet.bench.suite.workloads import Workload


class This(Peer):
    packages: ClassVar[Mapping[str, str]] = {"ai_edge_litert": "ai-edge-litert", "flatbuffers": "flatbuffers"}
    ways: ClassVar[Mapping[str, str]] = {
        "float32": "FULLY_CONNECTED / CONV_2D with the norm folded in and RELU_N1_TO_1",
        "int8": "the same in s8, requantized to −128 / 127; the last layer in float32",
    }

    def build(self, work: Workload) -> None:
        from ai_edge_litert.interpreter import Interpreter

        if work.is_product and self.way == "int8":
            raise NotHere("its int8 products end in int8")
        self.images = work.images()
        if work.is_product:
            self.images = 2 * self.images.astype(np.float32) - 1
        model = _Model(self.images)
        chain = layers(work.graph)
        if self.way == "int8":
            model.quantize(_zero(chain[0]))
        elif not work.is_product:
            model.cast()
        for layer, following in zip(chain, [*chain[1:], None], strict=True):
            if self.way == "int8" and following:
                model.byte_layer(layer, _zero(following))
            else:
                model.float_layer(layer, of_bytes=self.way == "int8")
        self.content = model.bytes()  # the interpreter reads the weights from here
        self.interpreter = Interpreter(model_content=self.content, num_threads=self.threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.output = self.interpreter.get_output_details()[0]["index"]

    def run(self) -> Array:
        self.interpreter.set_tensor(self.input, self.images)
        self.interpreter.invoke()
        array: Array = self.interpreter.tensor(self.output)()  # not a copy
        return array

    def answer(self, raw: Array) -> Array:
        return raw.copy()  # the interpreter refuses to run while somebody looks at its memory

    def promise(self, work: Workload) -> Answers:
        return "same" if self.way == "int8" and work.kind == "W3" else super().promise(work)


def _zero(layer: Layer) -> int:
    """The s8 code that pads and stands for the number 0."""
    return 0 if layer.is_conv else -128


class _Model:
    """A .tflite model that grows by one operator at a time."""

    def __init__(self, images: Array) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.model = schema.ModelT()
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.shape: tuple[int, ...] = images.shape
        self.scale = 1.0
        self.last = self.tensor(images.shape, images.dtype)
        self.graph.inputs = [self.last]

    def tensor(self, shape: tuple[int, ...], dtype: Any, scale: Any = None, zero: int = 0, data: Any = None) -> int:
        """A new tensor, quantized if it has a scale, constant if it has data; its number."""
        made = self.schema.TensorT()
        made.shape, made.name = list(shape), f"tensor{len(self.graph.tensors)}"
        made.type = getattr(self.schema.TensorType, np.dtype(dtype).name.upper())
        made.buffer = 0
        if scale is not None:
            scales = np.atleast_1d(np.float32(scale))
            made.quantization = self.schema.QuantizationParametersT()
            made.quantization.scale = scales.tolist()
            made.quantization.zeroPoint = [zero] * len(scales)
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.ascontiguousarray(data, dtype).reshape(-1).view(np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def operator(self, name: str, constants: list[int], output: int, options: str = "", **fields: Any) -> None:
        """An operator that reads the last tensor and constants."""
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 3 if name == "CONV_2D" else 1
        self.model.operatorCodes.append(code)
        made = self.schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = [self.last, *constants], [output]
        if options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")()
            for key, value in fields.items():
                setattr(made.builtinOptions, key, value)
        self.graph.operators.append(made)
        self.last = output

    def quantize(self, zero: int) -> None:
        """Raw bytes → s8 codes of the same numbers."""
        first = self.graph.tensors[self.last]
        first.quantization = self.schema.QuantizationParametersT()
        first.quantization.scale, first.quantization.zeroPoint = [1.0], [zero + 128]
        self.operator("QUANTIZE", [], self.tensor(self.shape, np.int8, 1.0, zero), "QuantizeOptions")

    def cast(self) -> None:
        self.operator("CAST", [], self.tensor(self.shape, np.float32), "CastOptions", inDataType=3, outDataType=0)

    def float_layer(self, layer: Layer, of_bytes: bool) -> None:
        """``of_bytes``: the last layer of an int8 net, whose input is made real first."""
        if of_bytes:
            self.operator("DEQUANTIZE", [], self.tensor(self.shape, np.float32), "DequantizeOptions")
            scale, bias = layer.last_of_bytes()
            weight = layer.weight * (scale / np.float32(self.scale))[:, None]
        else:
            weight, bias = layer.as_floats()
        clips = 0 if layer.threshold is None else self.schema.ActivationFunctionType.RELU_N1_TO_1
        self.product(layer, weight, bias, np.float32, clips)
        self.pool(layer, np.float32)

    def byte_layer(self, layer: Layer, zero_after: int) -> None:
        weight, bias = layer.as_bytes(_zero(layer) + 128)
        worth = 1 / self.scale  # of a weight, so that a step of the accumulator, and of the bias, is worth 1
        self.scale = 1 / STEEP
        self.product(layer, weight, bias, np.int8, 0, worth, zero_after)
        self.pool(layer, np.int8, zero_after)

    def product(
        self,
        layer: Layer,
        weight: Array,
        bias: Array,
        dtype: Any,
        clips: int,
        worth: float | None = None,
        zero: int = 0,
    ) -> None:
        integer = worth is not None
        if layer.is_conv:
            weight = weight.transpose(0, 2, 3, 1)  # (out, height, width, in)
        elif layer.flattens:
            height, width, channels = layer.flattens
            weight = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(weight), -1)
        self.shape = (*self.shape[: 3 if layer.is_conv else 1], len(weight))
        scales = np.full(len(weight), worth) if integer and layer.is_conv else worth
        constants = [self.tensor(weight.shape, dtype, scales, data=weight)]
        if layer.threshold is not None or layer.affine is not None:
            kind = np.int32 if integer else np.float32
            bias_scale = (np.ones(len(bias)) if layer.is_conv else 1.0) if integer else None
            constants.append(self.tensor(bias.shape, kind, bias_scale, data=bias))
        output = self.tensor(self.shape, dtype, self.scale if integer else None, zero)
        if layer.is_conv:
            around = {"padding": self.schema.Padding.SAME, "strideW": 1, "strideH": 1}
            self.operator("CONV_2D", constants, output, "Conv2DOptions", fusedActivationFunction=clips, **around)
        else:
            options = "FullyConnectedOptions"
            self.operator("FULLY_CONNECTED", constants, output, options, fusedActivationFunction=clips)

    def pool(self, layer: Layer, dtype: Any, zero: int = 0) -> None:
        if not layer.pools:
            return
        n, height, width, channels = self.shape
        self.shape = (n, height // 2, width // 2, channels)
        output = self.tensor(self.shape, dtype, self.scale if dtype == np.int8 else None, zero)
        window = {"filterWidth": 2, "filterHeight": 2, "strideW": 2, "strideH": 2}
        self.operator("MAX_POOL_2D", [], output, "Pool2DOptions", padding=self.schema.Padding.VALID, **window)

    def bytes(self) -> bytes:
        import flatbuffers

        self.graph.outputs = [self.last]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
