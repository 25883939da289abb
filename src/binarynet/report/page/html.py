"""The content of a report as one HTML file: styles, curves (SVG) and pictures (PNG) are inside it, no script is.

Names out of files are escaped by Jinja's rule that everything is, unless it was made here.
"""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.data.lazy import need
from binarynet.errors import RuntimeUnavailable
from binarynet.graph import Encoding
from binarynet.graph.ir import Threshold
from binarynet.plot.bits import layer_bits, sheet_of
from binarynet.plot.figure import as_svg, mosaic, new_figure, panels, plain
from binarynet.plot.filters import tiles
from binarynet.plot.history import curves
from binarynet.report.page.content import Content
from binarynet.report.page.run import Run
from binarynet.runtime.images import adapt

_FILTERS, _THRESHOLDS = 64, 12  # filters of a layer, layers


def page(content: Content, run: Run | None) -> str:
    """The file's text. `RuntimeUnavailable` where Jinja2 or matplotlib is not installed."""
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise RuntimeUnavailable("a report needs jinja2: pip install 'binarynet[report]'") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"bytes": _bytes, "seconds": _seconds, "joules": _joules}
    text = (files("binarynet.report.page") / "page.html.j2").read_text(encoding="utf-8")
    shown = [op for op in content.products if min(op.weight_shape) > 0][:_THRESHOLDS]
    return environment.from_string(text).render(
        content=content,
        run=run,
        commands=_commands(content, run),
        curves=Markup(as_svg(curves({"run": run.rows}))) if run and run.rows else "",
        thresholds=Markup(_drawn(content.thresholds)) if content.thresholds else "",
        filters=[(op.name, _png(mosaic(tiles(op, content.graph, _FILTERS), 16))) for op in shown],
        seen=_seen(content),
        mistakes=[(one, _png(_picture(one.image))) for one in content.mistakes],
        shade=_shade(content),
        unique={one.layer: one for one in content.analysis.filters},
    )


def _bytes(count: float) -> str:
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} B"


def _joules(pj: float) -> str:
    return f"{pj / 1e6:,.2f} µJ" if pj >= 1e5 else f"{pj / 1e3:,.2f} nJ"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:,.1f} µs"


def _seen(content: Content) -> list[tuple[str, str]]:
    """What every layer makes of the first image, as far as it is bits."""
    if content.split is None or not len(content.split):
        return []
    codes = adapt(content.split.images[:1], content.session.input_shape, Encoding.parse(content.graph.input.encoding))
    return [(name, _png(sheet_of(values, _FILTERS))) for name, values in layer_bits(content.graph, codes)]


def _shade(content: Content) -> Callable[[int, int], float]:
    """How dark a cell of the confusion matrix is: its share of the row, 0 … 1."""
    matrix = content.confusion if content.confusion is not None else np.zeros((1, 1), np.int64)
    totals = np.maximum(1, matrix.sum(axis=1))
    return lambda row, column: round(float(matrix[row, column] / totals[row]), 3)


def _picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(channels, height, width) → (height, width, 3) or (height, width)."""
    return np.ascontiguousarray(image[:3].transpose(1, 2, 0)) if len(image) >= 3 else image[0]


def _png(pixels: NDArray[np.uint8]) -> str:
    """A ``data:`` address."""
    file = io.BytesIO()
    need("PIL.Image", "pillow", "a report").fromarray(pixels).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _drawn(thresholds: tuple[Threshold, ...]) -> str:
    """A histogram for each layer with thresholds, of the first few."""
    shown = thresholds[:_THRESHOLDS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(2.8 * columns, 1.8 * rows)
    axes = panels(figure, rows, columns)
    for one, op in zip(axes, shown, strict=False):
        values = op.thresholds.ravel().astype(np.float64)
        finite = values[np.abs(values) < 2.0**31 - 1]  # further out stands what never or always switches
        one.hist(finite, bins=min(40, max(1, len(np.unique(finite)))), color="#4c78a8")
        plain(one, f"{op.name} ({op.thresholds.size:,})")
    for one in axes[len(shown) :]:
        one.set_axis_off()
    return as_svg(figure)


def _commands(content: Content, run: Run | None) -> list[str]:
    """What to type to see the same again."""
    model = shlex.quote(str(run.folder if run else content.file.name))
    made = [f"binarynet eval {model} --check oracle", f"binarynet inspect {model}", f"binarynet bench {model}"]
    made.append(f"binarynet export {model} --to c --out c")
    if run is not None:
        config: Any = run.config
        made.insert(0, f"binarynet train --config {shlex.quote(str(run.folder / 'config.json'))} --out again")
        made.append(f"binarynet train {shlex.quote(str(config.get('recipe')))} --resume --out {model}")
    return made
