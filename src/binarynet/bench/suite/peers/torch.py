"""PyTorch on the CPU: float32 and bfloat16 as everyone runs it, and oneDNN's int8 products.

int8 calls the fused oneDNN operators that `torch.compile` puts in place of quantized layers, without the compiler.
Their activations are u8, because those products reach the matrix unit.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from binarynet.bench.suite.layers import STEEP, Layer, layers
from binarynet.bench.suite.peers import Answers, Array, NotHere, Peer
from binarynet.bench.suite.workloads import Workload
from binarynet.graph.ir import Conv2d

if TYPE_CHECKING:
    from torch import Tensor

    Call = Callable[[Tensor], Any]


class This(Peer):
    kinds: ClassVar[tuple[str, ...]] = ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8")
    packages: ClassVar[Mapping[str, str]] = {"torch": "torch"}
    ways: ClassVar[Mapping[str, str]] = {
        "float32": "Linear / Conv2d with the norm folded in, Hardtanh",
        "bfloat16": "the same in bfloat16",
        "int8": "u8 × s8 products of oneDNN, requantized to 0 / 255",
    }

    def build(self, work: Workload) -> None:
        import torch

        warnings.filterwarnings("ignore", module="torch")
        torch.set_num_threads(self.threads)
        self.torch = torch
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.uint8}[self.way]
        if work.kind not in super().kinds:
            return self._build_twin(work)
        images = torch.from_numpy(work.images())
        if images.ndim == 4:
            images = images.permute(0, 3, 1, 2)  # channels last in memory, as the bytes come
        self.plain = work.is_product and self.way != "int8"
        chain = layers(work.graph)
        if self.plain:
            self.images = (2 * images.to(self.dtype) - 1).contiguous()
            self.weight = torch.from_numpy(chain[0].weight).to(self.dtype)
            self.into = self.images.new_empty(work.batch, len(self.weight))
            return
        self.images = images
        self.calls = [(self._bytes if self.way == "int8" else self._floats)(layer) for layer in chain]

    def _build_twin(self, work: Workload) -> None:
        """The float32 net that a user would have: what is timed of W8 is reading it from a file, and one answer."""
        from binarynet.bench.twin import float_twin

        if self.way == "int8":
            raise NotHere("the layers of its int8 operators are those of W1 to W4")
        torch = self.torch
        images = torch.from_numpy(work.images()).float()
        if work.graph.input.encoding == "b1":
            images = 2 * images - 1
        if images.ndim == 4:
            images = images.permute(0, 3, 1, 2)
        net = float_twin(work.graph)
        output = work.graph.output
        if isinstance(output, Conv2d):  # W5, whose answer is compared
            weight = torch.from_numpy(output.weight.transpose(0, 3, 1, 2)).float()
            net.load_state_dict({"layers.0.weight": weight})
        for parameter in net.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        images, net = images.to(self.dtype), net.to(self.dtype)
        self.plain, self.images, self.calls = False, images, [net]
        if work.kind == "W8":
            file = io.BytesIO()
            torch.save(net.state_dict(), file)

            def load_and_answer(x: Tensor) -> Any:
                file.seek(0)
                with torch.device("meta"):
                    empty = float_twin(work.graph)
                empty.load_state_dict(torch.load(file, weights_only=True), assign=True)
                return empty(x)

            self.calls = [load_and_answer]

    def run(self) -> Any:
        with self.torch.inference_mode():
            if self.plain:
                return self.torch.mm(self.images, self.weight.T, out=self.into)
            x = self.images if self.way == "int8" else self.images.to(self.dtype)
            for call in self.calls:
                x = call(x)
            return x

    def answer(self, raw: Any) -> Array:
        array: Array = (raw.permute(0, 2, 3, 1) if raw.ndim == 4 else raw).float().numpy()
        return array

    def promise(self, work: Workload) -> Answers:
        if work.kind == "W5":
            return "equal" if self.way == "float32" else "near"
        if self.way == "int8":
            return "same" if work.kind != "W4" else "own"
        return "near" if work.is_product and self.way == "bfloat16" else super().promise(work)

    def _floats(self, layer: Layer) -> Call:
        functional = self.torch.nn.functional
        weight, bias = (self.torch.from_numpy(each).to(self.dtype) for each in layer.as_floats())
        if layer.is_conv:
            weight = weight.contiguous(memory_format=self.torch.channels_last)

        def call(x: Tensor) -> Tensor:
            if layer.is_conv:
                x = functional.conv2d(x, weight, bias, padding=1)
            else:
                x = functional.linear(x.flatten(1), weight, bias)
            if layer.threshold is not None:
                x = functional.hardtanh_(x)
            return functional.max_pool2d(x, 2) if layer.pools else x

        return call

    def _bytes(self, layer: Layer) -> Call:
        torch = self.torch
        operators = torch.ops.onednn
        zero = 128 if layer.is_conv else 0
        last = layer.threshold is None
        ones, zeros = torch.ones(len(layer.weight)), torch.zeros(len(layer.weight), dtype=torch.long)
        if last:
            weight, bias, scale = torch.from_numpy(layer.weight), None, ones
            if layer.affine is not None:
                scale, bias = (torch.from_numpy(each) for each in layer.last_of_bytes())
            else:  # a product of ±1: its codes are 0 and 1
                scale, bias = 2 * ones, -torch.from_numpy(layer.sums).float()
            out: tuple[Any, ...] = (1.0, 0, torch.float32)
        else:
            weight, bias = (torch.from_numpy(each) for each in layer.as_bytes(zero))
            scale, bias = ones, bias.float()
            out = (1 / STEEP, 0, torch.uint8)
        if not layer.is_conv:
            packed = operators.qlinear_prepack(weight, None)

            def dense(x: Tensor) -> Any:
                x = x.flatten(1)
                return operators.qlinear_pointwise(x, 1.0, zero, packed, scale, zeros, bias, *out, "none", [], "")

            return dense
        around = ([1, 1], [1, 1], [1, 1], 1)
        packed = operators.qconv_prepack(weight, scale, 1.0, zero, *around)

        def call(x: Tensor) -> Any:
            x = operators.qconv_pointwise(x, 1.0, zero, packed, scale, zeros, bias, *around, *out, "none", [], "")
            if not layer.pools:
                return x
            rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
            return torch.maximum(rows[..., ::2], rows[..., 1::2])

        return call
