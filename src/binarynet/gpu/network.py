"""A whole graph on one device: weights packed once, every op a kernel, nothing copied back before the answer."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from binarynet.errors import RuntimeUnavailable
from binarynet.format.bits import pack as pack_bits
from binarynet.gpu import moves, one_bit, ops, reals
from binarynet.gpu.codes import halves_for, stored
from binarynet.gpu.product import LARGE, METHODS, Finish, Product
from binarynet.gpu.step import Step
from binarynet.graph import Encoding, Graph, verify
from binarynet.graph.ir import (
    Add,
    Affine,
    Apply,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
    Value,
)
from binarynet.graph.rules import Rules

_MOST = 2**31 - 1  # elements of one tensor: kernels count in 32 bits


class Network:
    """The ops of a verified graph on ``device``, called with codes (n, *input shape) as a tensor there.

    Between ops, values are matrices of all pixels: words for b1, int8 codes (`binarynet.gpu.codes`), int32, float32.
    A threshold or scale behind a product is fused into it where nothing else reads the accumulators.

    Args:
        method: one of `binarynet.gpu.product.METHODS` for every product that has it, or None for the fastest,
            measured at the first batch of each size. ``wgmma`` runs only where it is asked for by name.

    Raises:
        GraphError: the graph breaks a rule.
        RuntimeUnavailable: an op of the graph cannot run there; the text names it, and the way out.
    """

    def __init__(self, graph: Graph, device: torch.device, method: str | None = None) -> None:
        if method not in (None, *METHODS):
            names = ", ".join(map(repr, METHODS))
            raise RuntimeUnavailable(f"unknown method {method!r}; there are {names}, or None for the fastest")
        if method == "wgmma" and (why := one_bit.why_not(device)):
            raise RuntimeUnavailable(f"method 'wgmma' {why}; take method='int8', or None for the fastest")
        self.device, self.method = device, method
        self.values = verify(graph)
        self.input, self.output = graph.input, graph.output.name
        self.products: dict[str, Product] = {}
        self.choices: dict[tuple[str, int], str] = {}
        self.steps: list[Step] = []
        fused: set[str] = set()
        for op in graph.ops[1:]:
            if op.name not in fused:
                readers = graph.readers(op.name)
                step = RULES.of(op)(self, op, readers[0] if len(readers) == 1 else None)
                fused |= {step.name} - {op.name}
                self.steps.append(step)
        last = {source: number for number, step in enumerate(self.steps) for source in step.sources}
        self._free = [[name for name in last if last[name] == number] for number in range(len(self.steps))]
        self.most = max(1, _MOST // max(map(_elements, self.values.values())))
        """Images that one call takes."""

    def __call__(self, codes: Tensor) -> Tensor:
        """codes (n, *input shape): uint8, or float32 for f32 → the answer (n, *output shape), int32 or float32."""
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):  # Triton launches on the current one
                return self._answer(codes)
        return self._answer(codes)

    def _answer(self, codes: Tensor) -> Tensor:
        images = len(codes)
        values = {self.input.name: self.enter(codes.reshape(-1, codes.shape[-1]))}
        for step, free in zip(self.steps, self._free, strict=True):
            values[step.name] = step.run(*(values[source] for source in step.sources))
            for source in free:
                del values[source]  # its memory is free for what comes
        answer = self.numbers(values[self.output], self.values[self.output])
        return answer.reshape(images, *self.values[self.output].shape)

    @property
    def bytes(self) -> int:
        """Bytes of weights on the device."""
        return sum(product.bytes for product in self.products.values())

    def enter(self, codes: Tensor) -> Tensor:
        """Input codes (pixels, channels) → how values of that encoding lie."""
        encoding = Encoding.parse(self.input.encoding)
        if encoding.is_float:
            return codes
        if str(encoding) == "b1":
            return ops.pack_planes(codes, 1)[0]
        form = stored(encoding)
        # The count from below is the code; low and step may leave int8 on the way, so int16.
        return (codes.to(torch.int16) * form.step + form.low).to(torch.int8)

    def numbers(self, x: Tensor, value: Value) -> Tensor:
        """Values as they lie → the numbers they mean, (pixels, channels): int32 or float32."""
        encoding = value.encoding
        if x.dtype == torch.float32 or encoding == Encoding("i", 32):
            return x
        if str(encoding) == "b1":
            return ops.unpack(x, value.channels).to(torch.int32)
        form = stored(encoding)
        return x.to(torch.int32) * form.scale + form.offset

    def put(self, array: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def finish(self, op: Op | None, made: str) -> Finish:
        """What a product or `ops.pack` needs of the op behind it."""
        if isinstance(op, Threshold):
            return Finish(op.encoding, self.put(op.thresholds), self.put(op.rising.astype(np.int8)))
        if isinstance(op, Affine):
            return Finish("affine", scale=self.put(op.scale), offset=self.put(op.offset))
        return Finish(made)

    def product(self, op: Linear | Conv2d, after: Op | None) -> Step:
        """A product, and ``after``, its only reader, where that can be part of it."""
        source = self.values[op.source]
        product = self.products[op.name] = Product(op, source, self.device)
        whole_words = product.groups == 1 or product.out // product.groups % 64 == 0
        codes = isinstance(after, Threshold) and (after.encoding != "b1" or whole_words)
        scaled = isinstance(after, Affine) and product.packed
        last = after if codes or scaled else None
        finish = self.finish(last, "f32" if product.real else "i32")
        bits = str(source.encoding) == "b1"
        form = None if source.encoding.is_float or bits else stored(source.encoding)

        def run(x: Tensor) -> Tensor:
            method = self._method(op.name, finish.made, len(x), lambda one: with_method(x, one))
            return with_method(x, method)

        def with_method(x: Tensor, method: str) -> Tensor:
            if bits and not product.packed and method != "xnor":
                x = ops.unpack(x, source.channels)
            elif form is not None and method == "xnor":
                x = ops.pack_planes(((x.to(torch.int16) - form.low) // form.step).to(torch.uint8), source.encoding.bits)
            return product(x, finish, method)

        name = last.name if last is not None else op.name
        text = (
            f"{' or '.join(self._allowed(product, finish.made))} {source.encoding}×{op.weight_encoding} → {finish.made}"
        )
        return Step(op, name, op.sources, run, text)

    def _allowed(self, product: Product, made: str, rows: int = LARGE) -> tuple[str, ...]:
        """The method asked for, where this product has it; else those among which the fastest is taken."""
        can = [one for one in product.methods if one != "wgmma" or made in one_bit.KERNELS]
        if self.method in can:
            return (self.method,)
        # The kernel of wgmma has not run on a GPU yet (docs/gpu.md); nobody gets it without asking.
        return tuple(one for one in can if one != "wgmma" and (one != "int8" or rows >= LARGE))

    def _method(self, name: str, made: str, rows: int, call: Callable[[str], Tensor]) -> str:
        """Which method runs this product on so many rows: the only one, the one asked for, or the fastest."""
        allowed = self._allowed(self.products[name], made, rows)
        if len(allowed) == 1:
            return allowed[0]
        if self.device.type == "cpu":
            return "dot"  # the interpreter's speed says nothing of a GPU's
        key = (name, 1 << max(rows - 1, 0).bit_length())
        if key not in self.choices:
            from triton.testing import do_bench

            times = {
                one: do_bench(lambda one=one: call(one), warmup=5, rep=20, return_mode="median") for one in allowed
            }
            self.choices[key] = min(times, key=times.__getitem__)
        return self.choices[key]

    def _image(self, x: Tensor, value: Value) -> Tensor:
        return x.reshape(-1, *value.shape[:-1], x.shape[-1])

    # The other ops. Each takes the matrices of its sources.

    def threshold(self, op: Threshold) -> Step:
        finish = self.finish(op, "")
        return Step(
            op, op.name, op.sources, lambda x: ops.pack(x, finish.thresholds, finish.rising, op.encoding), "pack"
        )  # fmt: skip

    def affine(self, op: Affine) -> Step:
        value, scale, offset = self.values[op.source], self.put(op.scale), self.put(op.offset)
        return Step(op, op.name, op.sources, lambda x: reals.affine(self.numbers(x, value), scale, offset), "torch")

    def max_pool(self, op: MaxPool2d) -> Step:
        value, made = self.values[op.source], self.values[op.name]
        if str(value.encoding) == "b1":
            least = self.put(pack_bits(op.minimum).view("<i4"))
            (top, _), (left, _) = op.padding
            geometry = [*value.shape[:2], *made.shape[:2], *op.kernel, *op.stride, top, left]
            return Step(op, op.name, op.sources, lambda x: ops.pool_bits(x, least, geometry), "pool on bits")
        minimum = self.put(op.minimum)

        def run(x: Tensor) -> Tensor:
            return reals.max_pool(self._image(x, value), op, minimum).reshape(-1, value.channels)

        return Step(op, op.name, op.sources, run, "torch")

    def sum_pool(self, op: SumPool2d) -> Step:
        value = self.values[op.source]

        def run(x: Tensor) -> Tensor:
            return reals.sum_pool(self._image(self.numbers(x, value), value), op).reshape(-1, value.channels)

        return Step(op, op.name, op.sources, run, "torch")

    def flatten(self, op: Flatten) -> Step:
        value = self.values[op.source]
        pixels = prod(value.shape[:-1])
        if str(value.encoding) != "b1":
            return Step(op, op.name, op.sources, lambda x: x.reshape(-1, pixels * value.channels), "none")
        if value.channels % 64 == 0 or pixels == 1:
            return Step(op, op.name, op.sources, lambda x: x.reshape(-1, pixels * x.shape[-1]), "none")

        def run(x: Tensor) -> Tensor:
            apart = ops.unpack(x, value.channels).reshape(-1, pixels * value.channels)
            return ops.pack(apart, None, None, "b1")

        return Step(op, op.name, op.sources, run, "unpack, pack")

    def unflatten(self, op: Unflatten) -> Step:
        return Step(op, op.name, op.sources, lambda x: x.reshape(-1, op.shape[-1]), "none")

    def prelu(self, op: PRelu) -> Step:
        slope = self.put(op.slope)
        return Step(op, op.name, op.sources, lambda x: reals.prelu(x, slope), "torch")


def _elements(value: Value) -> int:
    """How many elements of one image a tensor can have while a value is worked on: its digits as bytes, or itself."""
    return prod(value.shape[:-1]) * 32 * halves_for(value.channels)


def _alone(make: Callable[[Network, Any], Step]) -> Callable[..., Step]:
    """The rule of an op that cares for no reader."""
    return lambda network, op, after: make(network, op)


def _of_torch(run: Callable[..., Tensor]) -> Callable[..., Step]:
    return lambda network, op, after: Step(op, op.name, op.sources, run, "torch")


_STEPS: dict[type[Op], Callable[..., Any]] = {
    Input: Network.enter,
    Linear: Network.product,
    Conv2d: Network.product,
    Threshold: _alone(Network.threshold),
    Affine: _alone(Network.affine),
    MaxPool2d: _alone(Network.max_pool),
    SumPool2d: _alone(Network.sum_pool),
    Flatten: _alone(Network.flatten),
    Unflatten: _alone(Network.unflatten),
    Add: _of_torch(torch.add),
    Mul: _alone(lambda network, op: moves.multiply(op, network.values)),
    Relu: _of_torch(torch.relu),
    PRelu: _alone(Network.prelu),
    Apply: _alone(lambda network, op: moves.apply(op)),
    Take: _alone(lambda network, op: moves.take(op, network.values, network.put)),
    Concat: _alone(lambda network, op: moves.concat(op, network.values)),
}
RULES = Rules("gpu/gpu", _STEPS, error=RuntimeUnavailable)
