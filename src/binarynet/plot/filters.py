"""The weights of a layer as pictures: white is +1, black −1, grey 0 (of reals: from the smallest to the largest)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import InputError, expect
from binarynet.graph import Graph
from binarynet.graph.ir import Conv2d, Linear
from binarynet.plot.figure import Bytes, mosaic, new_figure, show
from binarynet.runtime import Session


def filters(model: Graph | Session, layer: str | None = None, most: int = 64) -> Any:
    """A `Figure` of the first ``most`` filters of a Linear or Conv2d, by its name; None: the first one.

    A convolution shows its filters of the first input channel, a Linear that reads the image the weights of each neuron
    laid out as the image, others a row a neuron. Raises `InputError` for a layer that is none of these.
    """
    expect("filters: model", model, Graph | Session, "a Graph or a Session, as binarynet.load makes one")
    graph = model.graph if isinstance(model, Session) else model
    products = {op.name: op for op in graph.ops if isinstance(op, Linear | Conv2d)}
    op = products.get(layer) if layer is not None else next(iter(products.values()), None)
    if op is None:
        raise InputError(f"no layer {layer!r} with weights; there are {', '.join(products) or 'none'}")
    sheet = mosaic(tiles(op, graph, most), 16)
    figure = new_figure(6, max(0.8, 6 * sheet.shape[0] / sheet.shape[1] + 0.3))
    show(figure.subplots(), sheet, f"{op.name}: {'×'.join(map(str, op.weight_shape))} {op.weight_encoding}")
    return figure


def tiles(op: Linear | Conv2d, graph: Graph, most: int) -> Bytes:
    """(n, height, width) uint8, at most ``most``."""
    weight: NDArray[Any] = op.weight[:most]
    if isinstance(op, Conv2d):
        return _grey(weight[..., 0])  # (out, kh, kw, in) → (out, kh, kw)
    shape = image_shape(graph)
    if shape is not None and weight.shape[1] == prod(shape) and op.source == graph.input.name:
        channels, height, width = shape
        return _grey(weight.reshape(len(weight), channels, height, width)[:, 0])
    if shape is not None and weight.shape[1] == prod(shape) and graph.input.shape == (prod(shape),):
        return _grey(weight.reshape(len(weight), *shape)[:, 0])
    return _grey(weight[None, :, :256])  # a row a neuron


def image_shape(graph: Graph) -> tuple[int, int, int] | None:
    """(channels, height, width) of a flat input, as the model's file says; a grey square otherwise."""
    if len(graph.input.shape) != 1:
        return None
    parts = graph.meta.get("shape", "").split("x")
    if len(parts) == 3 and all(part.isascii() and part.isdecimal() and len(part) < 6 for part in parts):
        channels, height, width = map(int, parts)
        if channels * height * width == graph.input.shape[0]:
            return channels, height, width
    side = round(graph.input.shape[0] ** 0.5)
    return (1, side, side) if side * side == graph.input.shape[0] else None


def _grey(weight: NDArray[Any]) -> Bytes:
    low, high = float(weight.min(initial=0)), float(weight.max(initial=0))
    reach = max(-low, high) or 1.0
    return np.rint((weight / reach + 1) * 127.5).astype(np.uint8)
