"""Pictures show what is there: each pixel of a filter is a weight, each pixel of a layer a bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import binarynet
from binarynet import plot
from binarynet.data import load_split
from binarynet.errors import BinarynetError
from binarynet.graph import interpret
from binarynet.plot.bits import layer_bits
from binarynet.plot.figure import as_svg, mosaic
from binarynet.plot.filters import tiles

CONVNET = Path(__file__).parents[1] / "data" / "small_convnet.bnn"


def test_a_mosaic_holds_every_tile_between_grey_lines() -> None:
    given = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    sheet = mosaic(given, 3)
    assert sheet.shape == (2 * 3 + 1, 3 * 4 + 1)
    for number, tile in enumerate(given):
        row, column = divmod(number, 3)
        assert np.array_equal(sheet[1 + 3 * row : 3 + 3 * row, 1 + 4 * column : 4 + 4 * column], tile)
    assert (sheet[0] == 128).all()


def test_a_filter_is_drawn_white_where_a_weight_is_plus_one() -> None:
    graph = binarynet.load_graph(CONVNET)
    for op in graph.ops:
        if type(op).__name__ == "Conv2d":
            assert np.array_equal(tiles(op, graph, 7) == 255, op.weight[:7, :, :, 0] > 0)
    digits = binarynet.load_graph("digits")
    first = next(op for op in digits.ops if hasattr(op, "weight"))
    assert np.array_equal(tiles(first, digits, 5) == 255, first.weight[:5].reshape(5, 8, 8) > 0)


def test_the_bits_of_a_layer_are_the_oracles_and_end_in_its_answer() -> None:
    session = binarynet.load("digits")
    image = load_split("digits", "test").images[:1]
    seen = dict(layer_bits(session.graph, image.reshape(1, -1)))
    assert seen
    assert all(set(np.unique(values)) <= {-1, 1} for values in seen.values())
    last = [op for op in session.graph.ops if op.name in seen][-1]
    assert last.name in {source for op in session.graph.ops for source in op.sources}
    assert interpret(session.graph, image.reshape(1, -1)).shape[1] == 10
    figure = plot.bits(image, session)
    assert [axes.get_title().partition(":")[0] for axes in figure.axes] == ["the image", *seen]
    with pytest.raises(BinarynetError, match="one image, not 2"):
        plot.bits(load_split("digits", "test").images[:2], session)


def test_figures_of_quantizers_filters_and_runs_become_svg(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,train_loss,validation_loss,flip_ratio\n1,2,1,0.5\n2,1,0.5,0.1\n")
    figures = [
        plot.quantizer("ste_sign", "approx_sign"),
        plot.filters(binarynet.load("digits")),
        plot.history(tmp_path),
    ]
    for figure in figures:
        assert as_svg(figure).startswith("<svg")
    left, right = plot.quantizer("ste_sign").axes
    assert set(left.lines[0].get_ydata().tolist()) == {-1.0, 1.0}
    assert right.lines[0].get_ydata().max() == 1


def test_what_cannot_be_drawn_is_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(BinarynetError, match=r"metrics.csv: No such file"):
        plot.history(tmp_path)
    (tmp_path / "metrics.csv").write_text("epoch\nx\n")
    with pytest.raises(BinarynetError, match="is no table that a run wrote"):
        plot.history(tmp_path)
    with pytest.raises(BinarynetError, match="no layer 'x' with weights"):
        plot.filters(binarynet.load_graph("digits"), "x")
    with pytest.raises(BinarynetError, match="pass one of"):
        plot.quantizer("x")


def test_reprs_are_a_line_and_tables_of_notebooks_escape_names() -> None:
    from dataclasses import replace

    from binarynet.data import DataSet

    graph = binarynet.load_graph("digits")
    assert len(repr(graph)) < 120
    assert "\n" not in repr(graph)
    evil = replace(graph, ops=(replace(graph.ops[0], name="<script>"), *graph.ops[1:]))
    assert "<script>" not in evil._repr_html_()
    assert "<table>" in binarynet.load("digits")._repr_html_()
    data = DataSet.from_arrays(np.zeros((40, 4, 4), np.uint8), np.arange(40) % 2, classes=["<b>", "c"])
    assert "<b>" not in data._repr_html_()
    assert len(repr(data)) < 120
