"""The functions of `Apply`: near what they approximate, and the same bits in every engine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from binarynet.export import Options, write
from binarynet.graph import Graph, interpret
from binarynet.graph.functions import FUNCTIONS, apply
from binarynet.graph.ir import Apply, Input
from binarynet.runtime import Session, isa

TRUE = {"sigmoid": lambda x: 1 / (1 + math.exp(-x)), "tanh": math.tanh, "erf": math.erf}
SMOOTH = tuple(TRUE)
ENDS = [
    0.0,
    -0.0,
    0.625,
    -0.625,
    np.nextafter(np.float32(0.625), np.float32(0)),
    1e-45,
    -1e-45,
    1e-38,
    87,
    -88,
    89,
    -1e30,
]
ENDS += [3.4e38, -3.4e38, np.inf, -np.inf, np.nan]


def numbers(count: int = 20_000) -> np.ndarray:
    draw = np.random.default_rng(1)
    spread = draw.normal(size=count) * 10.0 ** draw.uniform(-6, 2.5, count)
    return np.concatenate([spread, np.linspace(-12, 12, count)[: 8 * (count // 8) - len(ENDS)], ENDS]).astype(
        np.float32
    )


def graph(function: str, count: int) -> Graph:
    return Graph((Input("x", (), (count,), "f32"), Apply("y", ("x",), function)))


def test_a_root_is_within_a_unit_of_the_last_place():
    x = np.concatenate([np.exp2(np.random.default_rng(1).uniform(-126, 128, 200_000)), np.arange(1, 5000) ** 2.0])
    x = np.concatenate([x, np.ldexp(1.0, np.arange(-126, 128)), [3.4028235e38]]).astype(np.float32)
    made, true = apply("sqrt", x), np.sqrt(x.astype(np.float64))
    assert (np.abs(made - true) <= np.spacing(true.astype(np.float32))).all()
    assert np.array_equal(made[200_000 : 200_000 + 4999], np.arange(1, 5000))  # of squares


def test_a_root_ends_where_there_is_none():
    x = np.float32(
        [
            0,
            -0.0,
            1e-45,
            np.nextafter(np.float32(2.0**-126), np.float32(0)),
            2.0**-126,
            np.inf,
            -1e-45,
            -1,
            -np.inf,
            np.nan,
        ]
    )
    made = apply("sqrt", x)
    assert np.array_equal(made[:6], np.float32([0, 0, 0, 0, 2.0**-63, np.inf]))
    assert np.isnan(made[6:]).all()


def test_a_reciprocal_is_one_division():
    x = numbers()
    with np.errstate(all="ignore"):
        assert np.array_equal(apply("reciprocal", x), np.float32(1) / x, equal_nan=True)


@pytest.mark.parametrize("function", SMOOTH)
def test_a_function_is_near_what_it_approximates(function):
    x = np.linspace(-20, 20, 4001).astype(np.float32)
    true = np.array([TRUE[function](float(one)) for one in x])
    assert np.abs(apply(function, x) - true).max() < 6e-7
    assert np.isnan(apply(function, np.float32([np.nan])))
    ends = apply(function, np.float32([-np.inf, np.inf]))
    assert np.allclose(ends, [0 if function == "sigmoid" else -1, 1], atol=1e-30)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", isa.available())
def test_the_native_engine_makes_the_same_bits(function, name):
    x = numbers()
    x = x[np.isfinite(x)]
    made = Session(graph(function, len(x)), isa=name, threads=2).logits(x[None])[0]
    assert np.array_equal(made, apply(function, x), equal_nan=True)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_tensors_make_the_same_bits(function):
    torch = pytest.importorskip("torch")
    from binarynet.gpu.reals import OnTensors

    x = numbers()
    made = FUNCTIONS[function](OnTensors(torch.from_numpy(x)), torch.from_numpy(x)).numpy()
    assert np.array_equal(made, apply(function, x), equal_nan=True)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nodes_of_onnx_make_the_same_bits(function, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = numbers()
    path = write(graph(function, len(x)), "onnx", tmp_path, Options("net"))[0]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    made = session.run(None, {"images": x[None]})[0][0]
    assert np.array_equal(made, interpret(graph(function, len(x)), x[None])[0], equal_nan=True)
