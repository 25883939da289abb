"""The native engine against the oracle, op by op, at the edges: words, panels, borders, ends of the range."""

from __future__ import annotations

import numpy as np
import pytest

from binarynet.graph import Graph
from binarynet.graph.ir import Linear, Threshold
from binarynet.runtime import Session
from tests.runtime.graphs import Maker, assert_engines_agree

DEPTHS = (1, 31, 32, 33, 63, 64, 65, 127, 784)
CHANNELS = (1, 3, 31, 33, 64, 65, 200)
SAME = ((1, 1), (1, 1))


@pytest.mark.parametrize("encoding", ["b1", "b3", "b8", "u1", "u4", "u8"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_dot_product_is_exact_for_every_depth_and_input(depth, encoding):
    make = Maker((depth,), encoding, seed=depth)
    make.linear(17)
    assert_engines_agree(make.graph(), make.codes(5))


@pytest.mark.parametrize("encoding", ["b1", "b8", "u8"])
@pytest.mark.parametrize("code", ["lowest", "highest"])
def test_a_dot_product_reaches_both_ends_of_its_range(encoding, code):
    make = Maker((300,), encoding)
    make.ops.append(Linear("ends", ("input",), np.repeat(np.array([[1], [-1]], np.int8), 300, axis=1)))
    top = 255 if encoding.endswith("8") else 1
    codes = np.full((2, 300), top if code == "highest" else 0, np.uint8)
    answer = assert_engines_agree(make.graph(), codes)
    magnitude = 300 * (top if code == "highest" or encoding[0] == "b" else 0)
    assert set(np.abs(answer).ravel()) == {magnitude}


def test_a_long_dot_product_passes_the_places_where_kernels_carry():
    make = Maker((70_001,), "b1")  # more steps than sums of 16 bits hold
    make.linear(33)
    make.threshold()
    make.linear(2)
    assert_engines_agree(make.graph(), make.codes(3))
    make = Maker((66_000,))
    make.ops.append(Linear("ends", ("input",), np.ones((3, 66_000), np.int8)))
    assert_engines_agree(make.graph(), np.zeros((2, 66_000), np.uint8))


@pytest.mark.parametrize("channels", CHANNELS)
def test_hidden_layers_of_every_width(channels):
    make = Maker((100,), "b8", seed=channels)
    for width in (channels, channels, 10):
        make.linear(width)
        make.threshold()
    make.linear(3)
    make.affine()
    assert_engines_agree(make.graph(), make.codes(9))


@pytest.mark.parametrize("images", [0, 1, 2, 3, 4, 5, 7, 100, 300])
def test_every_batch_size_and_order_of_images(images):
    make = Maker((65,), "b8")
    make.linear(70)
    make.threshold()
    make.linear(10)
    make.affine()
    graph, codes = make.graph(), make.codes(images)
    answer = assert_engines_agree(graph, codes, threads=(1, 2, 3))
    assert answer.shape == (images, 10)


@pytest.mark.parametrize("kind", ["mixed", "rising", "falling", "always", "never", "extreme"])
@pytest.mark.parametrize("encoding", ["b1", "b8", "u8"])
def test_thresholds_of_every_kind(kind, encoding):
    make = Maker((77,), encoding)
    make.linear(130)
    make.threshold(kind)
    assert_engines_agree(make.graph(), make.codes(20))


def test_a_threshold_includes_the_accumulator_that_equals_it():
    make = Maker((9,))
    make.ops.append(Linear("acc", ("input",), np.ones((22, 9), np.int8)))
    levels = np.repeat(np.arange(-10, 12), 1).astype(np.int32)[:, None]
    for rising in (True, False):
        graph = Graph((*make.ops, Threshold("sign", ("acc",), levels, np.full(22, rising))))
        codes = (np.arange(9) < np.arange(10)[:, None]).astype(np.uint8)  # accumulators −9, −7 … 9
        assert_engines_agree(graph, codes)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_padded_convolutions_are_exact_to_the_border(channels, pad_value):
    make = Maker((5, 4, channels), seed=channels)
    make.conv(33, padding=SAME, pad_value=pad_value)
    make.threshold()
    make.conv(channels, padding=((2, 0), (1, 2)), pad_value=pad_value)
    make.threshold()
    make.conv(5, padding=SAME, pad_value=pad_value)
    assert_engines_agree(make.graph(), make.codes(3))


@pytest.mark.parametrize("encoding", ["b8", "b3", "u8", "u4"])
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_first_convolutions_on_codes(encoding, channels):
    make = Maker((6, 7, channels), encoding, seed=channels)
    make.conv(20, padding=SAME)
    make.threshold()
    make.conv(3)
    assert_engines_agree(make.graph(), make.codes(3))


@pytest.mark.parametrize("pad_value", [255, -255, 1, -1, 77])
def test_padding_with_a_number_that_is_a_code(pad_value):
    make = Maker((4, 5, 3), "b8")
    make.conv(9, padding=SAME, pad_value=pad_value)
    assert_engines_agree(make.graph(), make.codes(2))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding"),
    [
        ((1, 1), (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0))),
        ((1, 1), (3, 3), (1, 1), (1, 1), SAME),
        ((1, 1), (5, 5), (3, 3), (1, 1), ((2, 2), (2, 2))),
        ((4, 3), (4, 3), (1, 1), (1, 1), ((0, 0), (0, 0))),
        ((4, 3), (4, 3), (1, 1), (1, 1), ((3, 3), (2, 2))),
        ((9, 8), (3, 2), (2, 3), (1, 1), SAME),
        ((9, 8), (3, 3), (1, 1), (3, 2), ((3, 3), (2, 2))),
        ((9, 8), (3, 3), (2, 1), (2, 3), ((4, 0), (0, 7))),
        ((6, 6), (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0))),
        ((6, 6), (1, 1), (2, 2), (1, 1), ((0, 0), (0, 0))),
        ((6, 6), (1, 1), (1, 1), (1, 1), SAME),
        ((3, 3), (2, 2), (1, 1), (1, 1), ((5, 5), (6, 6))),
        ((33, 17), (7, 5), (3, 2), (1, 1), ((3, 3), (2, 2))),
    ],
)
@pytest.mark.parametrize("channels", [3, 64])
def test_windows_of_every_form(channels, size, kernel, stride, dilation, padding):
    for encoding, pad_value in (("b1", 0), ("b1", 1), ("b1", -1), ("b8", 0)):
        make = Maker((*size, channels), encoding)
        make.conv(10, kernel, stride, dilation, padding, pad_value)
        make.threshold()
        assert_engines_agree(make.graph(), make.codes(3), threads=(1,))


