"""Every op with every encoding that it may read or hold, on every instruction set, against the oracle.

Integer paths are compared with ``==``. A product with a real operand has float32 sums in an order of its own: on
small whole numbers, where every order gives the same sum, it is compared with ``==`` too, and on reals within
`tests.runtime.graphs.TOLERANCE`.
"""

from __future__ import annotations

import numpy as np
import pytest

from binarynet.graph import Encoding, Graph
from binarynet.graph.ir import Conv2d, Flatten, Linear, Threshold
from binarynet.runtime import Session
from tests.runtime.graphs import Maker, assert_engines_agree, assert_engines_are_close

CODES = [f"b{k}" for k in range(1, 9)] + [f"u{k}" for k in range(1, 9)] + [f"i{k}" for k in range(2, 9)] + ["t2"]
OPERANDS = ("b1", "b2", "b8", "u1", "u2", "u8", "i2", "i5", "i8", "t2")
WEIGHTS = ("b1", "b2", "b7", "u1", "u3", "u8", "i2", "i3", "i8", "t2")
DEPTHS, CHANNELS = (1, 63, 64, 65), (1, 31, 33, 65, 200)
SAME = ((1, 1), (1, 1))


def operand(encoding: str, shape: tuple[int, ...], seed: int = 0) -> Maker:
    """A graph whose last value has that encoding and shape, whether or not an input may have it."""
    if encoding == "f32" or encoding[0] in "bu":
        return Maker(shape, encoding, seed)
    if len(shape) == 1:
        make = Maker((9,), "b8", seed)
        make.linear(shape[0])
    else:
        make = Maker((*shape[:2], 3), "b8", seed)
        make.conv(shape[2], (1, 1))
    make.threshold(encoding=encoding)
    return make


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("encoding", OPERANDS)
def test_a_linear_is_exact_for_every_pair_of_integer_operands(encoding, weight):
    for i, depth in enumerate(DEPTHS):
        make = operand(encoding, (depth,), seed=depth)
        make.linear(CHANNELS[i + 1], encoding=weight)
        assert_engines_agree(make.graph(), make.codes((0, 1, 3, 9)[i]), threads=(1,))


@pytest.mark.parametrize("encoding", CODES)
def test_every_encoding_is_an_operand_and_a_weight(encoding):
    for source, weight in ((encoding, "b1"), ("b1", encoding), (encoding, encoding)):
        make = operand(source, (70,))
        make.linear(33, encoding=weight)
        assert_engines_agree(make.graph(), make.codes(3), threads=(1,))


@pytest.mark.parametrize("weight", ["b1", "b3", "u1", "u2", "i2", "i8", "t2"])
@pytest.mark.parametrize("encoding", ["b1", "b3", "u1", "u4", "i3", "i8", "t2"])
def test_a_convolution_is_exact_to_the_border_for_every_pair(encoding, weight):
    values = Encoding.parse(encoding)
    outside = [v for v in (0, 1, -1, values.low, values.high) if v == 0 or v in range(values.low, values.high + 1)]
    if values.kind == "b":
        outside = [v for v in outside if v == 0 or v % 2]
    for pad_value in outside:
        make = operand(encoding, (4, 3, 6), seed=pad_value + 300)
        make.conv(33, (3, 2), (1, 2), (1, 1), ((1, 2), (1, 0)), pad_value, encoding=weight)
        assert_engines_agree(make.graph(), make.codes(2), threads=(1,))


@pytest.mark.parametrize(("channels", "out", "groups"), [(6, 4, 2), (65, 65, 65), (66, 96, 3), (12, 64, 2)])
@pytest.mark.parametrize(
    ("encoding", "weight"), [("u2", "b1"), ("b1", "t2"), ("t2", "t2"), ("i4", "u3"), ("u1", "b1"), ("b1", "u1")]
)
@pytest.mark.parametrize("made", ["i32", "b1", "u1", "u2", "affine"])
def test_groups_and_depthwise_of_every_kind(encoding, weight, channels, out, groups, made):
    make = operand(encoding, (4, 4, channels))
    make.conv(out, padding=SAME, groups=groups, encoding=weight)
    if made == "affine":
        make.affine()
    elif made != "i32":
        make.threshold(encoding=made)
        make.conv(3, (1, 1))
    assert_engines_agree(make.graph(), make.codes(2), threads=(1,))


@pytest.mark.parametrize("source", ["fused", "integers", "reals"])
@pytest.mark.parametrize("encoding", CODES)
def test_a_threshold_makes_every_encoding(encoding, source):
    for i, channels in enumerate(CHANNELS):
        make = Maker((9,), "b8", seed=channels)
        make.linear(channels)
        if source == "integers":
            make.relu()
        if source == "reals":
            make.affine()
        make.threshold(("mixed", "rising", "falling", "extreme", "mixed")[i], encoding=encoding)
        assert_engines_agree(make.graph(), make.codes((3, 1, 0, 3, 17)[i]), threads=(1,))


