"""Whole nets: ours by either method, the same net in floats on the papers' naive kernel, and on cuBLAS and cuDNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from binarynet.gpu import ops, reals
from binarynet.gpu.bench.timing import interleaved
from binarynet.gpu.network import Network
from binarynet.gpu.runner import REPLAYED, record
from binarynet.graph import Graph, verify
from binarynet.graph.ir import Affine, Conv2d, Flatten, Input, Linear, MaxPool2d, Op, Threshold


def papers_networks(width: int = 4096, filters: int = 128, side: int = 32) -> dict[str, Graph]:
    """BNN's MNIST MLP and CIFAR-10 ConvNet (arXiv:1602.02830) with random weights and thresholds."""
    return {"MNIST MLP": _mlp(width), "CIFAR-10 ConvNet": _convnet(filters, side)}


class _Maker:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.random = np.random.default_rng(0)
        self.ops: list[Op] = [Input("input", (), shape, "b8")]

    @property
    def last(self) -> str:
        return self.ops[-1].name

    def signs(self, *shape: int) -> np.ndarray:
        return self.random.choice(np.array([-1, 1], np.int8), shape)

    def block(self, out: int, conv: bool) -> None:
        """A product and its threshold, half of them falling, at about the spread of the sums."""
        value = verify(Graph(tuple(self.ops)))[self.last]
        name = f"product{len(self.ops)}"
        if conv:
            weight = self.signs(out, 3, 3, value.channels)
            self.ops.append(Conv2d(name, (self.last,), weight, padding=((1, 1), (1, 1))))
        else:
            self.ops.append(Linear(name, (self.last,), self.signs(out, value.channels)))
        spread = (weight[0].size if conv else value.channels) ** 0.5 * value.encoding.magnitude / 2
        levels = np.rint(self.random.normal(size=(out, 1)) * spread).astype(np.int32)
        self.ops.append(Threshold(f"sign{len(self.ops)}", (name,), levels, self.random.random(out) < 0.5))

    def pool(self) -> None:
        channels = verify(Graph(tuple(self.ops)))[self.last].channels
        minimum = self.random.random(channels) < 0.5
        self.ops.append(MaxPool2d(f"pool{len(self.ops)}", (self.last,), (2, 2), (2, 2), minimum))

    def graph(self, classes: int = 10) -> Graph:
        features = verify(Graph(tuple(self.ops)))[self.last].channels
        self.ops.append(Linear("classes", (self.last,), self.signs(classes, features)))
        scale, offset = self.random.normal(size=(2, classes)).astype(np.float32)
        self.ops.append(Affine("logits", ("classes",), scale, offset))
        return Graph(tuple(self.ops))


def _mlp(width: int) -> Graph:
    make = _Maker((784,))
    for _ in range(3):
        make.block(width, conv=False)
    return make.graph()


def _convnet(filters: int, side: int) -> Graph:
    make = _Maker((side, side, 3))
    for scale in (1, 2, 4):
        make.block(scale * filters, conv=True)
        make.block(scale * filters, conv=True)
        make.pool()
    make.ops.append(Flatten("flatten", (make.last,)))
    make.block(8 * filters, conv=False)
    make.block(8 * filters, conv=False)
    return make.graph()


