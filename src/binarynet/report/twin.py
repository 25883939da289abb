"""The float32 twin of a graph: the torch module a user would have without this package. Only timing needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from binarynet.graph import Graph
from binarynet.graph.ir import (
    Add,
    Affine,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    PRelu,
    Relu,
    SumPool2d,
    Threshold,
)

if TYPE_CHECKING:
    from torch import nn


def float_twin(graph: Graph) -> nn.Module:
    """Linear and Conv2d in float32, BatchNorm + Hardtanh for each threshold, BatchNorm for the last scale.

    It takes float32 (n, channels, height, width) or (n, features). Its numbers are not the graph's: it is what is
    *timed* against.

    Raises:
        ModuleNotFoundError: torch is not installed.
    """
    import torch
    from torch import nn

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleDict()
            channels = {graph.input.name: graph.input.shape[-1]}
            for op in graph.ops:
                width = channels.get(op.sources[0], 0) if op.sources else 0
                layer: nn.Module = nn.Identity()
                if isinstance(op, Linear):
                    width = op.weight.shape[0]
                    layer = nn.Linear(op.weight.shape[1], width, bias=False)
                elif isinstance(op, Conv2d):
                    width = op.weight.shape[0]
                    (top, bottom), (left, right) = op.padding
                    even = top == bottom and left == right
                    layer = nn.Conv2d(
                        op.weight.shape[3] * op.groups,
                        width,
                        (op.weight.shape[1], op.weight.shape[2]),
                        op.stride,
                        (top, left) if even else 0,
                        op.dilation,
                        op.groups,
                        bias=False,
                    )
                    if not even:
                        layer = nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), layer)
                elif isinstance(op, Threshold | Affine):
                    flat = op.source in vectors
                    norm = nn.BatchNorm1d(width) if flat else nn.BatchNorm2d(width)
                    layer = nn.Sequential(norm, nn.Hardtanh()) if isinstance(op, Threshold) else norm
                elif isinstance(op, MaxPool2d):
                    layer = nn.MaxPool2d(op.kernel, op.stride, (op.padding[0][0], op.padding[1][0]))
                elif isinstance(op, SumPool2d):
                    layer = nn.AvgPool2d(op.kernel, op.stride, (op.padding[0][0], op.padding[1][0]))
                elif isinstance(op, Relu | PRelu):
                    layer = nn.ReLU() if isinstance(op, Relu) else nn.PReLU(width)
                elif isinstance(op, Flatten):
                    layer = nn.Flatten()
                channels[op.name] = width
                if isinstance(op, Flatten):
                    channels[op.name] = 0  # a Linear follows, which brings its own
                self.layers[op.name.replace(".", "/")] = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made = {graph.input.name: x}
            for op in graph.ops:
                if isinstance(op, Input):
                    continue
                layer = self.layers[op.name.replace(".", "/")]
                if isinstance(op, Add):
                    made[op.name] = made[op.sources[0]] + made[op.sources[1]]
                else:
                    made[op.name] = layer(made[op.source])
            return made[graph.output.name]

    from binarynet.graph import verify

    vectors = {name for name, value in verify(graph).items() if len(value.shape) == 1}
    return Twin().eval()