@pytest.mark.parametrize("weight", ["b1", "t2"])
@pytest.mark.parametrize("encoding", ["b1", "u1", "u2", "u4", "i3", "t2"])
def test_wide_layers_are_made_part_by_part_on_any_number_of_threads(encoding, weight):
    make = Maker((40,), "b8")
    for width in (700, 300):  # more than the accumulators that are kept at a time
        make.linear(width, encoding=weight)
        make.threshold(encoding=encoding)
    make.linear(270, encoding=weight)
    make.affine()
    graph = make.graph()
    for images in (1, 40):
        assert_engines_agree(graph, make.codes(images), threads=(1, 3))


@pytest.mark.parametrize("encoding", ["u3", "t2", "b2"])
def test_levels_count_equality_and_unordered_levels(encoding):
    levels = np.array([5, -3, 5, 0, 2, -9, 2])[: Encoding.parse(encoding).count - 1]
    make = Maker((9,))
    make.ops.append(Linear("acc", ("input",), np.ones((2, 9), np.int8)))
    table = np.stack([levels, levels]).astype(np.int32)
    codes = (np.arange(9) < np.arange(10)[:, None]).astype(np.uint8)  # accumulators −9, −7 … 9
    graph = Graph((*make.ops, Threshold("codes", ("acc",), table, np.array([True, False]), encoding)))
    answer = assert_engines_agree(graph, codes)
    assert len(np.unique(answer[:, 0])) > 2


def test_real_levels_at_zeros_infinities_and_equality():
    specials = np.array([-np.inf, -1.5, -1e-45, -0.0, 0.0, 1e-45, 2.5, np.inf], np.float32)
    table = np.repeat(specials[None, [3, 0, 6]], 2, axis=0)
    for levels, encoding in ((table, "u2"), (np.repeat(specials[None, [1, 4, 5, 7, 2, 6, 0] * 5], 2, 0)[:, :31], "i5")):
        make = Maker((2,), "f32")
        graph = Graph((*make.ops, Threshold("codes", ("input",), levels, np.array([True, False]), encoding)))
        assert_engines_agree(graph, np.stack([specials, specials], axis=1))


@pytest.mark.parametrize("encoding", OPERANDS)
@pytest.mark.parametrize("follow", ["answered", "linear", "max_pool", "sum_pool"])
def test_codes_are_pooled_summed_scaled_flattened_and_answered(encoding, follow):
    make = operand(encoding, (6, 5, 33))
    make.max_pool((3, 2), (2, 1), ((1, 2), (1, 1)))
    if follow.endswith("pool"):
        getattr(make, follow)((2, 2), (1, 2), ((1, 0), (0, 1)))
    if follow != "answered":
        make.flatten()
        make.linear(9, encoding="t2") if follow == "linear" else make.affine()
    assert_engines_agree(make.graph(), make.codes(3))


@pytest.mark.parametrize(("encoding", "weight"), [("i8", "i8"), ("u8", "i8"), ("i8", "b7")])
@pytest.mark.parametrize("code", ["lowest", "highest"])
def test_accumulators_reach_the_ends_of_32_bits(encoding, weight, code):
    make = Maker((510, 257 if encoding == "i8" else 128, 1), "b1")
    shape = make.value().shape
    make.ops.append(Conv2d("one", ("input",), np.ones((1, 1, 1, 1), np.int8)))
    never = -(2**31) if code == "highest" else 2**31 - 1
    make.ops.append(Threshold("codes", ("one",), np.full((1, 255), never, np.int32), np.ones(1, bool), encoding))
    make.ops.append(Flatten("flat", ("codes",)))
    code_range = Encoding.parse(weight)
    ends = np.array([[code_range.low], [code_range.high]], np.int8)
    make.ops.append(Linear("ends", ("flat",), np.repeat(ends, shape[0] * shape[1], axis=1), weight))
    answer = assert_engines_agree(make.graph(), make.codes(1), threads=(1,))
    if (encoding, weight, code) == ("i8", "i8", "lowest"):
        assert answer.max() > 2**31 - 2**16


@pytest.mark.parametrize("weight", [*WEIGHTS, "b3", "f32"])
@pytest.mark.parametrize("encoding", [*OPERANDS, "f32"])
def test_a_product_with_a_real_operand_is_exact_on_whole_numbers_and_close_on_reals(encoding, weight):
    if "f32" not in (encoding, weight):
        return
    for i, depth in enumerate((*DEPTHS, 1100)):
        make = operand(encoding, (depth,), seed=depth)
        make.linear(CHANNELS[i], encoding=weight)
        *before, product = make.ops
        codes = make.codes((9, 0, 1, 3, 6)[i])
        if encoding == "f32" or encoding[0] in "bu":
            assert_engines_are_close(make.graph(), codes, threads=(1,))
        if weight == "f32":
            product = Linear(product.name, product.sources, np.rint(4 * product.weight), "f32")
        whole = np.rint(8 * codes) if encoding == "f32" else codes
        assert_engines_agree(Graph((*before, product)), whole, threads=(1, 2))


