"""A figure of matplotlib without pyplot (no window, no state), mosaics of small pictures, and SVG for a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import RuntimeUnavailable

GREY = "#808080"  # of lines and texts: read on white and on black
Bytes = NDArray[np.uint8]


def new_figure(width: float, height: float) -> Any:
    """An empty `Figure` of so many inches, which a notebook shows. `RuntimeUnavailable` without matplotlib."""
    return _kind()(figsize=(width, height), layout="constrained")


@cache
def _kind() -> Any:
    """Figures that show themselves in a notebook, as SVG; those of matplotlib need pyplot for it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeUnavailable("pictures need matplotlib: pip install 'binarynet[report]'") from error
    return type("Picture", (Figure,), {"_repr_html_": as_svg})


def plain(axes: Any, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Thin grey axes; texts stay texts: a name out of a file that holds ``$`` is no formula."""
    axes.set_title(title, fontsize=9, parse_math=False)
    axes.set_xlabel(xlabel, fontsize=8, parse_math=False)
    axes.set_ylabel(ylabel, fontsize=8, parse_math=False)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def mosaic(tiles: NDArray[Any], columns: int) -> Bytes:
    """Pictures (n, h, w) uint8 side by side with a grey line between them → (rows, pixels) uint8."""
    count, height, width = tiles.shape
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), 128, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = 1 + row * (height + 1), 1 + column * (width + 1)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def show(axes: Any, sheet: NDArray[Any], title: str) -> None:
    """A picture without axes; pixels stay squares."""
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9, parse_math=False)


def panels(figure: Any, rows: int, columns: int) -> Sequence[Any]:
    """All axes in one list."""
    return list(figure.subplots(rows, columns, squeeze=False).ravel())


def as_svg(figure: Any) -> str:
    """The figure as an ``<svg>`` element: transparent, its texts as texts, grey on any ground."""
    from matplotlib import rc_context

    for axes in figure.axes:
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()):
            text.set_color(GREY)
        axes.tick_params(which="both", color=GREY, labelcolor=GREY, labelsize=7)
        for spine in axes.spines.values():
            spine.set_color(GREY)
        legend = axes.get_legend()
        for text in legend.get_texts() if legend else ():
            text.set_color(GREY)
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "binarynet"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