@pytest.mark.parametrize(
    ("channels", "out", "groups"),
    [(2, 2, 2), (6, 4, 2), (65, 65, 65), (64, 128, 64), (66, 96, 3), (130, 64, 2), (128, 64, 2)],
)
@pytest.mark.parametrize("encoding", ["b1", "b8"])
def test_groups_and_depthwise(channels, out, groups, encoding):
    make = Maker((5, 5, channels), encoding)
    make.conv(out, padding=SAME, groups=groups)
    make.threshold()
    make.conv(7, (1, 1))
    make.affine()
    assert_engines_agree(make.graph(), make.codes(2))


@pytest.mark.parametrize("kind", ["mixed", "extreme", "always", "never", "integers", "reals"])
@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (4, 4), (7, 5), (8, 8)])
def test_depthwise_counters_of_every_height(kernel, pad_value, kind):
    make = Maker((9, 8, 70), seed=kernel[0])
    make.conv(70, kernel, (1, 2), (1, 1), ((3, 2), (0, 3)), pad_value, groups=70)
    if kind == "reals":
        make.affine()
    elif kind != "integers":
        make.threshold(kind)
    assert_engines_agree(make.graph(), make.codes(2), threads=(2,))


def test_groups_that_keep_float_answers():
    make = Maker((4, 4, 12))
    make.conv(8, padding=SAME, groups=4)
    make.affine()
    assert_engines_agree(make.graph(), make.codes(3))


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("source", ["bits", "integers", "reals", "codes"])
def test_max_pools_with_minimum_and_overlap(channels, source):
    make = Maker((7, 6, channels), "b8" if source == "codes" else "b1", seed=channels)
    if source != "codes":
        make.conv(channels, (1, 1))
    if source == "bits":
        make.threshold()
    if source == "reals":
        make.affine()
    make.max_pool((3, 2), (2, 1), ((1, 2), (1, 1)))
    make.max_pool((2, 2), (2, 2))
    assert_engines_agree(make.graph(), make.codes(3))


@pytest.mark.parametrize("source", ["bits", "integers", "reals", "codes"])
def test_sum_pools_count_the_outside_as_zero(source):
    make = Maker((6, 5, 67), "b8" if source == "codes" else "b1")
    if source != "codes":
        make.conv(67, (1, 1))
    if source == "bits":
        make.threshold()
    if source == "reals":
        make.affine()
    make.sum_pool((3, 3), (2, 2), SAME)
    assert_engines_agree(make.graph(), make.codes(3))