def measure_network(
    device: torch.device, name: str, graph: Graph, batches: Sequence[int], seconds: float
) -> list[dict[str, Any]]:
    """One row a batch size and engine. Batches that sessions replay are replayed for every engine alike.

    ``same classes`` counts the images whose class is that of our net; half precision may round sums.
    """
    network = Network(graph, device)
    methods = {f"ours, {one}": Network(graph, device, one) for one in ("xnor", "dot")}
    naive = not any(isinstance(op, Conv2d) for op in graph.ops)
    kinds = {"torch float32": torch.float32}
    if device.type == "cuda":
        kinds |= {"torch float16": torch.float16, "torch bfloat16": torch.bfloat16}
    twins: dict[str, Callable[[Tensor], Tensor]] = {text: Twin(graph, device, kind) for text, kind in kinds.items()}
    if naive:
        twins["naive float32"] = Twin(graph, device, torch.float32, naive=True)
    rows = []
    for batch in batches:
        shape = (batch, *graph.input.shape)
        codes = torch.from_numpy(np.random.default_rng(batch).integers(0, 256, shape, dtype=np.uint8)).to(device)
        engines: dict[str, Callable[[Tensor], Tensor]] = {"ours": network, **methods, **twins}
        with torch.inference_mode():
            classes = network(codes).argmax(1)
            same = {text: int((engine(codes).argmax(1) == classes).sum()) for text, engine in engines.items()}
            bound = {text: _bound(engine, codes) for text, engine in engines.items()}
            calls: dict[str, Callable[[], object]] = {**bound}
            if device.type == "cuda" and batch <= REPLAYED:
                calls = {text: record(call)[0].replay for text, call in bound.items()}
            times = interleaved(device, calls, seconds)
        for text, (low, median, high) in times.items():
            rows.append(
                {
                    "network": name, "batch": batch, "engine": text, "median": median, "low": low, "high": high,
                    "times naive": times["naive float32"][1] / median if naive else None,
                    "times torch bfloat16": times["torch bfloat16"][1] / median if "torch bfloat16" in times else None,
                    "same classes": same[text], "weight bytes": getattr(engines[text], "bytes", None),
                }
            )  # fmt: skip
    return rows


def _bound(engine: Callable[[Tensor], Tensor], codes: Tensor) -> Callable[[], Tensor]:
    return lambda: engine(codes)


class Twin:
    """The same net in floats: ±1 weights as ``kind``, thresholds compared in float32, images NHWC in memory.

    ``naive`` takes the papers' kernel for its products. In float32 all sums are exact, so its classes are ours.
    """

    def __init__(self, graph: Graph, device: torch.device, kind: torch.dtype, naive: bool = False) -> None:
        self.graph, self.kind, self.naive = graph, kind, naive
        self.tensors: dict[str, tuple[Tensor, ...]] = {}

        def put(array: Any, dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device, dtype)

        for op in graph.ops:
            if isinstance(op, Linear):
                weight = put(op.weight, kind)
                self.tensors[op.name] = (weight.T.contiguous() if naive else weight,)
            elif isinstance(op, Conv2d):
                weight = put(op.weight.transpose(0, 3, 1, 2), kind)
                self.tensors[op.name] = (weight.contiguous(memory_format=torch.channels_last),)
            elif isinstance(op, Threshold):
                self.tensors[op.name] = (put(op.thresholds[:, 0], torch.float32), put(op.rising, torch.bool))
            elif isinstance(op, Affine):
                self.tensors[op.name] = (put(op.scale, torch.float32), put(op.offset, torch.float32))
            elif isinstance(op, MaxPool2d):
                self.tensors[op.name] = (put(op.minimum, torch.bool),)
        self.bytes = sum(
            tensor.nbytes for op in graph.ops if isinstance(op, Linear | Conv2d) for tensor in self.tensors[op.name]
        )

    def __call__(self, codes: Tensor) -> Tensor:
        """Raw bytes (n, …) → the answer (n, classes) float32; values are NHWC throughout."""
        x = 2 * codes.to(self.kind) - 255
        for op in self.graph.ops:
            if isinstance(op, Linear):
                (weight,) = self.tensors[op.name]
                x = ops.naive_gemm(x.contiguous(), weight) if self.naive else functional.linear(x, weight)
            elif isinstance(op, Conv2d):
                (weight,) = self.tensors[op.name]
                x = functional.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)
            elif isinstance(op, Threshold):
                level, rising = self.tensors[op.name]
                x = torch.where((x >= level) == rising, 1.0, -1.0).to(self.kind)
            elif isinstance(op, MaxPool2d):
                x = reals.max_pool(x, op, self.tensors[op.name][0])
            elif isinstance(op, Affine):
                x = reals.affine(x, *self.tensors[op.name])
            elif isinstance(op, Flatten):
                x = x.reshape(len(x), -1)
        return x
