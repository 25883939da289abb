"""Linear and convolutional layers: weights become integers, what scales them becomes pending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from binarynet.graph import Encoding, Op
from binarynet.graph.ir import Add, Affine, Conv2d, Linear, Mul, Pair, Relu
from binarynet.lower.chain import Chain, bias, filter_scale, unit
from binarynet.lower.pending import Folder, Pending, refuse
from binarynet.lower.trace import Step
from binarynet.nn import BinaryLinear, ByteInput
from binarynet.nn.expectation_backprop import ExpectationLinear
from binarynet.nn.scaled import KMap
from binarynet.nn.ternary import TtqTernary

# name, weights in torch's order, their encoding → the layer's op
_MakeOp = Callable[[str, NDArray[Any], str], Op]


def linear(folder: Folder, step: Step, module: nn.Linear, x: Pending) -> Pending:
    x = _operand(folder, step, module, x)

    def op(name: str, weight: NDArray[Any], encoding: str) -> Op:
        columns = weight if x.order is None else weight[:, x.order]  # torch's columns → the graph's
        return Linear(name, (x.name,), np.ascontiguousarray(columns), encoding)

    return _products(folder, step, module, x, op)


def conv(folder: Folder, step: Step, module: nn.Conv1d | nn.Conv2d, x: Pending) -> Pending:
    if module.padding_mode != "zeros":
        refuse(step, f"padding_mode {module.padding_mode!r} is not in the graph.", "Use zeros.")
    x = _operand(folder, step, module, x)
    stride, dilation = pair(module.stride), pair(module.dilation)

    def op(name: str, weight: NDArray[Any], encoding: str) -> Op:
        if weight.ndim == 3:
            weight = weight[:, :, None, :]  # a row of pixels is an image of height 1
        rows = _padding(module.padding, weight.shape[2], dilation[0], -2)
        columns = _padding(module.padding, weight.shape[3], dilation[1], -1)
        return Conv2d(
            name,
            (x.name,),
            np.ascontiguousarray(weight.transpose(0, 2, 3, 1)),  # (out, in, h, w) → (out, h, w, in)
            encoding,
            stride,
            dilation,
            (rows, columns),
            int(getattr(module, "pad_value", 0)),
            module.groups,
        )

    return _products(folder, step, module, x, op)


def byte_input(folder: Folder, step: Step, module: Any, x: Pending) -> Pending:
    if folder.ops:
        refuse(step, "ByteInput is not the first layer; only raw input bytes can be read as 2x − 255.")
    folder.open_input(step, "b8")
    if module.scale == 1:
        return x
    return replace(x, chain=x.chain.then(unit(step.name, module.scale, folder.types["input"].channels)))


def _operand(folder: Folder, step: Step, module: Any, x: Pending) -> Pending:
    """What a linear layer reads: integers and their unit where it can be so, else reals."""
    quantizer = getattr(module, "input_quantizer", None)
    if isinstance(quantizer, ByteInput):
        x = byte_input(folder, step, quantizer, x)
    elif quantizer is not None:
        x = folder.bits(step, x, quantizer, folder.free(f"{step.name}.input"))
    value = folder.value(step, x)
    whole = value.encoding not in (Encoding("i", 32), Encoding("f", 32))
    if not whole or any(link.kind != "unit" for link in x.chain.links):
        what = x.chain.links[-1].name if x.chain else x.name
        if not folder.allow_real:
            refuse(
                step,
                f"reads the real values of {what!r}, so it would run in float32.",
                'Put a sign before it, give it input_quantizer="ste_sign", or ByteInput() if it is the first layer; '
                "or say lower(…, allow_real=True).",
            )
        x = folder.real(step, x)
    return x


def _products(folder: Folder, step: Step, module: Any, x: Pending, op: _MakeOp) -> Pending:
    """The layer's op, and behind it what is pending: the input's unit, the weights' scale, the bias."""
    quantizer = getattr(module, "weight_quantizer", None)
    latent = module.weight.detach().float().cpu()
    if not torch.isfinite(latent).all():
        refuse(step, "a latent weight is not a number.", "Training has diverged; lower a good epoch.")
    channels = len(latent)
    chain = Chain(tuple(unit(link.name, float(link.run(torch.ones(1))), channels) for link in x.chain.links))
    if isinstance(quantizer, TtqTernary):
        return _two_scales(folder, step, module, quantizer, latent, chain, op)
    if quantizer is None or quantizer.encoding == "f32":
        if not folder.allow_real:
            refuse(
                step,
                "its weights are real, so it would run in float32.",
                'Use a binary layer with weight_quantizer="ste_sign", or binarynet.nn.convert(model); '
                "or say lower(…, allow_real=True).",
            )
        weight = latent if quantizer is None else quantizer.value(latent)
        name = folder.emit(step, op(step.name, weight.numpy(), "f32"))
    else:
        with torch.no_grad():
            numbers, scale = quantizer.integers(latent)
        name = folder.emit(step, op(step.name, numbers.numpy().astype(np.int8), quantizer.encoding))
        if not bool((scale == 1).all()):
            chain = chain.then(filter_scale(f"{step.name}.scale", scale, channels))
    if module.bias is not None:
        chain = chain.then(bias(f"{step.name}.bias", module.bias))
    return Pending(name, chain)