def test_pooling_integers_before_the_threshold():
    make = Maker((8, 8, 3), "b8")
    make.conv(70, padding=SAME)
    make.max_pool((2, 2), (2, 2))
    make.threshold()
    make.conv(70, padding=SAME)
    make.sum_pool((2, 2), (2, 2))
    make.threshold()
    make.sum_pool((2, 2), (1, 1))
    make.affine()
    assert_engines_agree(make.graph(), make.codes(3))


@pytest.mark.parametrize("channels", [1, 7, 64, 65])
def test_flatten_never_changes_the_order(channels):
    make = Maker((3, 2, channels), seed=channels)
    make.flatten()
    make.linear(40)
    make.threshold()
    make.linear(3)
    assert_engines_agree(make.graph(), make.codes(4))


@pytest.mark.parametrize("last", ["codes", "bits", "integers", "reals"])
def test_flattened_values_can_be_thresholded_scaled_or_the_answer(last):
    make = Maker((3, 4, 5), "b8" if last == "codes" else "b1")
    if last in ("integers", "reals"):
        make.conv(5, (2, 2))
    if last == "reals":
        make.affine()
    make.flatten()
    answered = make.graph()
    assert_engines_agree(answered, make.codes(3))
    if last in ("integers", "reals"):
        make.threshold()
        make.linear(6)
    make.affine()
    assert_engines_agree(make.graph(), make.codes(3))


@pytest.mark.parametrize("kind", ["integers", "reals"])
def test_residual_blocks_read_a_value_twice(kind):
    make = Maker((6, 6, 40), "b1")
    trunk = make.conv(40, padding=SAME)
    if kind == "reals":
        trunk = make.affine()
    for _ in range(2):
        make.threshold(source=trunk)
        branch = make.conv(40, padding=SAME)
        if kind == "reals":
            branch = make.affine()
        trunk = make.add(branch, trunk)
    make.relu()
    make.affine()
    make.prelu()
    make.sum_pool((6, 6), (6, 6))
    make.flatten()
    make.threshold()
    make.linear(10)
    make.affine()
    assert_engines_agree(make.graph(), make.codes(3))


def test_a_value_added_to_itself_and_bits_read_by_three_ops():
    make = Maker((5, 5, 33), "b8")
    make.conv(33, padding=SAME)
    bits = make.threshold()
    branches = [make.conv(33, (3, 3), padding=SAME, source=bits), make.conv(33, (1, 1), source=bits)]
    total = make.add(*branches)
    total = make.add(total, total)
    make.affine()
    make.add(make.last, make.affine(source=bits))
    assert_engines_agree(make.graph(), make.codes(2))


def test_real_inputs_are_thresholded_scaled_and_pooled():
    make = Maker((6, 6, 67), "f32")
    make.max_pool((2, 2), (2, 2))
    make.affine()
    make.threshold()
    make.conv(5)
    make.affine()
    assert_engines_agree(make.graph(), make.codes(3))


def test_real_thresholds_include_equality_and_both_zeros():
    make = Maker((4,), "f32")
    levels = np.array([[0.0], [-0.0], [np.inf], [-np.inf]], np.float32)
    graph = Graph((*make.ops, Threshold("sign", ("input",), levels, np.array([True, False, True, True]))))
    codes = np.array([[0.0] * 4, [-0.0] * 4, [1e-45] * 4, [-1e-45] * 4, [np.inf] * 4, [-np.inf] * 4], np.float32)
    assert_engines_agree(graph, codes)


def test_an_affine_rounds_twice_and_is_never_fused():
    make = Maker((501,))
    make.linear(4096)
    make.affine()
    graph, codes = make.graph(), make.codes(30)
    assert_engines_agree(graph, codes)
    acc = Session(Graph(graph.ops[:-1])).logits(codes).astype(np.float64)
    once = (acc * graph.ops[-1].scale.astype(np.float64) + graph.ops[-1].offset).astype(np.float32)
    assert np.any(once != Session(graph).logits(codes)), "the numbers do not tell one rounding from two"


@pytest.mark.parametrize("encoding", ["b1", "b8", "u8", "f32"])
@pytest.mark.parametrize("shape", [(7,), (2, 3, 5)])
def test_a_graph_of_an_input_alone_answers_its_numbers(shape, encoding):
    make = Maker(shape, encoding)
    assert_engines_agree(make.graph(), make.codes(3))


def test_fused_ops_name_the_op_that_makes_them():
    make = Maker((6, 6, 3), "b8")
    make.conv(16, padding=SAME)
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.flatten()
    make.linear(10)
    make.affine()
    kernels = Session(make.graph(), isa="portable").kernels
    assert kernels["conv1"] == "popcount, 8 planes, gathered codes, exact zero padding, fused threshold"
    assert kernels["sign2"] == "part of conv1"
    assert kernels["pool3"] == "words, or / and"
    assert kernels["affine6"] == "part of linear5"