@pytest.mark.parametrize(("channels", "out", "groups"), [(3, 33, 1), (6, 4, 2), (65, 65, 65)])
@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize(
    ("encoding", "weight"),
    [("f32", "b1"), ("f32", "t2"), ("f32", "u2"), ("f32", "i4"), ("f32", "f32"), ("b1", "f32"), ("u4", "f32")],
)
def test_a_convolution_with_a_real_operand_to_the_border(encoding, weight, pad_value, channels, out, groups):
    if pad_value and encoding != "f32" and pad_value not in (1, {"b1": -1}.get(encoding)):
        return
    make = Maker((5, 4, channels), encoding, seed=channels)
    make.conv(out, (3, 2), (1, 2), (2, 1), ((2, 1), (0, 1)), pad_value, groups, encoding=weight)
    first, product = make.ops
    codes = make.codes(3)
    assert_engines_are_close(make.graph(), codes)
    whole = np.rint(8 * codes) if encoding == "f32" else codes
    numbers = np.rint(4 * product.weight) if weight == "f32" else product.weight
    fields = (product.stride, product.dilation, product.padding, product.pad_value, product.groups)
    graph = Graph((first, Conv2d("whole", ("input",), numbers, weight, *fields)))
    assert_engines_agree(graph, whole, threads=(1,))


def test_ternary_weights_of_nothing_but_zeros_give_exactly_zero():
    for weight in ("t2", "u2", "i2", "i8"):
        make = Maker((100,), "f32")
        make.ops.append(Linear("zeros", ("input",), np.zeros((3, 100), np.int8), weight))
        assert not np.any(assert_engines_agree(make.graph(), 1e6 * make.codes(3)))


def test_one_by_one_convolutions_on_reals_read_them_in_place():
    make = Maker((4, 5, 70), "f32")
    make.conv(20, (1, 1))
    assert_engines_agree(make.graph(), np.rint(8 * make.codes(3)))
    kernels = Session(make.graph(), isa="portable", kernel="lookup").kernels
    assert kernels["conv1"] == "lookup, 1 plane, 1×1 in place"


@pytest.mark.parametrize("shape", [(5, 4, 33), (33,)])
def test_a_product_with_one_channel_scales_every_channel(shape):
    make = Maker(shape, "f32")
    factor = make.conv(1, (1, 1)) if len(shape) == 3 else make.linear(1)
    make.mul("input", factor)
    make.relu()
    make.prelu()
    assert_engines_agree(make.graph(), np.rint(8 * make.codes(3)))


def test_the_k_map_of_xnor_net_scales_a_binary_convolution():
    make = Maker((6, 6, 5), "f32")
    make.conv(1, (1, 1), encoding="u1")
    k_map = make.sum_pool((3, 3), (1, 1), SAME)
    make.threshold(source="input")
    make.conv(40, padding=SAME)
    make.mul(make.affine(), k_map)
    assert_engines_agree(make.graph(), np.rint(8 * make.codes(3)))


def test_the_kernel_of_each_op_is_named():
    make = Maker((6, 6, 3), "u8")
    make.conv(16, padding=SAME, encoding="t2")
    make.threshold(encoding="u2")
    make.max_pool((2, 2), (2, 2))
    make.flatten()
    make.linear(10, encoding="i3")
    make.affine()
    make.linear(10, encoding="f32")
    assert Session(make.graph(), isa="portable").kernels == {
        "conv1": "popcount, 8 × 2 planes, gathered codes, fused threshold of 3 levels",
        "sign2": "part of conv1",
        "pool3": "codes",
        "linear5": "popcount, 2 × 3 planes, fused affine",
        "affine6": "part of linear5",
        "linear7": "multiply, float32",
    }


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [("lookup", "lookup, 2 planes"), ("multiply", "multiply, bytes"), (None, ("lookup", "multiply"))],
)
def test_the_kernel_of_a_product_of_reals_is_named(kernel, expected):
    make = Maker((70,), "f32")
    make.linear(10, encoding="t2")
    assert Session(make.graph(), isa="portable", kernel=kernel).kernels["linear1"].startswith(expected)


def test_reals_become_codes_before_the_first_product():
    make = Maker((70,), "f32")
    make.threshold(encoding="i4")
    make.linear(65, encoding="t2")
    assert_engines_agree(make.graph(), make.codes(5))
