"""Whole graphs: what stands between products, fused and not, and the paper's kinds of networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from binarynet.errors import RuntimeUnavailable
from binarynet.gpu import Network
from binarynet.graph import Encoding, Graph
from binarynet.graph.ir import Linear, MaxPool2d, SumPool2d, Threshold
from tests.export.graphs import gates, moved, pictured, pixels_within_words
from tests.gpu.checks import ALL, DEVICE, assert_gpu_agrees
from tests.graph.graphs import small_convnet, small_mlp
from tests.runtime.graphs import Maker

SAME = ((1, 1), (1, 1))
KINDS = ["mixed", "rising", "falling", "always", "never", "extreme"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fused_threshold_packs_bits_whose_tail_is_zero(kind):
    make = Maker((33,))
    make.linear(65)
    make.threshold(kind)
    make.linear(3)
    assert_gpu_agrees(make.graph(), make.codes(3))


@pytest.mark.parametrize("source", ["fused", "integers", "reals"])
@pytest.mark.parametrize("encoding", ["b1", "b3", "b8", "u1", "u4", "u8", "i2", "i8", "t2"])
def test_a_threshold_makes_every_encoding(encoding, source):
    make = Maker((9,), "b8")
    make.linear(33)
    if source == "integers":
        make.relu()
    if source == "reals":
        make.affine()
    make.threshold(encoding=encoding)
    assert_gpu_agrees(make.graph(), make.codes(3), ("dot",))


@pytest.mark.parametrize("encoding", ["u3", "t2", "b2"])
def test_levels_in_no_order_and_equal_ones_are_counted_one_by_one(encoding):
    levels = np.array([5, -3, 5, 0, 2, -9, 2])[: Encoding.parse(encoding).count - 1].astype(np.int32)
    make = Maker((9,))
    make.ops.append(Linear("acc", ("input",), np.ones((2, 9), np.int8)))
    graph = Graph(
        (*make.ops, Threshold("codes", ("acc",), np.stack([levels, levels]), np.array([True, False]), encoding))
    )
    assert_gpu_agrees(graph, (np.arange(9) < np.arange(10)[:, None]).astype(np.uint8))  # accumulators −9, −7 … 9


@pytest.mark.parametrize("encoding", ["b1", "b8", "u2"])
def test_an_affine_rounds_twice_as_the_oracle_does(encoding):
    make = Maker((130,), encoding)
    make.linear(40)
    make.affine()
    assert_gpu_agrees(make.graph(), make.codes(20))


def test_accumulators_past_24_bits_become_the_nearest_float():
    make = Maker((650,), "u8")
    make.ops.append(Linear("acc", ("input",), np.full((3, 650), 127, np.int8), "i8"))
    make.last = "acc"
    graph, codes = make.graph(), np.full((2, 650), 255, np.uint8)
    codes[:, :2] = [[254, 5], [3, 8]]
    odd = assert_gpu_agrees(graph, codes, ("dot",))
    assert (odd > 2**24).all()
    assert (odd % 2).any()
    make.affine()
    assert_gpu_agrees(make.graph(), codes, ("dot",))


def test_accumulators_that_two_ops_read_are_kept():
    make = Maker((40,))
    acc = make.linear(40)
    make.threshold(source=acc)
    second = make.linear(40)
    make.add(acc, second)
    assert_gpu_agrees(make.graph(), make.codes(3))


@pytest.mark.parametrize("channels", [1, 33, 64, 65])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((2, 2), (2, 2), ((0, 0), (0, 0))), ((3, 2), (2, 1), ((1, 1), (1, 0)))]
)
def test_pools_on_bits_take_the_largest_or_the_smallest(channels, kernel, stride, padding):
    make = Maker((5, 4, channels), seed=channels)
    make.max_pool(kernel, stride, padding)
    assert_gpu_agrees(make.graph(), make.codes(3), ("dot",))


@pytest.mark.parametrize("source", ["b1", "b8", "u2", "i32", "f32"])
def test_pools_take_every_encoding(source):
    make = Maker((5, 4, 3), {"i32": "b1"}.get(source, source))
    if source == "i32":
        make.conv(3)
    make.max_pool((2, 2), (1, 2), ((1, 0), (1, 1)))
    make.sum_pool((2, 2), (2, 1), ((0, 1), (1, 0)))
    assert_gpu_agrees(make.graph(), make.codes(2), ("dot",))


def test_real_sums_under_a_window_are_added_in_the_oracles_order():
    make = Maker((6, 6, 5), "f32")
    make.sum_pool((3, 3), (2, 2), SAME)
    assert_gpu_agrees(make.graph(), make.codes(4), ("dot",))


@pytest.mark.parametrize("channels", [3, 64])
@pytest.mark.parametrize("encoding", ["b1", "u2", "f32"])
def test_flattening_keeps_the_order_whether_or_not_channels_fill_words(channels, encoding):
    make = Maker((2, 3, channels), encoding)
    make.flatten()
    if encoding != "f32":
        make.linear(4)
    assert_gpu_agrees(make.graph(), make.codes(2))


def test_a_residual_network_with_real_ends():
    make = Maker((4, 4, 3), "b8")
    make.reals = lambda *shape: (make.random.integers(-8, 9, shape) / 4).astype(np.float32)
    make.conv(6, padding=SAME)
    first = make.affine()
    make.threshold(source=first)
    make.conv(6, padding=SAME)
    second = make.affine()
    make.add(first, second)
    make.prelu()
    make.relu()
    make.sum_pool((4, 4), (4, 4))
    make.flatten()
    make.affine()
    assert_gpu_agrees(make.graph(), make.codes(2))


def test_a_map_of_scales_multiplies_every_channel():
    make = Maker((3, 3, 4), "f32")
    factor = make.conv(1, (1, 1), encoding="f32")
    make.mul("input", factor)
    make.ops[1] = type(make.ops[1])(factor, ("input",), np.ones((1, 1, 1, 4), np.float32), "f32")
    make.reals = lambda *shape: make.random.integers(-4, 5, shape).astype(np.float32)
    assert_gpu_agrees(make.graph(), make.codes(2), ("dot",))


@pytest.mark.parametrize("graph", [small_mlp(features=70, hidden=66), small_convnet(filters=5)], ids=["mlp", "convnet"])
def test_the_papers_mlp_and_convnet(graph):
    for images, methods in ((1, ALL), (3, ("dot",))):
        codes = np.random.default_rng(images).integers(0, 256, (images, *graph.input.shape)).astype(np.uint8)
        assert_gpu_agrees(graph, codes, methods)


@pytest.mark.parametrize("make", [gates, moved, pixels_within_words], ids=lambda make: make.__name__)
def test_what_only_moves_or_gates_values_agrees(make):
    made = make()
    assert_gpu_agrees(made.graph(), made.codes(3), ("dot",))


def test_weights_lie_packed_once_until_a_method_wants_them_otherwise():
    # Two words a row, so that what is turned round is a copy.
    graph, packed = small_mlp(features=128, hidden=128), 128 * 128 // 8 + 3 * 128 // 8
    codes = np.zeros((20, 128), np.uint8)
    held = {}
    for method in ("dot", "xnor", "int8"):
        network = Network(graph, DEVICE, method)
        assert network.bytes == packed
        network(torch.from_numpy(codes).to(DEVICE))
        held[method] = network.bytes
    assert held == {"dot": packed, "xnor": 2 * packed, "int8": 9 * packed}


def test_an_unknown_method_is_named():
    with pytest.raises(RuntimeUnavailable, match="unknown method 'magic'; there are 'xnor', 'dot', 'int8', 'wgmma'"):
        Network(small_mlp(), DEVICE, "magic")


def test_every_op_of_a_graph_runs():
    from binarynet.gpu.network import _STEPS
    from binarynet.graph.ir import OPS

    missing = set(OPS) - {op.__name__ for op in _STEPS} - {"Input", "Linear", "Conv2d"}
    assert not missing
    assert {MaxPool2d, SumPool2d} <= set(_STEPS)


def test_vectors_become_images_and_roots_are_the_same_bits():
    made = pictured()
    assert_gpu_agrees(made.graph(), made.codes(9))
