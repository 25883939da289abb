"""Repeated filters against sets, and bytes and picojoules against numbers worked out by hand from the table."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from binarynet.graph import OPS, Graph
from binarynet.graph.ir import (
    Add,
    Affine,
    Apply,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
)
from binarynet.report.analysis import analyse
from binarynet.report.filters import repetition
from binarynet.report.picture import plot

ONE_BIT = 2 * 0.03 / 8 + 0.1 / 64  # pJ of one product of two digits
FLOAT_MAC = 3.7 + 0.9


def conv(filters: np.ndarray, encoding: str = "b1", groups: int = 1) -> Conv2d:
    """filters (out, in, kh, kw) → the op."""
    return Conv2d("conv", ("input",), filters.transpose(0, 2, 3, 1).astype(np.int8), encoding, groups=groups)


def signs(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).choice([-1, 1], shape).astype(np.int8)


def linear_graph(reads: str, weight: str, depth: int = 100, out: int = 7) -> Graph:
    array = np.ones((out, depth), np.float32 if weight == "f32" else np.int8)
    return Graph((Input("input", (), (depth,), reads), Linear("linear", ("input",), array, weight)))


# -- filters -------------------------------------------------------------------------------------------------------


def test_equal_filters_count_once_and_a_negative_is_its_own_filter_but_for_the_sign() -> None:
    a, b = signs(2, 3, 3)
    found = repetition(conv(np.stack([a, a, -a, b])[:, None]))  # four filters of one input channel
    assert (found.filters, found.kernel, found.patterns) == (4, (3, 3), 512)
    assert (found.unique, found.unique_up_to_sign) == (3, 2)
    assert (found.share, found.share_up_to_sign) == (3 / 4, 2 / 4)


def test_share_is_that_of_one_input_channel_and_not_of_the_layer() -> None:
    a, b = signs(2, 3, 3)
    found = repetition(conv(np.array([[a, b], [a, b], [a, b], [a, a]])))
    assert found.unique == 2
    assert found.share == (1 / 4 + 2 / 4) / 2  # the first channel meets one filter, the second two


def test_groups_meet_only_their_own_filters() -> None:
    a, b = signs(2, 3, 3)
    found = repetition(conv(np.array([[a], [a], [b], [b]]), groups=2))
    assert found.unique == 2
    assert found.share == 1 / 2


def test_ternary_filters_compare_up_to_the_sign_of_their_first_number_that_is_not_zero() -> None:
    filters = np.array([[0, 1, -1, 0], [0, -1, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0]]).reshape(4, 1, 2, 2)
    found = repetition(conv(filters, "t2"))
    assert (found.patterns, found.unique, found.unique_up_to_sign) == (81, 4, 3)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (8, 4, 1, 3), (65, 3, 2, 2), (40, 2, 3, 3), (5, 3, 11, 11)])
def test_counts_are_those_of_sets(shape: tuple[int, int, int, int]) -> None:
    filters = signs(*shape)
    found = repetition(conv(filters))

    def distinct(some: np.ndarray) -> tuple[int, int]:
        keys = [tuple(one.ravel()) for one in some]
        return len(set(keys)), len({max(key, tuple(-n for n in key)) for key in keys})

    assert (found.unique, found.unique_up_to_sign) == distinct(filters.reshape(-1, *shape[2:]))
    each = [distinct(filters[:, c]) for c in range(shape[1])]
    assert found.share == pytest.approx(sum(one for one, _ in each) / shape[0] / shape[1])
    assert found.share_up_to_sign == pytest.approx(sum(one for _, one in each) / shape[0] / shape[1])


def test_real_filters_are_not_counted() -> None:
    op = Conv2d("conv", ("input",), np.ones((2, 3, 3, 1), np.float32), "f32")
    assert analyse(Graph((Input("input", (), (5, 5, 1), "b8"), op))).filters == ()


# -- energy and memory ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "weight", "product"),
    [
        ("b1", "b1", ONE_BIT),
        ("b8", "b1", 8 * ONE_BIT),
        ("u2", "i4", 8 * ONE_BIT),
        ("b1", "t2", 2 * ONE_BIT),
        ("f32", "b1", 0.9),
        ("f32", "t2", 0.9),
        ("f32", "u1", 0.9),
        ("f32", "i2", FLOAT_MAC),
        ("f32", "f32", FLOAT_MAC),
        ("b8", "f32", FLOAT_MAC),
    ],
)
def test_a_product_costs_what_its_operands_are(reads: str, weight: str, product: float) -> None:
    (layer,) = analyse(linear_graph(reads, weight)).layers
    assert layer.macs == 700
    assert layer.cost.operations_pj == pytest.approx(700 * product)
    assert layer.float32.operations_pj == pytest.approx(700 * FLOAT_MAC)


@pytest.mark.parametrize(("weight", "times"), [("b1", 32), ("t2", 16), ("i4", 8), ("f32", 1)])
def test_weights_are_smaller_by_their_bits(weight: str, times: int) -> None:
    (layer,) = analyse(linear_graph("b1", weight, depth=64)).layers
    assert layer.float32.parameter_bytes == 4 * 64 * 7 == times * layer.cost.parameter_bytes


@pytest.mark.parametrize(
    ("size", "price"),
    [(8, 10), (8192, 10), (8193, 20), (32768, 20), (32769, 100), (2**20, 100), (2**20 + 1, 1300)],
)
def test_an_array_is_touched_once_in_the_smallest_memory_that_holds_it(size: int, price: int) -> None:
    (layer,) = analyse(linear_graph("b1", "b1", depth=8, out=size)).layers  # one byte of weights for each output
    words = math.ceil(size / 8)
    assert layer.cost.parameter_bytes == size
    assert layer.cost.accesses_pj == words * price + 10  # and one word of input; the accumulator stays


def test_a_small_network_worked_out_by_hand() -> None:
    graph = Graph(
        (
            Input("input", (), (4, 4, 2), "b8"),
            Conv2d("conv", ("input",), signs(16, 3, 3, 2), padding=((1, 1), (1, 1))),
            Threshold("sign", ("conv",), np.zeros((16, 1), np.int32), np.ones(16, np.bool_)),
            MaxPool2d("pool", ("sign",), (2, 2), (2, 2), np.zeros(16, np.bool_)),
            Flatten("flat", ("pool",)),
            Linear("classes", ("flat",), signs(3, 64)),
            Affine("logits", ("classes",), np.ones(3, np.float32), np.zeros(3, np.float32)),
        )
    )
    found = analyse(graph)
    layers = {layer.layer: layer for layer in found.layers}
    assert list(layers) == ["conv", "sign", "pool", "classes", "logits"]
    macs = 16 * 16 * 18
    assert layers["conv"].macs == macs
    assert layers["conv"].cost.operations_pj == pytest.approx(8 * ONE_BIT * macs)
    assert (layers["conv"].cost.parameter_bytes, layers["conv"].cost.value_bytes) == (36, 32)
    assert layers["conv"].cost.accesses_pj == 10 * (5 + 4)  # words of 36 and 32 bytes
    assert (layers["conv"].float32.parameter_bytes, layers["conv"].float32.value_bytes) == (1152, 128)
    assert layers["sign"].cost.operations_pj == pytest.approx(0.1 * 256)
    assert (layers["sign"].cost.parameter_bytes, layers["sign"].cost.value_bytes) == (64 + 2, 32)
    assert layers["sign"].float32.operations_pj == pytest.approx((FLOAT_MAC + 0.9) * 256)
    assert (layers["sign"].float32.parameter_bytes, layers["sign"].float32.value_bytes) == (128, 1024)
    assert layers["pool"].cost.operations_pj == pytest.approx(3 * 64 * 0.03 / 8)
    assert layers["pool"].float32.operations_pj == pytest.approx(3 * 64 * 0.9)
    assert layers["pool"].float32.parameter_bytes == 0
    assert layers["logits"].cost == layers["logits"].float32
    assert found.cost.energy_pj == pytest.approx(sum(layer.cost.energy_pj for layer in found.layers))
    assert found.float32.parameter_bytes == 1152 + 128 + 4 * 192 + 24


def test_more_levels_of_a_threshold_cost_more_comparisons() -> None:
    ops = linear_graph("b1", "b1").ops
    fine = Threshold("code", ("linear",), np.zeros((7, 7), np.int32), np.ones(7, np.bool_), "u3")
    assert analyse(Graph((*ops, fine))).layers[-1].cost.operations_pj == pytest.approx(0.1 * 7 * 7)


def every_op() -> Graph:
    """One graph with all of them."""
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    ops: tuple[Op, ...] = (
        Input("input", (), (4, 4, 1), "b8"),
        Conv2d("conv", ("input",), signs(2, 1, 1, 1)),
        MaxPool2d("pool", ("conv",), (2, 2), (1, 1), np.zeros(2, np.bool_)),
        SumPool2d("sum", ("pool",), (2, 2), (1, 1)),
        Relu("relu", ("sum",)),
        Affine("affine", ("relu",), ones, zeros),
        PRelu("prelu", ("affine",), ones),
        Add("add", ("prelu", "affine")),
        Conv2d("k", ("add",), np.ones((1, 1, 1, 2), np.int8), "u1"),
        Mul("mul", ("add", "k")),
        Apply("gate", ("mul",), "sigmoid"),
        Threshold("sign", ("gate",), np.zeros((2, 1), np.float32), np.ones(2, np.bool_)),
        Take("odd", ("sign",), *(np.array(places, np.int32) for places in ([1], [0, 1], [1]))),
        Take("row", ("sign",), *(np.array(places, np.int32) for places in ([0], [0, 1], [1, 0, 1]))),
        Concat("joined", ("odd", "row")),
        Flatten("flat", ("joined",)),
        Linear("classes", ("flat",), signs(3, 8)),
        Unflatten("image", ("classes",), (1, 1, 3)),
    )
    return Graph(ops)


def test_every_op_but_input_and_flatten_has_a_price() -> None:
    graph = every_op()
    assert {type(op).__name__ for op in graph.ops} == set(OPS), "a new op: put it into this graph, and price it"
    layers = analyse(graph).layers
    assert {layer.op for layer in layers} == set(OPS) - {"Input", "Flatten", "Unflatten"}
    assert all(layer.cost.operations_pj > 0 for layer in layers if layer.op not in ("Take", "Concat"))
    assert all(layer.float32.operations_pj > 0 for layer in layers if layer.op not in ("Take", "Concat"))
    assert all(layer.cost.accesses_pj > 0 for layer in layers if layer.op in ("Take", "Concat"))


# -- what is done with it ------------------------------------------------------------------------------------------


def test_document_goes_through_json_unchanged_and_holds_the_totals() -> None:
    found = analyse(every_op())
    document = found.document()
    read = json.loads(json.dumps(document))
    assert read["layers"] == list(document["layers"])
    assert read["filters"][0]["kernel"] == [1, 1]
    assert len(document["filters"]) == 2
    assert document["layers"][0]["cost"]["parameter_bytes"] == found.layers[0].cost.parameter_bytes
    assert document["total"]["cost"]["operations_pj"] == found.cost.operations_pj


@pytest.mark.parametrize("graph", [every_op(), linear_graph("b8", "b1")], ids=["with filters", "without"])
def test_plot_is_a_png(graph: Graph, tmp_path: Path) -> None:
    file = tmp_path / "analysis.png"
    plot(analyse(graph), file)
    data = file.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert width > height > 100


def test_analysing_needs_neither_torch_nor_matplotlib() -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['matplotlib'] = None; import binarynet.report.analysis"
    subprocess.run([sys.executable, "-c", code], check=True)