def _two_scales(
    folder: Folder,
    step: Step,
    module: Any,
    quantizer: TtqTernary,
    latent: torch.Tensor,
    chain: Chain,
    op: _MakeOp,
) -> Pending:
    """w_p · (x · positive) − w_n · (x · negative), each of the two with weights 0 and 1: no grid holds both."""
    signs, scales = quantizer.ternary(latent).numpy(), quantizer.scales
    halves = []
    for sign, name, scale in ((1, "positive", scales[0]), (-1, "negative", -scales[1])):
        made = folder.emit(step, op(f"{step.name}.{name}", (signs == sign).astype(np.int8), "u1"))
        worth = chain.then(filter_scale(f"{made}.scale", scale, len(latent)))
        halves.append(folder.real(step, Pending(made, worth)).name)
    added = Chain() if module.bias is None else Chain((bias(f"{step.name}.bias", module.bias),))
    return Pending(folder.emit(step, Add(step.name, (halves[0], halves[1]))), added)


def expectation(folder: Folder, step: Step, module: ExpectationLinear, x: Pending) -> Pending:
    if module.evaluation == "ebp-p":
        refuse(
            step,
            "EBP-P answers the mean of all networks, which is no integer network.",
            "Set evaluation='ebp-d'.",
        )
    return linear(folder, step, module, x)


def k_map(folder: Folder, step: Step, module: KMap, x: Pending) -> Pending:
    """layer(x) · mean |x| under the window: |x| = relu(x) + relu(−x), and the mean is a product with ones."""
    layer = module.layer
    inner = replace(step, name=f"{step.name}.layer", module=layer)
    rule = linear if isinstance(layer, BinaryLinear) else conv
    product = folder.real(step, rule(folder, inner, layer, x))  # type: ignore[arg-type]
    real = folder.real(step, x).name
    channels = folder.types[real].channels
    name = f"{step.name}.k"
    minus, zeros = np.full(channels, -1, np.float32), np.zeros(channels, np.float32)
    flipped = folder.emit(step, Affine(f"{name}.minus", (real,), minus, zeros))
    parts = [folder.emit(step, Relu(f"{name}.{side}", (one,))) for side, one in (("above", real), ("below", flipped))]
    magnitude = folder.emit(step, Add(f"{name}.magnitude", (parts[0], parts[1])))
    made = folder.ops[[op.name for op in folder.ops].index(inner.name)]
    assert isinstance(made, Linear | Conv2d)
    ones = np.ones((1, *made.weight.shape[1:]), np.int8)
    summed = folder.emit(step, replace(made, name=f"{name}.sum", sources=(magnitude,), weight=ones))
    mean = np.full(1, 1 / ones.size, np.float32)
    k = folder.emit(step, Affine(name, (summed,), mean, np.zeros(1, np.float32)))
    return Pending(folder.emit(step, Mul(step.name, (product.name, k))))


def _padding(padding: Any, kernel: int, dilation: int, axis: int) -> Pair:
    """torch's padding along one axis → (before, after); of "same", the odd one goes behind, as in torch."""
    if padding == "valid":
        return (0, 0)
    if padding == "same":
        total = dilation * (kernel - 1)
        return (total // 2, total - total // 2)
    if isinstance(padding, int):
        return (padding, padding)
    side = int(padding[axis]) if len(padding) >= -axis else 0
    return (side, side)


def pair(value: Any) -> Pair:
    """torch's int, (w,) or (h, w) → (h, w); one number for a row of pixels means height 1."""
    if isinstance(value, int):
        return (value, value)
    return (1, int(value[0])) if len(value) == 1 else (int(value[0]), int(value[1]))
