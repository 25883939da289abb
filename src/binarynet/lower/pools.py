"""Pools: the largest slips under pending layers, sums stay integers."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from torch import nn

from binarynet.graph.ir import MaxPool2d, Pair, SumPool2d
from binarynet.lower.chain import Chain, divide
from binarynet.lower.pending import Folder, Pending, refuse
from binarynet.lower.products import pair
from binarynet.lower.trace import Step


def max_pool(folder: Folder, step: Step, module: Any, x: Pending) -> Pending:
    if module.ceil_mode or module.return_indices or pair(module.dilation) != (1, 1):
        refuse(
            step,
            "ceil_mode, return_indices and dilation are not in the graph.",
            "Use the plain MaxPool2d.",
        )
    value = folder.value(step, x)
    if x.order is not None or len(value.shape) != 3:
        refuse(step, f"pools {value}, which is not an image.")
    if any(link.kind == "PReLU" for link in x.chain.links):  # may bend both ways
        x = folder.real(step, x)
    bound = float(value.bound) or 1e6
    falls = x.chain.falling(-bound, bound, value.channels)
    op = MaxPool2d(
        step.name,
        (x.name,),
        _window(module, module.kernel_size),
        _window(module, module.stride),
        falls,
        _pool_padding(module),
    )
    return replace(x, name=folder.emit(step, op))


def avg_pool(folder: Folder, step: Step, module: Any, x: Pending) -> Pending:
    value = folder.value(step, x)
    if len(value.shape) != 3:
        refuse(step, f"pools {value}, which is not an image.")
    kernel, stride, padding = value.shape[:2], (1, 1), ((0, 0), (0, 0))
    if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
        size = module.output_size
        if size not in (1, (1, 1)):
            refuse(
                step,
                f"adaptive pooling to {size} is not in the graph.",
                "Use output_size=1, or AvgPool2d.",
            )
    else:
        kernel = _window(module, module.kernel_size)
        stride = _window(module, module.stride)
        padding = _pool_padding(module)
        if module.ceil_mode or getattr(module, "divisor_override", None):
            refuse(step, "ceil_mode and divisor_override are not in the graph.")
        if not module.count_include_pad and padding != ((0, 0), (0, 0)):
            refuse(
                step,
                "count_include_pad=False with padding divides by a number that changes at the border.",
            )
    if x.chain:
        x = folder.real(step, x)
    name = folder.emit(step, SumPool2d(step.name, (x.name,), kernel, stride, padding))
    return Pending(name, Chain((divide(step.name, prod(kernel), value.channels),)))


def _window(module: nn.Module, size: Any) -> Pair:
    flat = isinstance(module, nn.MaxPool1d | nn.AvgPool1d)
    return (1, pair(size)[1]) if flat else pair(size)


def _pool_padding(module: Any) -> tuple[Pair, Pair]:
    rows, columns = pair(module.padding)
    flat = isinstance(module, nn.MaxPool1d | nn.AvgPool1d)
    return ((0, 0) if flat else (rows, rows)), (columns, columns)
