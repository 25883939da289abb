"""Fold a recorded torch model into graph ops: weights to integers, norm + sign to thresholds, the last norm to a scale.

Walks the steps once. Between two ops a value is *pending*: a graph value, and the chain of float layers that were
applied to it since. A quantizer turns a pending value into a `Threshold`, everything else that needs real numbers
turns it into an `Affine`; a MaxPool slips under the chain, since max(f(x)) = f(max x), or f(min x) where f falls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from binarynet.errors import GraphError, LoweringError
from binarynet.graph import Encoding, Op, Value, verify_op
from binarynet.graph.ir import (
    Add,
    Affine,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Pair,
    PRelu,
    Relu,
    SumPool2d,
    Threshold,
)
from binarynet.lower.chain import Chain, Link, batch_norm, bias, clip, divide, filter_scale, unit
from binarynet.lower.thresholds import read
from binarynet.lower.trace import Step
from binarynet.nn import (
    BinaryConvTranspose2d,
    ByteInput,
    Quantizer,
)

_TRANSPARENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)


def fold(steps: list[Step], shape: tuple[int, ...], allow_real: bool) -> tuple[Op, ...]:
    """The ops that compute what the steps compute in eval mode; ``shape`` is of one image in torch's order.

    ``allow_real``: whether a linear or convolutional layer may read real inputs or hold real weights.

    Raises:
        LoweringError: naming the module, the reason and the way out.
    """
    folder = _Folder(shape, allow_real)
    for step in steps:
        folder.take(step)
    return tuple(folder.ops)


@dataclass(frozen=True)
class _Pending:
    """A graph value, the float layers applied to it since, and for a flattened image the place of each feature.

    ``order[i]`` is where torch has the graph's feature i: torch flattens (channels, height, width), the graph
    (height, width, channels).
    """

    name: str
    chain: Chain = field(default_factory=Chain)
    order: NDArray[np.int64] | None = None


class _Folder:
    def __init__(self, shape: tuple[int, ...], allow_real: bool) -> None:
        self.shape = shape
        self.allow_real = allow_real
        self.ops: list[Op] = []
        self.types: dict[str, Value] = {}
        self.made: dict[str, _Pending] = {"input": _Pending("input")}

    def take(self, step: Step) -> None:
        sources = [self.made[name] for name in step.sources]
        if step.kind != "module":
            self.made[step.name] = self._function(step, sources)
            return
        for kind, rule in _RULES:
            if isinstance(step.module, kind):
                self.made[step.name] = rule(self, step, step.module, sources[0])
                return
        refuse(step, "has no counterpart in the graph.", _way_out(step.module))

    def emit(self, step: Step, op: Op) -> str:
        """Append an op. The types are checked at once, so that a complaint points at the layer that caused it."""
        try:
            self.types[op.name] = verify_op(op, self.types)
        except GraphError as error:
            refuse(step, str(error))
        self.ops.append(op)
        return op.name

    def value(self, step: Step, pending: _Pending) -> Value:
        """The type of the graph value under a pending one. An input that nothing has claimed yet is real."""
        if pending.name == "input" and not self.ops:
            self.open_input(step, "f32")
        return self.types[pending.name]

    def open_input(self, step: Step, encoding: str) -> None:
        self.emit(step, Input("input", (), _image(self.shape), encoding))

    # -- what a pending value can become ----------------------------------------------------------------------

    def bits(self, step: Step, pending: _Pending, quantizer: Quantizer, name: str) -> _Pending:
        """Norm + quantizer → Threshold."""
        value = self.value(step, pending)
        if not pending.chain and value.encoding == Encoding("b", 1) and quantizer.encoding == "b1":
            return pending  # ±1 already
        for link in pending.chain.links:
            if link.kind == "ReLU" and quantizer.encoding == "b1":
                refuse(
                    step,
                    f"ReLU {link.name!r} stands between the norm and the sign, which makes the sign +1 everywhere. "
                    "A threshold needs the sign right after the norm.",
                    "Move the quantizer before the ReLU, or drop the ReLU.",
                )
        if any(link.kind == "PReLU" for link in pending.chain.links):  # may bend both ways: no single switch
            pending = self.real(step, pending)
            value = self.types[pending.name]
        if value.encoding not in (Encoding("i", 32), Encoding("f", 32)):
            pending = self.real(step, pending)
            value = self.types[pending.name]
        thresholds, rising = read(pending.chain, quantizer, value)
        made = self.emit(step, Threshold(name, (pending.name,), thresholds, rising, quantizer.encoding))
        _, worth = quantizer.integers(torch.zeros(1))
        units = () if float(worth) == 1 else (unit(name, float(worth), value.channels),)
        return _Pending(made, Chain(units), pending.order)

    def real(self, step: Step, pending: _Pending) -> _Pending:
        """The chain → Affine, Relu and PRelu ops; afterwards the value is f32 and the chain is empty."""
        value = self.value(step, pending)
        name, affine = pending.name, Chain()
        for link in (*pending.chain.links, None):
            if link is not None and link.scaling is not None:
                affine = affine.then(link)
                continue
            if affine or (link is None and not self.types[name].encoding.is_float):
                scale, offset = affine.composed(value.channels)
                label = affine.links[-1].name if affine else f"{name}.real"
                name = self.emit(step, Affine(self.free(label), (name,), scale, offset))
                affine = Chain()
            if link is None:
                break
            if link.kind == "ReLU":
                name = self.emit(step, Relu(self.free(link.name), (name,)))
            elif link.slope is not None:
                name = self.emit(step, PRelu(self.free(link.name), (name,), link.slope))
            else:
                refuse(
                    step,
                    f"needs the real values behind {link.kind} {link.name!r}, which the graph does not have.",
                )
        return _Pending(name, Chain(), pending.order)

    def free(self, name: str) -> str:
        while name in self.types:
            name += "'"
        return name

    # -- rules, one for each kind of step ----------------------------------------------------------------------

    def _function(self, step: Step, sources: list[_Pending]) -> _Pending:
        if step.kind == "identity":
            return sources[0]
        if step.kind == "flatten":
            return self.flatten(step, None, sources[0])
        if step.kind == "relu":
            return self.relu(step, None, sources[0])
        if step.kind == "add":
            return self.add(step, sources)
        assert step.kind == "output"
        answer = sources[0]
        value = self.value(step, answer)
        if answer.order is not None:
            refuse(
                step,
                "the answer is a flattened image.",
                "Return the image, or put a Linear after the Flatten.",
            )
        return self.real(step, answer) if answer.chain or value.encoding.kind == "f" else answer

    def byte_input(self, step: Step, module: Any, x: _Pending) -> _Pending:
        if self.ops:
            refuse(step, "ByteInput is not the first layer; only raw input bytes can be read as 2x − 255.")
        self.open_input(step, "b8")
        if module.scale == 1:
            return x
        return replace(x, chain=x.chain.then(unit(step.name, module.scale, self.types["input"].channels)))

    def quantizer(self, step: Step, module: Quantizer, x: _Pending) -> _Pending:
        return self.bits(step, x, module, self.free(step.name))

    def transparent(self, step: Step, module: nn.Module, x: _Pending) -> _Pending:
        return x

    def clip(self, step: Step, module: nn.Module, x: _Pending) -> _Pending:
        return replace(x, chain=x.chain.then(clip(step.name, module)))

    def relu(self, step: Step, module: nn.Module | None, x: _Pending) -> _Pending:
        self.value(step, x)
        return replace(x, chain=x.chain.then(Link(step.name, "ReLU", torch.relu)))

    def prelu(self, step: Step, module: nn.PReLU, x: _Pending) -> _Pending:
        channels = self.value(step, x).channels
        slope = module.weight.detach().float().expand(channels).numpy().copy()
        return replace(x, chain=x.chain.then(Link(step.name, "PReLU", module, slope=slope)))

    def norm(self, step: Step, module: nn.BatchNorm1d | nn.BatchNorm2d, x: _Pending) -> _Pending:
        if module.running_mean is None:
            refuse(step, "has no running statistics.", "Use track_running_stats=True.")
        value = self.value(step, x)
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

    def linear(self, step: Step, module: nn.Linear, x: _Pending) -> _Pending:
        x = self._operand(step, module, x)

        def op(name: str, weight: NDArray[Any], encoding: str) -> Op:
            columns = weight if x.order is None else weight[:, x.order]  # torch's columns → the graph's
            return Linear(name, (x.name,), np.ascontiguousarray(columns), encoding)

        return self._products(step, module, x, op)

    def conv(self, step: Step, module: nn.Conv1d | nn.Conv2d, x: _Pending) -> _Pending:
        if module.padding_mode != "zeros":
            refuse(step, f"padding_mode {module.padding_mode!r} is not in the graph.", "Use zeros.")
        x = self._operand(step, module, x)
        stride, dilation = _pair(module.stride), _pair(module.dilation)

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

        return self._products(step, module, x, op)

    def _operand(self, step: Step, module: Any, x: _Pending) -> _Pending:
        """What a linear layer reads: integers and their unit where it can be so, else reals."""
        quantizer = getattr(module, "input_quantizer", None)
        if isinstance(quantizer, ByteInput):
            x = self.byte_input(step, quantizer, x)
        elif quantizer is not None:
            x = self.bits(step, x, quantizer, self.free(f"{step.name}.input"))
        value = self.value(step, x)
        whole = value.encoding not in (Encoding("i", 32), Encoding("f", 32))
        if not whole or any(link.kind != "unit" for link in x.chain.links):
            what = x.chain.links[-1].name if x.chain else x.name
            if not self.allow_real:
                refuse(
                    step,
                    f"reads the real values of {what!r}, so it would run in float32.",
                    'Put a sign before it, give it input_quantizer="ste_sign", or ByteInput() if it is the first layer; '
                    "or say lower(…, allow_real=True).",
                )
            x = self.real(step, x)
        return x

    def _products(self, step: Step, module: Any, x: _Pending, op: Callable[[str, NDArray[Any], str], Op]) -> _Pending:
        """The layer's op, and behind it what is pending: the input's unit, the weights' scale, the bias."""
        quantizer = getattr(module, "weight_quantizer", None)
        latent = module.weight.detach().float().cpu()
        if not torch.isfinite(latent).all():
            refuse(step, "a latent weight is not a number.", "Training has diverged; lower a good epoch.")
        channels = len(latent)
        chain = Chain(tuple(unit(link.name, float(link.run(torch.ones(1))), channels) for link in x.chain.links))
        if quantizer is None or quantizer.encoding == "f32":
            if not self.allow_real:
                refuse(
                    step,
                    "its weights are real, so it would run in float32.",
                    "Use a binary layer with weight_quantizer=\"ste_sign\", or binarynet.nn.convert(model); "
                    "or say lower(…, allow_real=True).",
                )
            weight = latent if quantizer is None else quantizer.value(latent)
            name = self.emit(step, op(step.name, weight.numpy(), "f32"))
        else:
            with torch.no_grad():
                numbers, scale = quantizer.integers(latent)
            name = self.emit(step, op(step.name, numbers.numpy().astype(np.int8), quantizer.encoding))
            if not bool((scale == 1).all()):
                chain = chain.then(filter_scale(f"{step.name}.scale", scale, channels))
        if module.bias is not None:
            chain = chain.then(bias(f"{step.name}.bias", module.bias))
        return _Pending(name, chain)

    def max_pool(self, step: Step, module: Any, x: _Pending) -> _Pending:
        if module.ceil_mode or module.return_indices or _pair(module.dilation) != (1, 1):
            refuse(
                step,
                "ceil_mode, return_indices and dilation are not in the graph.",
                "Use the plain MaxPool2d.",
            )
        value = self.value(step, x)
        if x.order is not None or len(value.shape) != 3:
            refuse(step, f"pools {value}, which is not an image.")
        if any(link.kind == "PReLU" for link in x.chain.links):  # may bend both ways
            x = self.real(step, x)
        bound = float(value.bound) or 1e6
        falls = x.chain.falling(-bound, bound, value.channels)
        op = MaxPool2d(
            step.name,
            (x.name,),
            self._window(module, module.kernel_size),
            self._window(module, module.stride),
            falls,
            self._pool_padding(module),
        )
        return replace(x, name=self.emit(step, op))

    def avg_pool(self, step: Step, module: Any, x: _Pending) -> _Pending:
        value = self.value(step, x)
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
            kernel = self._window(module, module.kernel_size)
            stride = self._window(module, module.stride)
            padding = self._pool_padding(module)
            if module.ceil_mode or getattr(module, "divisor_override", None):
                refuse(step, "ceil_mode and divisor_override are not in the graph.")
            if not module.count_include_pad and padding != ((0, 0), (0, 0)):
                refuse(
                    step,
                    "count_include_pad=False with padding divides by a number that changes at the border.",
                )
        if x.chain:
            x = self.real(step, x)
        name = self.emit(step, SumPool2d(step.name, (x.name,), kernel, stride, padding))
        return _Pending(name, Chain((divide(step.name, prod(kernel), value.channels),)))

    def _window(self, module: nn.Module, size: Any) -> Pair:
        flat = isinstance(module, nn.MaxPool1d | nn.AvgPool1d)
        return (1, _pair(size)[1]) if flat else _pair(size)

    def _pool_padding(self, module: Any) -> tuple[Pair, Pair]:
        rows, columns = _pair(module.padding)
        flat = isinstance(module, nn.MaxPool1d | nn.AvgPool1d)
        return ((0, 0) if flat else (rows, rows)), (columns, columns)

    def flatten(self, step: Step, module: Any, x: _Pending) -> _Pending:
        if len(step.shape) != 1:
            refuse(step, f"flattens to {step.shape}; only flattening to one vector is in the graph.")
        if not self.ops:  # raw input: the graph's input simply is the vector, in torch's order
            self.shape = step.shape
            return x
        value = self.value(step, x)
        if len(value.shape) == 1:
            return x
        height, width, channels = value.shape
        name = self.emit(step, Flatten(self.free(step.name), (x.name,)))
        order = np.arange(prod(value.shape)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
        return _Pending(name, x.chain.spread(channels, height * width), order)

    def add(self, step: Step, sources: list[_Pending]) -> _Pending:
        if len(sources) != 2:
            refuse(step, "adds a constant.", "Put it into a BatchNorm, or a bias.")
        left, right = sources
        if not np.array_equal(left.order, right.order):  # type: ignore[arg-type]
            refuse(step, "adds a flattened image to a vector of another order.", "Add the images, then flatten.")
        i32 = Encoding("i", 32)
        if any(x.chain or self.value(step, x).encoding != i32 for x in sources):
            left, right = (self.real(step, x) for x in sources)
        return _Pending(self.emit(step, Add(self.free(step.name), (left.name, right.name))), Chain(), left.order)

    def transposed(self, step: Step, module: Any, x: _Pending) -> NoReturn:
        refuse(
            step,
            "a transposed convolution has no integer counterpart: its outputs are sums of different depth.",
            "Use nearest-neighbour upsampling and a BinaryConv2d, or keep this layer out of the exported model.",
        )

    def group_norm(self, step: Step, module: Any, x: _Pending) -> NoReturn:
        refuse(
            step,
            "normalises by statistics of the image itself, so no threshold can stand for it.",
            "Use BatchNorm, whose statistics are fixed after training.",
        )


def refuse(step: Step, what: str, way_out: str = "") -> NoReturn:
    """Raise the LoweringError of a step: where, what, and the way out."""
    described = step.kind if step.module is None else _describe(step.module)
    raise LoweringError(f"{step.name} ({described}): {what} {way_out}".rstrip())


def _describe(module: nn.Module) -> str:
    sizes = [getattr(module, a, None) for a in ("in_features", "out_features", "in_channels", "out_channels")]
    shown = " → ".join(str(size) for size in sizes if size is not None)
    return type(module).__name__ + (f", {shown}" if shown else "")


def _way_out(module: nn.Module | None) -> str:
    return "docs/architecture.md lists the modules that lower."


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """torch's (channels, height, width), (channels, length) or (features,) → the graph's shape."""
    if len(shape) == 3:
        return (shape[1], shape[2], shape[0])
    return (1, shape[1], shape[0]) if len(shape) == 2 else shape


def _pair(value: Any) -> Pair:
    """torch's int, (w,) or (h, w) → (h, w); one number for a row of pixels means height 1."""
    if isinstance(value, int):
        return (value, value)
    return (1, int(value[0])) if len(value) == 1 else (int(value[0]), int(value[1]))


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


_Rule = Callable[[_Folder, Step, Any, _Pending], _Pending]
_RULES: list[tuple[type | tuple[type, ...], _Rule]] = [
    (ByteInput, _Folder.byte_input),
    (Quantizer, _Folder.quantizer),
    (nn.Linear, _Folder.linear),
    (BinaryConvTranspose2d, _Folder.transposed),
    ((nn.Conv1d, nn.Conv2d), _Folder.conv),
    (_TRANSPARENT, _Folder.transparent),
    ((nn.BatchNorm1d, nn.BatchNorm2d), _Folder.norm),
    ((nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d), _Folder.group_norm),
    ((nn.Hardtanh,), _Folder.clip),
    (nn.ReLU, _Folder.relu),
    (nn.PReLU, _Folder.prelu),
    ((nn.MaxPool1d, nn.MaxPool2d), _Folder.max_pool),
    ((nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d), _Folder.avg_pool),
    (nn.Flatten, _Folder.flatten),
]
