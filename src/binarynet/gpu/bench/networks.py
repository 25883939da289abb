"""Whole nets: ours by every method, the same net in floats on the papers' baseline kernel, and on cuBLAS and cuDNN."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from binarynet.gpu import one_bit, ops, reals
from binarynet.gpu.bench.products import BASELINE, Found, Plan
from binarynet.gpu.bench.timing import interleaved, replayable
from binarynet.gpu.network import Network
from binarynet.gpu.product import METHODS
from binarynet.gpu.runner import REPLAYED
from binarynet.graph import Graph, verify
from binarynet.graph.ir import Affine, Conv2d, Flatten, Input, Linear, MaxPool2d, Op, Threshold

NETWORKS = {"mlp": "MNIST MLP", "convnet": "CIFAR-10 ConvNet"}


def papers_networks(
    width: int = 4096, filters: int = 128, side: int = 32, which: tuple[str, ...] = tuple(NETWORKS)
) -> dict[str, Graph]:
    """BNN's MNIST MLP and CIFAR-10 ConvNet (arXiv:1602.02830) with random weights and thresholds."""
    make = {"mlp": lambda: _mlp(width), "convnet": lambda: _convnet(filters, side)}
    return {NETWORKS[name]: make[name]() for name in which}


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


def measure_network(device: torch.device, name: str, graph: Graph, batch: int, plan: Plan) -> Found:
    """One row an engine. Batches that sessions replay are replayed for every engine alike.

    ``same classes`` counts the images whose class is that of our net; half precision may round sums. An engine whose
    sums are exact and whose classes differ is not timed: it is `Found.failed`, as is one that cannot run.
    """
    found, place = Found(), f"{name}, batch {batch}"
    shape = (batch, *graph.input.shape)
    codes = torch.from_numpy(np.random.default_rng(batch).integers(0, 256, shape, dtype=np.uint8)).to(device)
    engines = {text: make for text, make in _engines(device, graph).items() if plan.wants(text)}
    exact = not any(isinstance(op, Conv2d) for op in graph.ops)
    made: dict[str, Callable[[Tensor], Tensor]] = {}
    timed: dict[str, Callable[[], object]] = {}
    same: dict[str, int] = {}
    with torch.inference_mode():
        classes = _classes(device, graph, codes)
        for text, make in engines.items():
            try:
                made[text] = make()
                same[text] = int((made[text](codes).argmax(1) == classes).sum())
                if same[text] != batch and (text.startswith("ours") or (exact and "float32" in text)):
                    raise AssertionError(f"{batch - same[text]} of {batch} classes differ")
                call = _bound(made[text], codes)
                small = plan.replay and device.type == "cuda" and batch <= REPLAYED
                timed[text] = replayable(call) if small else call
            except Exception as error:  # whatever one engine meets, the others are measured
                found.fail(f"{text}, {place}", error)
        times = interleaved(device, timed, plan.seconds, lambda text, error: found.fail(f"{text}, {place}", error))
    for text, (low, median, high) in times.items():
        found.rows.append(
            {
                "network": name, "batch": batch, "engine": text, "median": median, "low": low, "high": high,
                "times baseline": times[BASELINE][1] / median if BASELINE in times else None,
                "times torch bfloat16": times["torch bfloat16"][1] / median if "torch bfloat16" in times else None,
                "same classes": same[text], "weight bytes": getattr(made[text], "bytes", None),
                "methods": str(getattr(made[text], "choices", {}) or "") or None,
            }
        )  # fmt: skip
    return found


def _engines(device: torch.device, graph: Graph) -> dict[str, Callable[[], Callable[[Tensor], Tensor]]]:
    """Engine → how it is made; nets of one graph are made once for all batch sizes."""
    methods = [one for one in METHODS if one != "wgmma" or one_bit.why_not(device) is None]
    engines: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
        "ours": lambda: _network(device, _Same(graph), None)
    }
    engines |= {f"ours, {one}": lambda one=one: _network(device, _Same(graph), one) for one in methods}  # type: ignore[misc]
    kinds = {"torch float32": torch.float32}
    if device.type == "cuda":
        kinds |= {"torch float16": torch.float16, "torch bfloat16": torch.bfloat16}
    engines |= {text: lambda kind=kind: Twin(graph, device, kind) for text, kind in kinds.items()}  # type: ignore[misc]
    if not any(isinstance(op, Conv2d) for op in graph.ops):
        engines[BASELINE] = lambda: Twin(graph, device, torch.float32, naive=True)
    return engines


class _Same:
    """A graph as a key: two are the same if they are one object."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __hash__(self) -> int:
        return id(self.graph)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.graph is other.graph


@cache
def _network(device: torch.device, key: _Same, method: str | None) -> Network:
    return Network(key.graph, device, method)


def _classes(device: torch.device, graph: Graph, codes: Tensor) -> Tensor:
    """What ours answers, by the method that is nearest to the papers': all engines are held to it."""
    return _network(device, _Same(graph), "xnor")(codes).argmax(1)


def _bound(engine: Callable[[Tensor], Tensor], codes: Tensor) -> Callable[[], Tensor]:
    return lambda: engine(codes)


class Twin:
    """The same net in floats: ±1 weights as ``kind``, thresholds compared in float32, images NHWC in memory.

    ``naive`` takes the papers' baseline for its products. In float32 all sums are exact, so its classes are ours.
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
                x = ops.tiled_gemm(x.contiguous(), weight) if self.naive else functional.linear(x, weight)
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
