"""Every product that a graph can hold, by both methods, against the oracle with ==."""

from __future__ import annotations

import numpy as np
import pytest

from binarynet.errors import RuntimeUnavailable
from binarynet.graph import Graph
from binarynet.graph.ir import Input, Linear
from tests.gpu.checks import ALL, assert_gpu_agrees, on_gpu
from tests.runtime.graphs import Maker
from tests.runtime.test_encodings import operand

SAME = ((1, 1), (1, 1))
PADDED = ((1, 2), (1, 0))


@pytest.mark.parametrize("depth", [1, 31, 32, 33, 63, 64, 65, 129])
@pytest.mark.parametrize("encoding", ["b1", "b8"])
def test_a_linear_is_exact_at_every_tail_of_depth_and_channels(encoding, depth):
    channels = {1: 1, 31: 31, 32: 64, 33: 65, 63: 63, 64: 33, 65: 5, 129: 66}[depth]
    make = Maker((depth,), encoding, seed=depth)
    make.linear(channels)
    assert_gpu_agrees(make.graph(), make.codes(2), ALL)


@pytest.mark.parametrize("images", [1, 16, 17, 65])
def test_one_row_and_one_past_a_tile_are_exact(images):
    make = Maker((70,))
    make.linear(70)
    make.threshold()
    make.linear(3)
    assert_gpu_agrees(make.graph(), make.codes(images))


@pytest.mark.parametrize("weight", ["b1", "t2", "i4", "u8", "i8"])
@pytest.mark.parametrize("encoding", ["b1", "b8", "t2", "u8"])
def test_expanded_weights_of_every_encoding_are_exact(encoding, weight):
    make = operand(encoding, (70,))
    make.linear(3, encoding=weight)
    make.threshold()
    assert_gpu_agrees(make.graph(), make.codes(2), ("int8",))


@pytest.mark.parametrize("value", [0, 1])
def test_all_equal_and_all_opposite_rows_reach_the_ends(value):
    weight = np.ones((3, 100), np.int8)
    weight[1] = -1
    graph = Graph((Input("input", (), (100,), "b1"), Linear("acc", ("input",), weight)))
    assert abs(assert_gpu_agrees(graph, np.full((2, 100), value, np.uint8))).min() == 100


@pytest.mark.parametrize("weight", ["b1", "b2", "b7", "u1", "u8", "i2", "i8", "t2"])
@pytest.mark.parametrize("encoding", ["b1", "b2", "u2", "u8", "i4", "t2"])
def test_every_pair_of_integer_operands_is_exact(encoding, weight):
    make = operand(encoding, (35,))
    make.linear(3, encoding=weight)
    assert_gpu_agrees(make.graph(), make.codes(2))


@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize("encoding", ["b1", "b8", "i3"])
def test_a_convolution_is_exact_to_the_border_for_every_padding(encoding, pad_value):
    make = operand(encoding, (4, 3, 5), seed=pad_value + 9)
    make.conv(33, (3, 2), (1, 2), (1, 1), PADDED, pad_value)
    assert_gpu_agrees(make.graph(), make.codes(2), ALL)


@pytest.mark.parametrize(
    ("stride", "dilation", "padding"),
    [((2, 1), (1, 2), SAME), ((1, 1), (2, 1), ((2, 0), (3, 1))), ((3, 2), (1, 1), SAME)],
)
def test_strides_dilations_and_uneven_paddings_are_exact(stride, dilation, padding):
    make = Maker((5, 6, 65))
    make.conv(7, (3, 3), stride, dilation, padding)
    make.threshold()
    make.conv(2, (1, 1))
    assert_gpu_agrees(make.graph(), make.codes(1), ALL)


@pytest.mark.parametrize(("channels", "out", "groups"), [(6, 4, 2), (5, 5, 5), (128, 128, 2), (128, 6, 2)])
@pytest.mark.parametrize("made", ["i32", "b1", "u2"])
def test_groups_are_exact_whether_or_not_they_fill_words(channels, out, groups, made):
    make = Maker((3, 3, channels), seed=groups)
    make.conv(out, padding=SAME, groups=groups)
    if made != "i32":
        make.threshold(encoding=made)
        make.conv(3, (1, 1))
    assert_gpu_agrees(make.graph(), make.codes(2))


@pytest.mark.parametrize("weight", ["b1", "t2", "i5", "f32"])
@pytest.mark.parametrize("encoding", ["f32", "b1", "b8"])
@pytest.mark.parametrize("pad_value", [0, -1])
def test_products_with_a_real_operand_are_exact_where_every_order_of_addition_is(encoding, weight, pad_value):
    if encoding != "f32":
        weight = "f32"
    make = Maker((3, 4, 3), encoding)
    make.reals = lambda *shape: make.random.integers(-8, 9, shape).astype(np.float32)
    make.conv(5, (2, 3), padding=SAME, pad_value=pad_value, encoding=weight)
    make.threshold()
    make.flatten()
    make.linear(2)
    assert_gpu_agrees(make.graph(), make.codes(2))


@pytest.mark.parametrize("encoding", ["f32", "b8"])
def test_real_sums_differ_from_the_oracle_by_rounding_only(encoding):
    make = Maker((70,), encoding)
    make.linear(9, encoding="f32")
    graph, codes = make.graph(), make.codes(3)
    values = codes.astype(np.float32) if encoding == "f32" else 2.0 * codes - 255
    bound = np.abs(values) @ np.abs(graph.ops[1].weight.T)
    expected = values.astype(np.float64) @ graph.ops[1].weight.T.astype(np.float64)
    # 1e-5 · Σ |x · w|, as between instruction sets.
    assert np.all(np.abs(on_gpu(graph, codes) - expected) <= 1e-5 * bound)


def test_a_sum_that_could_leave_32_bits_on_the_way_is_refused_by_name():
    weight = np.full((1, 140_000), 120, np.int8)
    graph = Graph((Input("input", (), (140_000,), "u1"), Linear("wide", ("input",), weight, "i8")))
    with pytest.raises(RuntimeUnavailable, match=r"wide \(Linear\).*140000 codes × i8.*engine='native'"):
        on_gpu(graph, np.zeros((1, 140_000), np.uint8))
