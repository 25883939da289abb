"""The oracle against plain loops over single numbers, written from the definitions."""

import itertools

import numpy as np
import pytest

from binarynet.graph import Encoding, Graph, interpret
from binarynet.graph.interpret import decode, exact_matmul
from binarynet.graph.ir import (
    Add,
    Affine,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    PRelu,
    Relu,
    SumPool2d,
    Threshold,
)


def one(op, encoding, images):
    return interpret(Graph((Input("x", (), images.shape[1:], encoding), op)), images)


def slow_conv(x, op):
    (top, _), (left, _) = op.padding
    n, height, width, _ = x.shape
    out, kernel_height, kernel_width, in_group = op.weight.shape
    rows = (height + sum(op.padding[0]) - op.dilation[0] * (kernel_height - 1) - 1) // op.stride[0] + 1
    columns = (width + sum(op.padding[1]) - op.dilation[1] * (kernel_width - 1) - 1) // op.stride[1] + 1
    acc = np.zeros((n, rows, columns, out), int)
    for i, r, c, o in itertools.product(range(n), range(rows), range(columns), range(out)):
        group = o // (out // op.groups)
        for kr, kc, ch in itertools.product(range(kernel_height), range(kernel_width), range(in_group)):
            y = r * op.stride[0] + kr * op.dilation[0] - top
            z = c * op.stride[1] + kc * op.dilation[1] - left
            inside = 0 <= y < height and 0 <= z < width
            value = x[i, y, z, group * in_group + ch] if inside else op.pad_value
            acc[i, r, c, o] += int(value) * int(op.weight[o, kr, kc, ch])
    return acc


