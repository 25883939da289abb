"""The oracle against a second one that adds products up in int64 (`tests.graph.plain`), where sums are large."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binarynet.graph import Encoding, Graph, interpret
from binarynet.graph.interpret import exact_matmul
from binarynet.graph.ir import Apply, Conv2d, Input, Linear
from tests.export.graphs import MAKERS, wide_nets
from tests.graph import plain

WEIGHTS = ("b1", "b2", "b4", "b7", "b8", "u1", "u4", "u7", "u8", "i2", "i4", "i8", "t2")
CODES = ("b1", "b8", "u1", "u8")


def ends(encoding: str, *shape: int, seed: int = 0) -> np.ndarray:
    """Weights that are mostly the encoding's most negative and largest values, −128 among them."""
    code = Encoding.parse(encoding)
    low, high = max(code.low, -128 + (code.kind == "b")), min(code.high, 127)
    return np.random.default_rng(seed).choice(np.array([low, low, low, high, code.low % 2], np.int8), shape)


@pytest.mark.parametrize("depth", [1, 63, 64, 65, 1023, 16_000])
@pytest.mark.parametrize("weights", ["b8", "i8", "u8"])
@pytest.mark.parametrize("encoding", ["b8", "u8"])
def test_sums_past_single_precision_are_exact_for_the_largest_weights(depth, weights, encoding):
    """The bound of a product was taken of |−128| in int8, which is −128: 60 of 64 answers at depth 16,000 were off."""
    rng = np.random.default_rng(depth)
    weight = ends(weights, 8, depth)
    weight[0] = weight.min()
    graph = Graph((Input("x", (), (depth,), encoding), Linear("l", ("x",), weight, weights)))
    codes = rng.integers(200, 256, (8, depth)).astype(np.uint8)
    codes[0], codes[1] = 255, 0
    found = interpret(graph, codes)
    assert found.dtype == np.int32
    assert np.array_equal(found, plain.answer(graph, codes))


def test_weights_of_minus_128_alone():
    weight = np.full((64, 16_000), -128, np.int8)
    x = np.random.default_rng(0).integers(0, 256, (1, 16_000), np.int32)
    assert np.array_equal(exact_matmul(x, weight), x.astype(np.int64) @ weight.T.astype(np.int64))
    assert np.array_equal(exact_matmul(x.astype(np.int16), weight), x.astype(np.int64) @ weight.T.astype(np.int64))


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(st.data())
def test_any_product_of_any_encodings_is_exact(data):
    encoding, weights = data.draw(st.sampled_from(CODES)), data.draw(st.sampled_from(WEIGHTS))
    depth = data.draw(st.sampled_from([1, 3, 64, 65, 300, 4607, 16_000]))
    seed = data.draw(st.integers(0, 2**16))
    weight = ends(weights, 5, depth, seed=seed)
    if weights != "t2" and Encoding.parse(weights).kind == "b":
        weight |= 1
    graph = Graph((Input("x", (), (depth,), encoding), Linear("l", ("x",), weight, weights)))
    top = Encoding.parse(encoding).count
    codes = np.random.default_rng(seed).choice(np.array([0, top - 1, top - 1, top // 2]), (3, depth)).astype(np.uint8)
    assert np.array_equal(interpret(graph, codes), plain.answer(graph, codes))


def test_a_convolution_of_minus_128_is_exact():
    weight = np.full((2, 3, 3, 400), -128, np.int8)
    graph = Graph((Input("x", (), (4, 5, 400), "u8"), Conv2d("c", ("x",), weight, "i8", padding=((1, 1), (0, 2)))))
    codes = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 400)).astype(np.uint8)
    assert np.array_equal(interpret(graph, codes), plain.answer(graph, codes))


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(wide_nets())
def test_any_net_of_any_encodings_answers_as_the_second_oracle(make):
    codes = make.codes(2)
    assert np.array_equal(interpret(make.graph(), codes), plain.answer(make.graph(), codes))


@pytest.mark.parametrize("maker", MAKERS, ids=lambda m: m.__name__)
def test_every_kind_of_net_answers_as_the_second_oracle(maker):
    graph, codes = maker().graph(), maker().codes(3)
    functions = any(isinstance(op, Apply) for op in graph.ops)  # what the formulas approximate, to a few units
    np.testing.assert_allclose(interpret(graph, codes), plain.answer(graph, codes), 0, 1e-6 * functions)
