"""Products, pools, views and pads of ATen, handed to the fold with all of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from binarynet.fold import Folder, Pending, Weight, joins, moves, pools, products, shapes, transposed
from binarynet.fold.link import Array, division
from binarynet.fold.products import Window
from binarynet.graph.ir import Padding, Pair
from binarynet.lower.elementwise import again
from binarynet.lower.step import Ref, Step, array, storage

# Operators that only move numbers, whatever their arguments.
MOVES = "view _unsafe_view reshape squeeze unsqueeze transpose permute t slice expand select split split_with_sizes "
MOVES += "unbind repeat flip roll index_select index channel_shuffle native_channel_shuffle pixel_shuffle "
MOVES += "pixel_unshuffle upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d reflection_pad1d "
MOVES += "reflection_pad2d replication_pad1d replication_pad2d"


def convolution(folder: Folder, step: Step) -> Pending:
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
    if step.plain("transposed"):
        more = pair(step.plain("output_padding"), 0)
        more = (0, more[1]) if flat else more
        window = window._replace(padding=((window.padding[0][0],) * 2 if not flat else (0, 0), window.padding[1]))
        return transposed.transposed(folder, step, step.pending("input"), weight, step.constant("bias"), window, more)
    step.get("output_padding")
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
    largest = step.op == "max_pool2d_with_indices"
    return kernel, stride, pools.windows(step, size, kernel, stride, padding, bool(step.plain("ceil_mode")), largest)


def adaptive_max(folder: Folder, step: Step) -> Pending:
    return pools.adaptive_pool(folder, step, step.pending(), pair(step.plain("output_size"), 1), pools.max_pool)


def adaptive_average(folder: Folder, step: Step) -> Pending:
    return pools.adaptive_pool(folder, step, step.pending(), pair(step.plain("output_size"), 1), pools.average)


def reduce(folder: Folder, step: Step) -> Pending:
    """mean, sum and amax over both sides of an image, or one that stays as a 1; mean and sum over its channels."""
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
    elif len(value.shape) == 3 and (over == _sides(before) or (before.ndim == step.value.ndim == 4 and 1 not in over)):
        height, width = pools.image(folder, step, x)
        kernel = (height, width) if over == _sides(before) else (height, 1) if over == [2] else (1, width)
        rule = {"mean": pools.average, "sum": pools.sums, "amax": pools.max_pool}[step.op]
        made = rule(folder, step, x, kernel, (1, 1))
    else:
        step.refuse(
            f"reduces over the dimensions {dims} of {before.ndim}.",
            "Both sides of an image, (2, 3), can be reduced, or one of them with keepdim=True.",
        )
    return shapes.as_vector(folder, step, made) if step.value.ndim == 2 else made


def _sides(before: Tensor) -> list[int]:
    """The dimensions of an image's sides that are not 1."""
    return [one for one in range(2, before.ndim) if before.shape[one] != 1]


