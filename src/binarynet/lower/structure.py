"""Products, pools, views and pads of ATen, handed to the fold with all of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from binarynet.fold import Folder, Pending, Weight, pools, products, shapes
from binarynet.fold.link import division
from binarynet.fold.products import Window
from binarynet.graph.ir import Padding, Pair
from binarynet.lower.elementwise import again
from binarynet.lower.step import Ref, Step, array, storage


def convolution(folder: Folder, step: Step) -> Pending:
    if step.plain("transposed"):
        step.refuse(
            "a transposed convolution has no integer counterpart: its outputs are sums of different depth.",
            "Use a BinaryConv2d, or keep this layer out of the exported model.",
        )
    step.get("output_padding")
    weight = _weight(step, step.plain("weight"))
    flat = weight.value.ndim == 3
    if weight.value.ndim not in (3, 4):
        step.refuse(f"convolves over {weight.value.ndim - 2} dimensions; one or two have a counterpart.")
    if flat:  # a row of pixels is an image of height 1
        unit = weight.unit
        weight = Weight(weight.value[:, :, None], unit[:, :, None] if unit is not None and unit.ndim == 3 else unit)
    padding = pair(step.plain("padding"), 0)
    window = Window(
        pair(step.plain("stride"), 1),
        pair(step.plain("dilation"), 1),
        ((padding[0], padding[0]), (padding[1], padding[1])),
        int(step.plain("groups")),
    )
    return products.conv(folder, step, step.pending("input"), weight, step.constant("bias"), window)


def addmm(folder: Folder, step: Step) -> Pending:
    """bias + x @ w."""
    if step.plain("beta") != 1 or step.plain("alpha") != 1:
        step.refuse("beta and alpha other than 1 have no counterpart.")
    bias = step.constant("self")
    assert bias is not None
    if bias.size not in (1, step.value.shape[1]):
        step.refuse("adds a matrix of constants.", "A bias has one number for each output.")
    return products.linear(folder, step, step.pending("mat1"), _columns(step, "mat2"), bias)


def mm(folder: Folder, step: Step) -> Pending:
    return products.linear(folder, step, step.pending("self"), _columns(step, "mat2"), None)


def _columns(step: Step, name: str) -> Weight:
    """The second matrix (depth, out) as weights (out, depth)."""
    given = step.get(name)
    if isinstance(given, Ref):
        step.refuse("multiplies two values that are computed from the image.", "One of the two must be a constant.")
    return _weight(step, given.t())


def _weight(step: Step, tensor: Tensor) -> Weight:
    """Weights and, where a quantizer has made them, what an integer of them is worth."""
    unit = step.walk.units.get(storage(tensor))
    if unit is not None and unit.ndim > 1 and unit.shape[0] != tensor.shape[0]:
        unit = None  # of a transposed matrix
    return Weight(array(tensor), None if unit is None else array(unit))


def max_pool(folder: Folder, step: Step) -> Pending:
    if pair(step.plain("dilation"), 1) != (1, 1):
        step.refuse("dilation is not in the graph.", "Use the plain MaxPool2d.")
    kernel, stride, padding = _window(folder, step)
    return pools.max_pool(folder, step, step.pending(), kernel, stride, padding)


def average_pool(folder: Folder, step: Step) -> Pending:
    if step.plain("divisor_override") is not None:
        step.refuse("divisor_override is not in the graph.", "Use the plain AvgPool2d.")
    kernel, stride, padding = _window(folder, step)
    if not step.plain("count_include_pad") and np.any(padding):
        step.refuse(
            "count_include_pad=False with padding divides by a number that changes at the border.",
            "Use count_include_pad=True, or no padding.",
        )
    return pools.average(folder, step, step.pending(), kernel, stride, padding)


def _window(folder: Folder, step: Step) -> tuple[Pair, Pair, Padding]:
    kernel = pair(step.plain("kernel_size"), 1)
    stride = pair(step.plain("stride") or kernel, 1)
    rows, columns = pair(step.plain("padding"), 0)
    padding = ((rows, rows), (columns, columns))
    size = pools.image(folder, step, step.pending())
    pools.windows(step, size, kernel, stride, padding, bool(step.plain("ceil_mode")))
    return kernel, stride, padding


def adaptive_max(folder: Folder, step: Step) -> Pending:
    size = pools.image(folder, step, step.pending())
    return pools.max_pool(folder, step, step.pending(), *pools.adaptive(step, size, pair(step.plain("output_size"), 1)))


def adaptive_average(folder: Folder, step: Step) -> Pending:
    size = pools.image(folder, step, step.pending())
    return pools.average(folder, step, step.pending(), *pools.adaptive(step, size, pair(step.plain("output_size"), 1)))


def reduce(folder: Folder, step: Step) -> Pending:
    """mean, sum and amax over both sides of an image; mean and sum over its channels."""
    before = step.before()
    given = step.plain("dim")
    dims = [given] if isinstance(given, int) else list(given or range(before.ndim))
    dims = sorted({one % before.ndim for one in dims})
    step.plain("keepdim"), step.get("dtype")
    x, value = step.pending(), folder.value(step.pending())
    over = [one for one in dims if before.shape[one] != 1]
    if 0 in dims:
        step.refuse("reduces over the images of a batch.", "Name the dimensions of one image, such as (2, 3).")
    if over == [1] and step.op in ("mean", "sum"):
        made = products.total(folder, step, x)
        if step.op == "mean":
            made = folder.then(step, made, division(step.name, before.shape[1], 1))
    elif not over:
        made = x
    elif len(value.shape) == 3 and over == [one for one in range(2, before.ndim) if before.shape[one] != 1]:
        kernel = pools.image(folder, step, x)
        rule = {"mean": pools.average, "sum": pools.sums, "amax": pools.max_pool}[step.op]
        made = rule(folder, step, x, kernel, (1, 1))
    else:
        step.refuse(
            f"reduces over the dimensions {dims} of {before.ndim}.", "Both sides of an image, (2, 3), can be reduced."
        )
    return shapes.as_vector(folder, step, made) if step.value.ndim == 2 else made


def view(folder: Folder, step: Step) -> Pending:
    """view, flatten, squeeze, unsqueeze, and a permutation that moves nothing but sides of 1."""
    for name in step.arguments:
        step.get(name)
    before, after = step.before(), step.value
    if isinstance(step.layer, nn.modules.instancenorm._InstanceNorm):
        statistics(folder, step)
    if len(after) != len(before):
        step.refuse(
            f"makes {tuple(after.shape)} of a batch of shape {tuple(before.shape)}: it mixes the images of a batch.",
            "Flatten with x.flatten(1).",
        )
    places = torch.arange(before.numel()).reshape(before.shape)
    if not torch.equal(again(step, places), places.reshape(after.shape)):
        step.refuse(
            f"turns {tuple(before.shape[1:])} into {tuple(after.shape[1:])}: pixels and channels change places.",
            "Channels stand first, then height and width.",
        )
    return shapes.view(folder, step, step.pending(), tuple(before.shape[1:]), tuple(after.shape[1:]), step.alone())


def same(folder: Folder, step: Step) -> Pending:
    """What changes no number: detach, clone, a copy to float32, a slice or an expansion that takes all."""
    name = "src" if step.op == "copy" else "self"
    before, made = step.before(name), step.value
    for one in step.arguments:
        step.get(one)
    if tuple(before.shape) != tuple(made.shape):
        step.refuse(f"makes {tuple(made.shape[1:])} of {tuple(before.shape[1:])}, a part or a copy of it.")
    if made.dtype not in (torch.float32, before.dtype):
        step.refuse(f"casts to {str(made.dtype).removeprefix('torch.')}.", "Call model.float() before lowering.")
    return step.pending(name)


def pad(folder: Folder, step: Step) -> Pending:
    """A constant around the image."""
    widths, x = [int(one) for one in step.plain("pad")], step.pending()
    value = step.plain("value")
    value = 0.0 if value is None else float(value)
    sides = step.before().ndim - 2
    if any(widths[2 * sides :]) or any(one < 0 for one in widths):
        step.refuse(f"pads by {widths}; only height and width can be padded.", "Pad inside a convolution (padding=…).")
    if not any(widths):
        return x
    if len(folder.value(x).shape) != 3:
        step.refuse(f"pads {folder.value(x)}, which is not an image.")
    widths = (widths + [0] * 4)[:4]
    around: Padding = ((widths[2], widths[3]), (widths[0], widths[1]))
    return pools.padded(step, x, around, value)


def statistics(folder: Folder, step: Step) -> Any:
    step.refuse(
        "normalises by statistics of the image itself, so no threshold can stand for it.",
        "Use BatchNorm, whose statistics are fixed after training.",
    )


def random(folder: Folder, step: Step) -> Any:
    step.refuse(
        "draws at random in eval mode, so it answers something else each time.",
        "Draw only in training: F.dropout(x, training=self.training), or nn.Dropout.",
    )


def softmax(folder: Folder, step: Step) -> Any:
    step.refuse(
        "is not the last layer; a softmax has a counterpart only where it ends the network, which then answers the "
        "numbers before it.",
        "Move it to the end, or leave it out: it changes no class.",
    )


def pair(value: Any, ones: int) -> Pair:
    """torch's int, (w,) or (h, w) → (h, w); ``ones``: what stands for the height of a row of pixels."""
    if isinstance(value, int):
        return (value, value)
    return (ones, int(value[0])) if len(value) == 1 else (int(value[0]), int(value[1]))
