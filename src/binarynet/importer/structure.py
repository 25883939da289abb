"""Products, pools, views and pads of ONNX, handed to the fold with all of their attributes."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import numpy as np

from binarynet.fold import Pending, Weight, joins, moves, pools, products, shapes, transposed
from binarynet.fold.link import division
from binarynet.fold.products import Window
from binarynet.graph.ir import Padding, Pair
from binarynet.importer.domains import LAST
from binarynet.importer.model import Array, Constant, Node
from binarynet.importer.walk import Walk

_EXACT = 2**24  # float32 holds every whole number below
_FLOATS = (1, 11)  # float32 and float64 in ONNX's numbering: what float32 holds stays as it is


def matrix(walk: Walk, node: Node) -> Pending:
    """Gemm and MatMul."""
    if walk.given(node)[0] is not None:
        node.refuse("the constant stands first; weights must stand second.")
    if node.get("alpha", 1.0) != 1 or node.get("beta", 1.0) != 1 or node.get("transA", 0):
        node.refuse("alpha, beta and transA other than 1, 1, 0 have no counterpart.")
    weight = walk.weight(node, 1)
    if weight.value.ndim != 2:
        node.refuse(f"weights of shape {weight.value.shape}; a matrix has a counterpart.")
    if len(walk.values.shape(node.inputs[0])) != 2:
        node.refuse("multiplies more than one vector of an image.")
    value, unit = weight.value, weight.unit
    if not node.get("transB", 0):  # (depth, out) → (out, depth)
        value, unit = value.T, unit.T if unit is not None and unit.ndim == 2 else _scalar(unit)
    elif unit is not None and unit.ndim == 1:
        unit = _scalar(unit)
    return products.linear(walk.folder, node, walk.pending(node.inputs[0]), _weight(value, unit), _bias(walk, node))


def _scalar(unit: Array | None) -> Array | None:
    return None if unit is None or unit.size > 1 else unit.reshape(())


def _weight(value: Array, unit: Array | None) -> Weight:
    return Weight(np.ascontiguousarray(value, np.float32), unit)


def _bias(walk: Walk, node: Node) -> Array | None:
    if len(node.inputs) < 3 or not node.inputs[2]:
        return None
    bias = walk.given(node)[2]
    if bias is None:
        node.refuse("its bias is computed.")
    out = walk.values.shape(node.outputs[0])[-1 if node.kind != "Conv" or node.domain == LAST else 1]
    if bias.size not in (1, out):
        node.refuse(f"adds a matrix of shape {bias.shape}; a bias has one number for each output.")
    return np.asarray(bias, np.float32).reshape(-1)


def conv(walk: Walk, node: Node) -> Pending:
    weight: Constant = walk.weight(node, 1)
    value, unit = weight.value, weight.unit
    if value.ndim == 3:  # a row of pixels is an image of height 1
        value, unit = value[:, :, None], unit[:, :, None] if unit is not None and unit.ndim == 3 else _scalar(unit)
    if value.ndim != 4:
        node.refuse(f"convolves over {value.ndim - 2} dimensions; one or two have a counterpart.")
    kernel, sides = (value.shape[2], value.shape[3]), weight.value.ndim - 2
    stride, dilation = _pair(node.get("strides", [1] * sides)), _pair(node.get("dilations", [1] * sides))
    name = node.inputs[0]
    padding = _pads(node, walk.one_image(name)[1:], kernel, stride, dilation)
    window = Window(stride, dilation, padding, int(node.get("group", 1)))
    if node.kind == "ConvTranspose":
        return _transposed(walk, node, _weight(value, unit), window, sides)
    return products.conv(walk.folder, node, walk.pending(name), _weight(value, unit), _bias(walk, node), window)


def _transposed(walk: Walk, node: Node, weight: Weight, window: Window, sides: int) -> Pending:
    if node.get("output_shape", None) is not None or node.get("auto_pad", "NOTSET") != "NOTSET":
        node.refuse("output_shape and auto_pad have no counterpart; say pads and output_padding.")
    more = [int(one) for one in node.get("output_padding", [0] * sides)]
    extra = (0, more[0]) if sides == 1 else (more[0], more[1])
    x = walk.pending(node.inputs[0])
    return transposed.transposed(walk.folder, node, x, weight, _bias(walk, node), window, extra)


def _pair(sides: list[int]) -> Pair:
    return (1, int(sides[0])) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def _pads(node: Node, size: tuple[int, ...], kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    """The attribute pads, or what auto_pad makes of the sizes."""
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        size = (1, *size) if len(size) == 1 else size
        sides = []
        for axis in (0, 1):
            reach = dilation[axis] * (kernel[axis] - 1) + 1
            total = max(0, (-(-size[axis] // stride[axis]) - 1) * stride[axis] + reach - size[axis])
            less, more = total // 2, total - total // 2
            sides.append((less, more) if auto == "SAME_UPPER" else (more, less))
        return sides[0], sides[1]
    if auto not in ("NOTSET", "VALID"):
        node.refuse(f"auto_pad {auto!r} is unknown.")
    pads = [int(one) for one in node.get("pads", [0, 0, 0, 0])]
    if len(pads) == 2:
        return (0, 0), (pads[0], pads[1])
    if auto == "VALID" or len(pads) != 4:
        return (0, 0), (0, 0)
    return (pads[0], pads[2]), (pads[1], pads[3])


def pool(walk: Walk, node: Node) -> Pending:
    """MaxPool and AveragePool."""
    name = node.inputs[0]
    size = pools.image(walk.folder, node, walk.pending(name))
    given = node.get("kernel_shape", [])
    if len(given) not in (1, 2) or any(one != 1 for one in node.get("dilations", [1])):
        node.refuse(f"has a window {given}; one over height and width, without dilations, has a counterpart.")
    kernel, stride = _pair(given), _pair(node.get("strides", [1] * len(given)))
    padding = _pads(node, size, kernel, stride, (1, 1))
    padding = pools.windows(node, size, kernel, stride, padding, bool(node.get("ceil_mode", 0)), node.kind == "MaxPool")
    if node.get("storage_order", 0):
        node.refuse("storage_order has no counterpart.")
    if node.kind == "MaxPool":
        return pools.max_pool(walk.folder, node, walk.pending(name), kernel, stride, padding)
    if padding != ((0, 0), (0, 0)) and not node.get("count_include_pad", 0):
        node.refuse("count_include_pad=0 with padding divides by a number that changes at the border.")
    return pools.average(walk.folder, node, walk.pending(name), kernel, stride, padding)


def reduce(walk: Walk, node: Node) -> Pending:
    """GlobalAveragePool, GlobalMaxPool, ReduceMean, ReduceSum, ReduceMax: over both sides of an image, or channels."""
    name, folder = node.inputs[0], walk.folder
    shape, x = walk.values.shape(name), walk.pending(name)
    rank = len(shape)
    axes = node.get("axes", None)
    if len(node.inputs) > 1 and node.inputs[1]:
        given = walk.given(node)[1]
        axes = None if given is None else [int(one) for one in given]
    if node.kind.startswith("Global"):
        axes = list(range(2, rank))
    axes = sorted({int(one) % rank for one in (range(rank) if axes is None else axes)})
    sides = list(range(1, rank - 1)) if walk.is_last(name) else list(range(2, rank))
    over = [one for one in axes if shape[one] != 1]
    if 0 in axes and not node.kind.startswith("Global"):
        node.refuse("reduces over the images of a batch.")
    kind = node.kind.removeprefix("Global").removeprefix("Reduce").removesuffix("Pool")
    channel = rank - 1 if walk.is_last(name) else 1
    if not over:
        made = x
    elif over == [channel] and kind in ("Mean", "Sum"):
        made = products.total(folder, node, x)
        if kind == "Mean":
            made = folder.then(node, made, division(node.name, shape[channel], 1))
    elif over == [one for one in sides if shape[one] != 1]:
        kernel = pools.image(folder, node, x)
        rule = {"Average": pools.average, "Mean": pools.average, "Sum": pools.sums, "Max": pools.max_pool}[kind]
        made = rule(folder, node, x, kernel, (1, 1))
    else:
        node.refuse(f"reduces over the axes {axes} of {rank}; both sides of an image can be reduced.")
    return shapes.as_vector(folder, node, made) if len(walk.values.shape(node.outputs[0])) == 2 else made


def transpose(walk: Walk, node: Node) -> Pending:
    """Channels to the end and back, and what moves nothing but sides of 1."""
    name, made = node.inputs[0], node.outputs[0]
    shape = walk.values.shape(name)
    order = [int(one) for one in node.get("perm", list(reversed(range(len(shape)))))]
    rank, last = len(shape), walk.is_last(name)
    if order == [0, *range(2, rank), 1] and not last:
        walk.last.add(made)
        return walk.pending(name)
    if order == [0, rank - 1, *range(1, rank - 1)] and last:
        return walk.pending(name)
    if not last and [one for one in order if shape[one] != 1] == [one for one in range(rank) if shape[one] != 1]:
        return view(walk, node)
    return move(walk, node)


def view(walk: Walk, node: Node) -> Pending:
    """Reshape, Flatten, Squeeze, Unsqueeze."""
    name, made = node.inputs[0], node.outputs[0]
    shape, after = walk.values.shape(name), walk.values.shape(made)
    if len(after) < 2 or after[0] != shape[0]:
        node.refuse(f"makes {after} of {shape}: it mixes the images of a batch.")
    if walk.is_last(name):
        x = walk.pending(name)
        if len(after) == 2 and x.outside is None:  # the graph flattens with the channels last, too
            flat = shapes.flatten(walk.folder, node, x, walk.alone(name))
            return replace(flat, order=None)
        node.refuse(f"makes {after} of {shape}, whose channels stand last.")
    x = walk.carried(name)
    if x.moved is not None and len(after) == 2:  # what is flattened now was moved before
        x = walk.pending(name)
    if x.moved is None and shapes.is_view(walk.folder, x, walk.one_image(name), after[1:]):
        return shapes.view(walk.folder, node, x, walk.one_image(name), after[1:], walk.alone(name))
    return move(walk, node)


def move(walk: Walk, node: Node) -> Pending:
    """What only moves numbers: the node itself is shown where each of them lies."""
    name, made = node.inputs[0], node.outputs[0]
    shape, after = walk.values.shape(name), walk.values.shape(made)
    last = walk.is_last(name)
    if walk.moving(node) != [name]:
        node.refuse("its parameters are computed from the image.")
    if len(after) < 2 or after[0] != 1 or shape[0] != 1:
        node.refuse(f"makes {after} of {shape}: it mixes the images of a batch.")
    if last and (len(after) != len(shape) or node.kind in ("Transpose", "Reshape", "Flatten")):
        node.refuse(f"makes {after} of {shape}, whose channels stand last.")
    if node.get("mode", "nearest") not in ("nearest", "constant", "reflect", "edge", "wrap", "DCR", "CRD"):
        node.refuse(f"computes new numbers ({node.get('mode', '')}); nearest pixels have a counterpart.")
    given = walk.given(node)[1:]

    def run(image: Array) -> Array:
        if image.max() >= _EXACT:
            node.refuse(f"moves more than {_EXACT} numbers.")
        shown = np.ascontiguousarray(np.moveaxis(image, 1, -1) if last else image, np.float32)
        moved = walk.arithmetic.run(node, [shown, *given])
        return np.moveaxis(moved, -1, 1) if last else moved

    return moves.move(walk.folder, node, walk.carried(name), walk.one_image(name), run)


def concat(walk: Walk, node: Node) -> Pending:
    names, rank = list(node.inputs), len(walk.values.shape(node.outputs[0]))
    if walk.moving(node) != names:
        node.refuse("joins the image with a constant.")
    axis = int(node.get("axis", 1)) % rank
    if axis == 0:
        node.refuse("joins the images of a batch.")
    if {walk.is_last(name) for name in names} == {True}:
        axis = 1 if axis == rank - 1 else axis + 1
    elif any(walk.is_last(name) for name in names):
        node.refuse("joins values whose channels stand at different places.")
    found = moves.together(
        walk.folder, [walk.carried(name) for name in names], [walk.one_image(name) for name in names], axis - 1
    )
    if found is not None:
        return found
    if rank > 4:
        node.refuse(f"joins values of {rank - 1} dimensions.")
    parts = [walk.pending(name) for name in names]
    return joins.concat(walk.folder, node, parts, 2 if rank == 3 and axis == 2 else axis - 1)


def same(walk: Walk, node: Node) -> Pending:
    """Identity, Dropout in evaluation, Cast to a float."""
    if node.kind == "Cast" and node.get("to", 1) not in _FLOATS:
        node.refuse("casts to a type that is no float.")
    training = walk.given(node)[2] if node.kind == "Dropout" and len(node.inputs) > 2 else None
    if node.kind == "Dropout" and (len(node.inputs) > 2 and node.inputs[2]) and (training is None or np.any(training)):
        node.refuse("is in training mode; export the model in evaluation mode.")
    return walk.carried(node.inputs[0])


def pad(walk: Walk, node: Node) -> Pending:
    name, given = node.inputs[0], walk.given(node)
    shape = walk.values.shape(name)
    sizes = node.get("pads", None) if len(given) < 2 else given[1]
    axes = given[3] if len(given) > 3 else None
    if sizes is None or axes is not None:
        node.refuse("only padding with known sizes, of all axes, has a counterpart.")
    pads, rank = [int(one) for one in sizes], len(shape)
    if len(pads) != 2 * rank or pads[0] or pads[rank]:
        node.refuse(f"pads by {pads}; an image can be padded, a batch not.")
    value = node.get("value", 0.0) if len(given) < 3 or given[2] is None else float(np.reshape(given[2], -1)[0])
    inner = min(pads) >= 0 and not any(pads[one] for one in (1, rank + 1)) and not walk.is_last(name)
    if node.get("mode", "constant") != "constant" or not inner:
        if node.get("mode", "constant") == "constant" and value != 0:
            node.refuse(f"pads channels with {value:g}; 0 has a counterpart.")
        return move(walk, node)
    x = walk.pending(name)
    if not any(pads):
        return x
    if len(walk.folder.value(x).shape) != 3 or rank not in (3, 4):
        node.refuse(f"pads {walk.folder.value(x)}, which is not an image.")
    around: Padding = ((pads[2], pads[6]), (pads[3], pads[7])) if rank == 4 else ((0, 0), (pads[2], pads[5]))
    return pools.padded(node, x, around, float(value))


def choice(walk: Walk, node: Node) -> NoReturn:
    node.refuse("the classes are chosen by the reader of the answer; cut the file off before this node.")