def move(folder: Folder, step: Step) -> Pending:
    """What only moves numbers: the operator itself is shown where each of them lies."""
    for name in step.arguments:
        step.get(name)
    if isinstance(step.layer, nn.modules.instancenorm._InstanceNorm):
        statistics(folder, step)
    if step.value.dtype not in (torch.float32, step.before().dtype):
        step.refuse(f"casts to {str(step.value.dtype).removeprefix('torch.')}.", "Call model.float() before lowering.")
    before, after = step.before(), step.value
    if len(after) != len(before):
        step.refuse(
            f"makes {tuple(after.shape)} of a batch of shape {tuple(before.shape)}: it mixes the images of a batch.",
            "Flatten with x.flatten(1).",
        )
    x, shape = step.moving(), tuple(before.shape[1:])
    if x.moved is None and before.numel() == after.numel():
        places = torch.arange(before.numel()).reshape(before.shape)
        still = torch.equal(_moved(step, places), places.reshape(after.shape))
        if still and shapes.is_view(folder, x, shape, tuple(after.shape[1:])):
            return shapes.view(folder, step, x, shape, tuple(after.shape[1:]), step.alone())
    if len(after.shape) == 2 and before.ndim > 2 and x.moved is not None:
        settled = step.pending()  # what is flattened now was moved before
        if shapes.is_view(folder, settled, shape, tuple(after.shape[1:])):
            return shapes.view(folder, step, settled, shape, tuple(after.shape[1:]), step.alone())

    def run(image: Array) -> Array:
        # One image after the other, each with numbers of its own, so that none moves into another.
        batch = torch.from_numpy(np.repeat(image, len(before), axis=0))
        largest = batch.max() + 1
        own = torch.arange(len(before), dtype=torch.float64).reshape(-1, *(1,) * (before.ndim - 1))
        made = _moved(step, torch.where(batch > 0, batch + own * largest, batch))
        there = made > 0
        own = own.reshape(-1, *(1,) * (made.ndim - 1))
        one = torch.where(there, made - own * largest, made)
        if not torch.equal(one, one[:1].expand_as(one)) or torch.any(one[there] >= largest) or torch.any(one < 0):
            step.refuse("mixes the images of a batch.", "Name the dimensions of one image, from 1 on.")
        return one[:1].numpy()

    return moves.move(folder, step, x, shape, run)


def _moved(step: Step, numbers: Tensor) -> Tensor:
    """What the step makes of other numbers; of an operator with several results, its part."""
    made = again(step, numbers)
    found: Tensor = made[step.part] if isinstance(made, list | tuple) else made
    return found


def concat(folder: Folder, step: Step) -> Pending:
    given, rank = step.get("tensors"), step.value.ndim
    axis = int(step.plain("dim") or 0) % rank
    if axis == 0:
        step.refuse("joins the images of a batch.", "Join the channels: torch.cat(…, dim=1).")
    moving = step.several(settled=False)
    parts = [tuple(step.walk.steps[one.step].value.shape[1:]) for one in given]
    if step.op == "stack":
        parts = [(*one[: axis - 1], 1, *one[axis - 1 :]) for one in parts]
    if (made := moves.together(folder, moving, parts, axis - 1)) is not None:
        return made
    if rank > 4 or step.op == "stack":
        step.refuse(f"joins to {rank - 1} dimensions what is not of one value.", "Join images or vectors by torch.cat.")
    return joins.concat(folder, step, step.several(), 2 if rank == 3 and axis == 2 else axis - 1)


def same(folder: Folder, step: Step) -> Pending:
    """What changes no number: detach, clone, a copy to float32."""
    name = "src" if step.op == "copy" else "self"
    before, made = step.before(name), step.value
    for one in step.arguments:
        step.get(one)
    if tuple(before.shape) != tuple(made.shape):
        step.refuse(f"makes {tuple(made.shape[1:])} of {tuple(before.shape[1:])}, a part or a copy of it.")
    if made.dtype == torch.int64:
        step.refuse(
            "makes whole numbers of its input, as a look-up needs them.",
            "A look-up lowers as a product, of at most 256 tokens: binarynet.nn.papers.language_model.TokenTable, or "
            "tokens=characters in the recipe qnn-ptb.",
        )
    if made.dtype not in (torch.float32, before.dtype):
        step.refuse(f"casts to {str(made.dtype).removeprefix('torch.')}.", "Call model.float() before lowering.")
    return step.moving(name)


def pad(folder: Folder, step: Step) -> Pending:
    """A constant around the image."""
    widths = [int(one) for one in step.plain("pad")]
    value = step.plain("value")
    value = 0.0 if value is None else float(value)
    sides = step.before().ndim - 2
    if any(widths[2 * sides :]) or any(one < 0 for one in widths):
        if value != 0:
            step.refuse(f"pads channels with {value:g}; 0 has a counterpart.")
        return move(folder, step)
    x = step.pending()
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
