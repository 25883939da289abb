"""What every layer sees of an image, as bits: white is +1, black is −1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from binarynet.errors import InputError, expect
from binarynet.graph import Encoding, Graph, trace, verify
from binarynet.plot.figure import Bytes, mosaic, new_figure, panels, show
from binarynet.plot.filters import image_shape
from binarynet.runtime import Session
from binarynet.runtime.images import adapt


def bits(image: ArrayLike, session: Session, most: int = 64) -> Any:
    """A `Figure` with a row for each layer that makes ±1 of one image; above them the image, if it has 1 or 3 channels.

    image: as `Session.logits` takes it, one image. most: channels of a layer that are shown. Values are the oracle's.
    Raises `InputError` for no image, or several.
    """
    expect("bits: session", session, Session, "a Session, as binarynet.load makes one")
    array = np.asarray(image)
    if array.ndim in (1, 2, 3) and array.shape[:1] != (1,):
        array = array[None]
    codes = adapt(array, session.input_shape, Encoding.parse(session.graph.input.encoding))
    if len(codes) != 1:
        raise InputError(f"bits shows one image, not {len(codes)}")
    seen = list(layer_bits(session.graph, codes))
    sheets = [sheet_of(values, most) for _, values in seen]
    titles = [f"{name}: {values.size:,} bits, {(values > 0).mean():.0%} of them +1" for name, values in seen]
    heights = [max(0.5, 6 * sheet.shape[0] / sheet.shape[1]) for sheet in sheets]
    picture = _as_picture(codes[0], session.graph)
    if picture is not None:
        sheets, titles, heights = [picture, *sheets], ["the image", *titles], [1.2, *heights]
    figure = new_figure(6, sum(heights) + 0.3 * len(heights) or 1)
    rows = figure.subplots(len(sheets), 1, squeeze=False, height_ratios=heights) if sheets else panels(figure, 1, 1)
    for axes, sheet, title in zip(np.ravel(rows), sheets, titles, strict=False):
        show(axes, sheet, title)
    return figure


def _as_picture(codes: NDArray[Any], graph: Graph) -> Bytes | None:
    """Codes as the input has them → (h, w) or (h, w, 3) uint8, from the darkest to the brightest; None for no image."""
    if codes.ndim == 1 and (shape := image_shape(graph)) is not None:
        codes = codes.reshape(shape).transpose(1, 2, 0)
    if codes.ndim != 3 or codes.shape[-1] not in (1, 3):
        return None
    low = float(codes.min())
    picture = ((codes - low) * (255 / (float(codes.max()) - low or 1.0))).astype(np.uint8)
    return picture[..., 0] if picture.shape[-1] == 1 else picture


def layer_bits(graph: Graph, codes: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """(name, ±1 values without the batch) of every value of one bit, for one image's codes (1, …)."""
    types, values = verify(graph), trace(graph, codes)
    for op in graph.ops:
        if types[op.name].encoding.bits == 1 and type(op).__name__ != "Flatten":
            yield op.name, values[op.name][0]


def sheet_of(values: NDArray[Any], most: int) -> Bytes:
    """(h, w, c) → a tile a channel; (n,) → rows of 64."""
    if values.ndim == 3 and values.shape[:2] != (1, 1):
        return mosaic(((values > 0) * 255).astype(np.uint8).transpose(2, 0, 1)[:most], 16)
    flat = ((values.ravel() > 0) * 255).astype(np.uint8)
    padded = np.full(-(-len(flat) // 64) * 64, 128, np.uint8)
    padded[: len(flat)] = flat
    return padded.reshape(-1, 64)
