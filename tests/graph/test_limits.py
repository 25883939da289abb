"""What a file may ask of a machine: small files that ask for much are refused before any of it is made."""

from itertools import pairwise

import numpy as np
import pytest

from binarynet.errors import FormatError, GraphError
from binarynet.format import from_bytes, load, save, to_bytes
from binarynet.graph import Graph, Limits, verify
from binarynet.graph.ir import Add, Conv2d, Input, MaxPool2d, Relu, SumPool2d, Threshold
from binarynet.runtime import load as load_session
from tests import memory

ONE = np.ones((1, 1, 1, 1), np.int8)


def relus(count):
    names = ["x", *(f"r{k}" for k in range(count))]
    return Graph((Input("x", (), (2,), "f32"), *(Relu(b, (a,)) for a, b in pairwise(names))))


def pixel(**fields):
    return Graph((Input("x", (), (1, 1, 1), "b1"), Conv2d("c", ("x",), ONE, **fields)))


def image(side, op):
    return Graph((Input("x", (), (side, side, 1), "b1"), op))


def doubled(times):
    """A value that is added to itself again and again: few ops, no tensors."""
    names = ["x", *(f"a{k}" for k in range(times))]
    sums = (Add(made, (read, read)) for read, made in pairwise(names))
    return Graph((Input("x", (), (4096, 4096, 1), "f32"), *sums))


HOSTILE = {
    "ops=10001": relus(10_000),
    "values=1600080002": pixel(padding=((20_000, 20_000), (20_000, 20_000))),
    "memory=68720525357": pixel(padding=((2**16, 2**16), (2**16, 2**16)), stride=(2**16, 2**16)),
    "macs=563254250000": image(2000, SumPool2d("s", ("x",), (500, 500), (1, 1))),
    "macs=14207956900": image(4000, MaxPool2d("s", ("x",), (30, 30), (1, 1), np.zeros(1, bool))),
    "values=167772160": doubled(9),
    "values=2147483647": Graph((Input("x", (), (2**31 - 1,), "b8"),)),
}


@pytest.mark.parametrize("asked", HOSTILE)
def test_a_small_file_that_asks_for_much_is_refused_at_once(asked):
    blob = to_bytes(HOSTILE[asked])
    with memory.at_most(20 * len(blob) + 2**20), pytest.raises(FormatError, match=asked):
        from_bytes(blob)


def test_the_way_out_that_the_message_names_works(tmp_path, monkeypatch):
    graph = Graph((Input("x", (), (2**27 + 1,), "f32"), Relu("r", ("x",)), Relu("s", ("r",))))
    save(graph, tmp_path / "m.bnn")
    with pytest.raises(FormatError, match=r"x \(Input\): .*limits=Limits\(values=402653187, memory=1610612748\)"):
        load(tmp_path / "m.bnn")
    limits = Limits(values=402653187, memory=1610612748)
    assert verify(load(tmp_path / "m.bnn", limits=limits))
    assert load_session(tmp_path / "m.bnn", limits=limits).input_shape == (2**27 + 1,)
    monkeypatch.setenv("BINARYNET_LIMITS", "values=402653187,memory=1610612748")
    load_session(tmp_path / "m.bnn")


@pytest.mark.parametrize(
    ("text", "message"), [("mac=3", "no limit is called 'mac'"), ("macs", "is not NAME=NUMBER"), ("macs=inf", "is not")]
)
def test_a_variable_that_means_nothing_is_refused(text, message, tmp_path, monkeypatch):
    save(relus(1), tmp_path / "m.bnn")
    monkeypatch.setenv("BINARYNET_LIMITS", text)
    with pytest.raises(FormatError, match=message):
        load(tmp_path / "m.bnn")


def test_what_an_op_asks_for_is_counted_to_the_number():
    graph = Graph(
        (
            Input("x", (), (4, 5, 3), "b1"),  # 60 numbers
            Conv2d("c", ("x",), np.ones((2, 3, 3, 3), np.int8), padding=((1, 1), (1, 1))),  # 40, from 6 × 7 × 3
            Threshold("t", ("c",), np.zeros((2, 3), np.int32), np.ones(2, bool), "u2"),  # 40
            SumPool2d("s", ("t",), (2, 2), (2, 2)),  # 8
        )
    )
    exact = Limits(
        ops=4, values=60 + 40 + 40 + 8, macs=60 + 40 * 27 + 40 * 3 + 8 * 4, memory=4 * (148 + 6 * 7 * 3) + 54
    )
    exact.check(graph, verify(graph))
    for name in ("ops", "values", "macs", "memory"):
        less = Limits(**{**vars(exact), name: getattr(exact, name) - 1})
        with pytest.raises(GraphError, match=f"{name}={getattr(exact, name)}"):
            less.check(graph, verify(graph))


def test_a_file_larger_than_the_memory_it_may_take_is_not_read(tmp_path):
    with open(tmp_path / "m.bnn", "wb") as file:
        file.truncate(2**34)
    with pytest.raises(FormatError, match="has 17,179,869,184 bytes"):
        load(tmp_path / "m.bnn")


def test_the_models_that_come_along_stay_far_below_the_limits():
    for name in ("digits", "mnist-small"):
        load(name, limits=Limits(ops=30, values=2**18, macs=2**25, memory=2**21))


def test_a_graph_made_here_is_nobodys_file_and_has_no_limits():
    assert verify(Graph((Input("x", (), (2**28,), "f32"), Relu("r", ("x",)))))