@pytest.mark.parametrize("encoding", ["b1", "b2", "u3", "b8"])
@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"padding": ((1, 1), (1, 1)), "pad_value": 0},
        {"padding": ((2, 0), (1, 3)), "stride": (2, 1)},
        {"dilation": (2, 1), "padding": ((1, 1), (0, 0))},
        {"groups": 2},
        {"padding": ((1, 0), (0, 1)), "pad_value": 1},
    ],
)
def test_convolution_is_the_sum_over_the_window(encoding, geometry):
    rng = np.random.default_rng(0)
    code = Encoding.parse(encoding)
    codes = rng.integers(0, 2**code.bits, (2, 6, 5, 4)).astype(np.uint8)
    weight = rng.choice(np.array([-1, 1], np.int8), (6, 3, 2, 4 // geometry.get("groups", 1)))
    op = Conv2d("conv", ("x",), weight, **geometry)
    assert np.array_equal(one(op, encoding, codes), slow_conv(decode(codes, code), op))


@pytest.mark.parametrize(("name", "expected"), [("b1", [-1, 1]), ("b2", [-3, -1, 1, 3]), ("u2", [0, 1, 2, 3])])
def test_codes_mean_what_the_table_says(name, expected):
    encoding = Encoding.parse(name)
    assert decode(np.arange(2**encoding.bits), encoding).tolist() == expected


def test_a_byte_is_twice_itself_minus_255():
    every = np.arange(256)
    assert np.array_equal(decode(every.astype(np.uint8), Encoding.parse("b8")), 2 * every - 255)


@pytest.mark.parametrize("depth", [1, 63, 64, 65, 4607, 300_000])
def test_matmul_is_exact_beyond_what_single_precision_holds(depth):
    rng = np.random.default_rng(depth)
    x = rng.integers(0, 256, (3, depth)) * 2 - 255
    x[0] = 255
    weight = rng.choice([-1, 1], (4, depth))
    weight[0] = 1
    assert np.array_equal(exact_matmul(x.astype(np.int32), weight.astype(np.int8)), x @ weight.T)


def test_threshold_counts_the_levels_reached_and_falling_channels_turn_it_round():
    x = np.arange(-4, 5, dtype=np.float32)[:, None].repeat(2, 1)
    levels = np.array([[-2.0, 0.0, 3.0]] * 2, np.float32)
    answer = one(Threshold("t", ("x",), levels, np.array([True, False]), "u2"), "f32", x)
    assert answer[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert np.array_equal(answer[:, 1], 3 - answer[:, 0])


@pytest.mark.parametrize(("encoding", "values"), [("b2", [-3, -1, 1, 3]), ("i2", [-2, -1, 0, 1]), ("t2", [-1, 0, 1])])
def test_a_threshold_makes_the_values_of_its_encoding_in_order(encoding, values):
    x = np.arange(len(values), dtype=np.float32)[:, None]
    levels = np.arange(1, len(values), dtype=np.float32)[None]
    assert one(Threshold("t", ("x",), levels, np.ones(1, bool), encoding), "f32", x)[:, 0].tolist() == values


def test_mul_broadcasts_one_channel():
    x = np.array([[2.0, -3.0]], np.float32)
    ones = np.ones((1, 2), np.int8)
    graph = Graph((Input("x", (), (2,), "f32"), Linear("sum", ("x",), ones), Mul("product", ("x", "sum"))))
    assert interpret(graph, x).tolist() == [[-2.0, 3.0]]


def test_one_level_is_a_sign_with_zero_on_the_plus_side():
    x = np.array([[-1.0], [-0.0], [0.0], [1.0]], np.float32)
    threshold = Threshold("t", ("x",), np.zeros((1, 1), np.float32), np.ones(1, bool))
    assert one(threshold, "f32", x)[:, 0].tolist() == [-1, 1, 1, 1]


def test_affine_rounds_twice():
    third, tenth = np.float32(1 / 3), np.float32(0.1)
    x = np.array([[7.0]], np.float32)
    answer = one(Affine("a", ("x",), np.array([third]), np.array([tenth])), "f32", x)
    assert answer[0, 0] == np.float32(np.float32(np.float32(7) * third) + tenth)


def test_pools_take_the_largest_or_the_smallest_and_outside_never_wins():
    codes = np.random.default_rng(0).integers(0, 2, (2, 5, 5, 2)).astype(np.uint8)
    op = MaxPool2d("p", ("x",), (3, 3), (2, 2), np.array([False, True]), ((1, 1), (1, 1)))
    answer = one(op, "b1", codes)
    x = decode(codes, Encoding.parse("b1"))
    for i, r, c in itertools.product(range(2), range(3), range(3)):
        under = x[i, max(0, 2 * r - 1) : 2 * r + 2, max(0, 2 * c - 1) : 2 * c + 2]
        assert answer[i, r, c, 0] == under[..., 0].max()
        assert answer[i, r, c, 1] == under[..., 1].min()


def test_sums_count_outside_as_zero():
    codes = np.ones((1, 2, 2, 1), np.uint8)
    op = SumPool2d("p", ("x",), (2, 2), (1, 1), ((1, 1), (1, 1)))
    assert one(op, "b1", codes)[0, ..., 0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


def test_rectifiers_and_flatten():
    x = np.array([[[[-2.0, 3.0], [4.0, -5.0]]]], np.float32)
    assert one(Relu("r", ("x",)), "f32", x).ravel().tolist() == [0, 3, 4, 0]
    assert one(PRelu("p", ("x",), np.array([0.5, 2], np.float32)), "f32", x).ravel().tolist() == [
        -1,
        3,
        4,
        -10,
    ]
    assert one(Flatten("f", ("x",)), "f32", x).tolist() == [[-2, 3, 4, -5]]


def test_add_sums_two_values():
    x = np.array([[1.5, -2.0]], np.float32)
    graph = Graph((Input("x", (), (2,), "f32"), Relu("r", ("x",)), Add("sum", ("x", "r"))))
    assert interpret(graph, x).tolist() == [[3.0, -2.0]]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_any_batch_including_none(n):
    codes = np.zeros((n, 4, 4, 1), np.uint8)
    weight = np.ones((2, 3, 3, 1), np.int8)
    assert one(Conv2d("c", ("x",), weight), "b1", codes).shape == (n, 2, 2, 2)
