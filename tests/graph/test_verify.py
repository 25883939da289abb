"""Every rule of a well-formed graph has its own message, which names the op."""

import numpy as np
import pytest

from binarynet.errors import GraphError
from binarynet.graph import Encoding, Graph, interpret, trace, verify
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
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
)
from tests.graph.graphs import small_convnet, small_mlp

IMAGE = Input("x", (), (6, 5, 4), "b1")
VECTOR = Input("x", (), (4,), "b1")
REAL = Input("x", (), (4,), "f32")
ZERO = np.zeros(1, np.int32)


def ones(*shape):
    return np.ones(shape, np.int8)


def row(*places):
    return np.array(places, np.int32)


def conv(**fields):
    return Graph((IMAGE, Conv2d("c", ("x",), **({"weight": ones(2, 3, 3, 4)} | fields))))


WRONG = {
    "at least an Input": Graph(()),
    "one Input, and it stands first": Graph((Flatten("f", ("x",)),)),
    "l.*: the name is used twice|l \\(Linear\\): the name": Graph(
        (VECTOR, Linear("l", ("x",), ones(4, 4)), Linear("l", ("x",), ones(4, 4)))
    ),
    "reads 'y', which is not made": Graph((VECTOR, Linear("l", ("y",), ones(4, 4)))),
    "reads 2 values, needs 1": Graph((VECTOR, Linear("l", ("x", "x"), ones(4, 4)))),
    "nothing reads it": Graph((VECTOR, Linear("l", ("x",), ones(3, 4)), Linear("m", ("x",), ones(3, 4)))),
    "an op needs a name": Graph((Input("", (), (4,), "b1"),)),
    "unknown encoding 'b0'": Graph((Input("x", (), (4,), "b0"),)),
    "an input is b1": Graph((Input("x", (), (4,), "t2"),)),
    "an input is \\(features,\\)": Graph((Input("x", (), (4, 4), "b1"),)),
    "every size must be positive": Graph((Input("x", (), (0,), "b1"),)),
    "put a Flatten before it": Graph((IMAGE, Linear("l", ("x",), ones(2, 120)))),
    "weights for 3 inputs, reads 4": Graph((VECTOR, Linear("l", ("x",), ones(2, 3)))),
    "int8 array of rank 2": Graph((VECTOR, Linear("l", ("x",), np.ones((2, 4), np.float32)))),
    "values that b1 does not have": Graph((VECTOR, Linear("l", ("x",), 0 * ones(2, 4)))),
    "weights are b1": Graph((VECTOR, Linear("l", ("x",), ones(2, 4), "i32"))),
    "a Threshold or an Affine must stand between": Graph(
        (VECTOR, Linear("l", ("x",), ones(2, 4)), Linear("m", ("l",), ones(2, 2)))
    ),
    "does not fit 32 bits": Graph((Input("x", (), (2**24,), "b8"), Linear("l", ("x",), ones(1, 2**24)))),
    "does not fit an image of 6×5": conv(dilation=(3, 1)),
    "stride must be": conv(stride=(0, 1)),
    "padding must be numbers": conv(padding=((-1, 0), (0, 0))),
    "groups must divide both": conv(groups=3),
    "pad_value 2 is neither 0 nor": conv(pad_value=2),
    "needs an image": Graph((VECTOR, Conv2d("c", ("x",), ones(1, 1, 1, 4)))),
    "reads b1; a threshold reads": Graph(
        (VECTOR, Threshold("t", ("x",), np.zeros((4, 1), np.int32), np.ones(4, bool)))
    ),
    "thresholds must be float32 of shape \\(4, 1\\)": Graph(
        (REAL, Threshold("t", ("x",), np.zeros((4, 1), np.int32), np.ones(4, bool)))
    ),
    "thresholds must be float32 of shape \\(4, 3\\)": Graph(
        (REAL, Threshold("t", ("x",), np.zeros((4, 1), np.float32), np.ones(4, bool), "u2"))
    ),
    "a threshold is not a number": Graph(
        (REAL, Threshold("t", ("x",), np.full((4, 1), np.nan, np.float32), np.ones(4, bool)))
    ),
    "rising must be bool": Graph((REAL, Threshold("t", ("x",), np.zeros((4, 1), np.float32), np.ones(3, bool)))),
    "makes i32": Graph((REAL, Threshold("t", ("x",), np.zeros((4, 3), np.float32), np.ones(4, bool), "i32"))),
    "or 1 in places": Graph((REAL, Take("t", ("x",), ZERO, ZERO, row(0, 1, 2)), Mul("m", ("x", "t")))),
    "both must be f32, and": Graph((VECTOR, Mul("m", ("x", "x")))),
    "function 'sin' is unknown": Graph((REAL, Apply("f", ("x",), "sin"))),
    "Apply\\): reads b1": Graph((VECTOR, Apply("f", ("x",), "tanh"))),
    "channels must be a non-empty row of int32": Graph((REAL, Take("t", ("x",), ZERO, ZERO, np.zeros(1, np.int64)))),
    "rows must be a non-empty row of int32": Graph((IMAGE, Take("t", ("x",), ZERO[:0], ZERO, ZERO))),
    "channels holds places from 0 to 4": Graph((REAL, Take("t", ("x",), ZERO, ZERO, row(0, 4)))),
    "columns holds places from -2": Graph((IMAGE, Take("t", ("x",), ZERO, row(-2), ZERO))),
    "makes a 0, and b1 has none": Graph((VECTOR, Take("t", ("x",), ZERO, ZERO, row(0, -1)))),
    "reads 1 values, needs 2 or more": Graph((REAL, Concat("c", ("x",)))),
    "one height, width and encoding": Graph(
        (
            REAL,
            Apply("f", ("x",), "tanh"),
            Threshold("t", ("x",), np.zeros((4, 1), np.float32), np.ones(4, bool)),
            Concat("c", ("f", "t")),
        )
    ),
    "scale holds a number that is not finite": Graph(
        (REAL, Affine("a", ("x",), np.full(4, np.inf, np.float32), np.zeros(4, np.float32)))
    ),
    "reaches past the kernel": Graph(
        (IMAGE, MaxPool2d("p", ("x",), (2, 2), (1, 1), np.zeros(4, bool), ((2, 0), (0, 0))))
    ),
    "minimum must be bool": Graph((IMAGE, MaxPool2d("p", ("x",), (2, 2), (2, 2), np.zeros(3, bool)))),
    "kernel must be": Graph((IMAGE, SumPool2d("p", ("x",), (0, 2), (2, 2)))),
    "both must be i32 or both f32": Graph((VECTOR, Add("a", ("x", "x")))),
    "Relu\\): reads b1": Graph((VECTOR, Relu("r", ("x",)))),
    "makes \\(2, 2\\) of 4 f32": Graph((REAL, Unflatten("u", ("x",), (2, 2)))),
    "vector of as many numbers": Graph((REAL, Unflatten("u", ("x",), (1, 2, 3)))),
    "makes \\(-1, -4, 1\\)": Graph((REAL, Unflatten("u", ("x",), (-1, -4, 1)))),
    "of 6×5×4 b1; it makes": Graph((IMAGE, Unflatten("u", ("x",), (6, 5, 4)))),
    "Unflatten\\): reads b1": Graph((VECTOR, Unflatten("u", ("x",), (2, 2, 1)))),
    "PRelu\\): reads b1": Graph((VECTOR, PRelu("r", ("x",), np.ones(4, np.float32)))),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_broken_rule_names_the_op_and_what_is_wrong(message):
    with pytest.raises(GraphError, match=message):
        verify(WRONG[message])


def test_verify_returns_the_type_of_every_value():
    types = {name: str(value) for name, value in verify(small_convnet()).items()}
    assert types == {
        "input": "6×6×3 b8",
        "conv1": "6×6×7 i32",
        "sign1": "6×6×7 b1",
        "pool1": "3×3×7 b1",
        "flatten": "63 b1",
        "classes": "4 i32",
    }


@pytest.mark.parametrize("graph", [small_mlp(), small_convnet()])
def test_no_value_exceeds_its_bound(graph):
    images = np.random.default_rng(0).integers(0, 2, (50, *graph.input.shape)).astype(np.uint8) * 255
    types = verify(graph)
    for name, array in trace(graph, images).items():
        assert types[name].encoding.is_float or np.abs(array).max() <= types[name].bound


@pytest.mark.parametrize("name", ["b0", "b9", "b01", "u", "i1", "t1", "f16", "", "x8", "b１"])
def test_names_that_are_no_encoding_are_refused(name):
    with pytest.raises(ValueError, match="unknown encoding"):
        Encoding.parse(name)


def test_interpret_is_the_last_value():
    graph = small_mlp()
    assert interpret(graph, np.zeros((2, 10), np.uint8)).shape == (2, 3)
