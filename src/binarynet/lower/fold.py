"""Fold a recorded torch model into graph ops: weights to integers, norm + sign to thresholds, the last norm to a scale.

Walks the steps once. Between two ops a value is *pending* (`binarynet.lower.pending`): a graph value, and the chain of
float layers that were applied to it since. A quantizer turns a pending value into a `Threshold`, everything else that
needs real numbers turns it into an `Affine`; a MaxPool slips under the chain, since max(f(x)) = f(max x), or f(min x)
where f falls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from binarynet.graph import Encoding, Op
from binarynet.graph.ir import Add, Flatten
from binarynet.lower import chain as links
from binarynet.lower.chain import Chain, Link, Norm, batch_norm
from binarynet.lower.pending import Folder, Pending, refuse
from binarynet.lower.pools import avg_pool, max_pool
from binarynet.lower.products import byte_input, conv, expectation, k_map, linear
from binarynet.lower.trace import Step
from binarynet.nn import BinaryConvTranspose2d, ByteInput, GaussianNoise, Quantizer
from binarynet.nn.expectation_backprop import ExpectationLinear
from binarynet.nn.kbit import GradientQuantizer
from binarynet.nn.norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from binarynet.nn.scaled import KMap

_TRANSPARENT = (GradientQuantizer, GaussianNoise, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)


def fold(steps: list[Step], shape: tuple[int, ...], allow_real: bool) -> tuple[Op, ...]:
    """The ops that compute what the steps compute in eval mode; ``shape`` is of one image in torch's order.

    ``allow_real``: whether a linear or convolutional layer may read real inputs or hold real weights.

    Raises:
        LoweringError: naming the module, the reason and the way out.
    """
    folder = Folder(shape, allow_real)
    made = {"input": Pending("input")}
    for step in steps:
        made[step.name] = _take(folder, step, [made[name] for name in step.sources])
    return tuple(folder.ops)


def _take(folder: Folder, step: Step, sources: list[Pending]) -> Pending:
    if step.kind != "module":
        return _function(folder, step, sources)
    for kind, rule in _RULES:
        if isinstance(step.module, kind):
            return rule(folder, step, step.module, sources[0])
    refuse(step, "has no counterpart in the graph.", "docs/architecture.md lists the modules that lower.")


def _function(folder: Folder, step: Step, sources: list[Pending]) -> Pending:
    if step.kind == "identity":
        return sources[0]
    if step.kind == "flatten":
        return flatten(folder, step, None, sources[0])
    if step.kind == "relu":
        return relu(folder, step, None, sources[0])
    if step.kind == "add":
        return add(folder, step, sources)
    assert step.kind == "output"
    answer = sources[0]
    value = folder.value(step, answer)
    if answer.order is not None:
        refuse(
            step,
            "the answer is a flattened image.",
            "Return the image, or put a Linear after the Flatten.",
        )
    return folder.real(step, answer) if answer.chain or value.encoding.kind == "f" else answer


def quantizer(folder: Folder, step: Step, module: Quantizer, x: Pending) -> Pending:
    return folder.bits(step, x, module, folder.free(step.name))


def transparent(folder: Folder, step: Step, module: nn.Module, x: Pending) -> Pending:
    return x


def clip(folder: Folder, step: Step, module: nn.Hardtanh, x: Pending) -> Pending:
    return replace(x, chain=x.chain.then(links.clip(step.name, module)))


def relu(folder: Folder, step: Step, module: nn.Module | None, x: Pending) -> Pending:
    folder.value(step, x)
    return replace(x, chain=x.chain.then(Link(step.name, "ReLU", torch.relu)))


def prelu(folder: Folder, step: Step, module: nn.PReLU, x: Pending) -> Pending:
    channels = folder.value(step, x).channels
    slope = module.weight.detach().float().expand(channels).numpy().copy()
    return replace(x, chain=x.chain.then(Link(step.name, "PReLU", module, slope=slope)))


def norm(folder: Folder, step: Step, module: Norm, x: Pending) -> Pending:
    if module.running_mean is None:
        refuse(step, "has no running statistics.", "Use track_running_stats=True.")
    value = folder.value(step, x)
    link = batch_norm(step.name, module)
    assert link.scaling is not None
    if not all(np.isfinite(vector).all() for vector in link.scaling):
        refuse(
            step,
            "its statistics or parameters are not finite.",
            "Training has diverged; lower a good epoch.",
        )
    if x.order is not None:
        link = link.at(x.order)
    elif module.num_features != value.channels:
        refuse(step, f"norms {module.num_features} channels of a value with {value.channels}.")
    return replace(x, chain=x.chain.then(link))


def flatten(folder: Folder, step: Step, module: Any, x: Pending) -> Pending:
    if len(step.shape) != 1:
        refuse(step, f"flattens to {step.shape}; only flattening to one vector is in the graph.")
    if not folder.ops:  # raw input: the graph's input simply is the vector, in torch's order
        folder.shape = step.shape
        return x
    value = folder.value(step, x)
    if len(value.shape) == 1:
        return x
    height, width, channels = value.shape
    name = folder.emit(step, Flatten(folder.free(step.name), (x.name,)))
    order = np.arange(prod(value.shape)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
    return Pending(name, x.chain.spread(channels, height * width), order)


def add(folder: Folder, step: Step, sources: list[Pending]) -> Pending:
    if len(sources) != 2:
        refuse(step, "adds a constant.", "Put it into a BatchNorm, or a bias.")
    left, right = sources
    if not np.array_equal(left.order, right.order):  # type: ignore[arg-type]
        refuse(step, "adds a flattened image to a vector of another order.", "Add the images, then flatten.")
    i32 = Encoding("i", 32)
    if any(x.chain or folder.value(step, x).encoding != i32 for x in sources):
        left, right = (folder.real(step, x) for x in sources)
    return Pending(folder.emit(step, Add(folder.free(step.name), (left.name, right.name))), Chain(), left.order)


def transposed(folder: Folder, step: Step, module: Any, x: Pending) -> NoReturn:
    refuse(
        step,
        "a transposed convolution has no integer counterpart: its outputs are sums of different depth.",
        "Use nearest-neighbour upsampling and a BinaryConv2d, or keep this layer out of the exported model.",
    )


def group_norm(folder: Folder, step: Step, module: Any, x: Pending) -> NoReturn:
    refuse(
        step,
        "normalises by statistics of the image itself, so no threshold can stand for it.",
        "Use BatchNorm, whose statistics are fixed after training.",
    )


_Rule = Callable[[Folder, Step, Any, Pending], Pending]
_RULES: list[tuple[type | tuple[type, ...], _Rule]] = [
    (ByteInput, byte_input),
    (Quantizer, quantizer),
    (ExpectationLinear, expectation),
    (KMap, k_map),
    (nn.Linear, linear),
    (BinaryConvTranspose2d, transposed),
    ((nn.Conv1d, nn.Conv2d), conv),
    (_TRANSPARENT, transparent),
    ((nn.BatchNorm1d, nn.BatchNorm2d, ShiftBatchNorm1d, ShiftBatchNorm2d), norm),
    ((nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d), group_norm),
    ((nn.Hardtanh,), clip),
    (nn.ReLU, relu),
    (nn.PReLU, prelu),
    ((nn.MaxPool1d, nn.MaxPool2d), max_pool),
    ((nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d), avg_pool),
    (nn.Flatten, flatten),
]
