"""The plan: which kernel runs a layer, how it is forced, and what it is expected to cost."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from binarynet.errors import RuntimeUnavailable
from binarynet.graph import Graph, interpret
from binarynet.runtime import Session, isa
from tests.graph.graphs import small_mlp
from tests.runtime.graphs import Maker, native

SAME = ((1, 1), (1, 1))
NAMES = ("popcount", "tiles", "vertical", "bitsliced", "counters", "lookup", "multiply")
NO_TILES = pytest.mark.skipif("amx" not in isa.available(), reason="this CPU has no matrix unit (AMX)")


def codes_net() -> Graph:
    """Layers that popcount and tiles can run, deep and shallow, with every kind of end."""
    make = Maker((7, 6, 3), "b8")
    make.conv(70, padding=SAME)
    make.threshold()
    make.conv(33, padding=SAME, groups=1)
    make.threshold(encoding="u2")
    make.conv(66, encoding="t2", groups=3)
    make.threshold()
    make.flatten()
    make.linear(130)
    make.threshold()
    make.linear(10)
    make.affine()
    return make.graph()


def signs_net() -> Graph:
    """Layers that the vertical kernels can run: ±1 × ±1 in one group, with every kind of end."""
    make = Maker((7, 6, 70))
    make.conv(70, padding=SAME)
    make.threshold()
    make.conv(260, padding=SAME)
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.flatten()
    make.linear(130)
    make.threshold()
    make.linear(10)
    make.affine()
    return make.graph()


def bits_net() -> Graph:
    """Layers whose answers are bits, which the bitsliced kernels make."""
    make = Maker((7, 6, 70))
    make.conv(70, padding=SAME)
    make.threshold()
    make.conv(130)
    make.threshold()
    make.flatten()
    make.linear(66)
    make.threshold()
    return make.graph()


def bytes_net() -> Graph:
    make = Maker((9, 8, 3), "b8")
    make.conv(70, padding=SAME)
    make.threshold()
    return make.graph()


def reals_net() -> Graph:
    make = Maker((40,), "f32")
    make.linear(33, encoding="b1")
    make.linear(9, encoding="t2")
    return make.graph()


def depthwise_net() -> Graph:
    make = Maker((6, 5, 70))
    make.conv(70, padding=SAME, groups=70)
    make.threshold()
    make.conv(70, (3, 1), groups=70)
    return make.graph()


def kernels_of(session: Session, images: int = 1) -> set[str]:
    layers = [step for step in session.plan(images) if step.op.startswith(("conv", "linear"))]
    return {step.kernel.split(",")[0].split(" ")[0] for step in layers}


@pytest.mark.parametrize("images", [1, 3, 64])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["popcount", pytest.param("tiles", marks=NO_TILES)])
def test_every_layer_answers_the_same_on_a_forced_kernel(name, threads, images):
    graph = codes_net()
    codes = np.random.default_rng(images).integers(0, 256, (images, 7, 6, 3)).astype(np.uint8)
    expected = interpret(graph, codes)
    for instructions in ("amx",) if name == "tiles" else isa.available():
        options = {"isa": instructions, "threads": threads, "kernel": name}
        assert kernels_of(Session(graph, **options), images) == {name}
        np.testing.assert_array_equal(native(graph, codes, **options), expected, err_msg=instructions)


@pytest.mark.parametrize("images", [1, 3, 64])
@pytest.mark.parametrize("threads", [1, 2])
def test_layers_of_signs_answer_the_same_without_popcount(threads, images):
    graph = signs_net()
    codes = np.random.default_rng(images).integers(0, 2, (images, 7, 6, 70)).astype(np.uint8)
    expected = interpret(graph, codes)
    for instructions in isa.available():
        options = {"isa": instructions, "threads": threads, "kernel": "vertical"}
        assert kernels_of(Session(graph, **options), images) == {"vertical"}
        np.testing.assert_array_equal(native(graph, codes, **options), expected, err_msg=instructions)


@pytest.mark.parametrize("images", [1, 3, 64])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("make", "name"), [(bits_net, "bitsliced"), (bytes_net, "lookup")])
def test_layers_that_end_in_bits_answer_the_same_bitsliced_and_looked_up(make, name, threads, images):
    graph = make()
    codes = np.random.default_rng(images).integers(0, 2 if name == "bitsliced" else 256, (images, *graph.input.shape))
    expected = interpret(graph, codes.astype(np.uint8))
    for instructions in isa.available() if name == "bitsliced" else {"avx512", "avx2"} & set(isa.available()):
        options = {"isa": instructions, "threads": threads, "kernel": name}
        assert kernels_of(Session(graph, **options), images) == {name}
        np.testing.assert_array_equal(native(graph, codes.astype(np.uint8), **options), expected, err_msg=instructions)


def test_many_rows_of_signs_are_added_by_words_and_one_by_what_reads_less():
    make = Maker((2048,))
    make.linear(2048)
    make.threshold()
    for instructions in {"avx512", "avx2"} & set(isa.available()):
        session = Session(make.graph(), isa=instructions, threads=1)
        assert kernels_of(session, 1) <= {"popcount", "vertical"}
        assert kernels_of(session, 256) <= {"vertical", "bitsliced"}


@pytest.mark.parametrize("name", ["popcount", "counters", pytest.param("tiles", marks=NO_TILES)])
def test_a_depthwise_convolution_runs_on_counters_or_like_any_other(name):
    graph, codes = depthwise_net(), np.random.default_rng(0).integers(0, 2, (3, 6, 5, 70)).astype(np.uint8)
    assert kernels_of(Session(graph)) == {"counters"}
    assert kernels_of(Session(graph, kernel=name, isa=isa.available()[0])) == {name}
    np.testing.assert_array_equal(native(graph, codes, kernel=name), interpret(graph, codes))


@pytest.mark.parametrize("name", ["lookup", "multiply"])
def test_products_of_reals_are_looked_up_or_multiplied(name):
    graph = reals_net()
    codes = np.rint(4 * np.random.default_rng(0).normal(size=(5, 40))).astype(np.float32)  # exact in any order
    for instructions in isa.available():
        session = Session(graph, kernel=name, isa=instructions)
        assert kernels_of(session) == {name}
        np.testing.assert_array_equal(session.logits(codes), interpret(graph, codes))


@pytest.mark.parametrize(
    ("graph", "name", "complaint"),
    [
        (codes_net, "counters", "conv1: cannot run on the kernel 'counters'; it can run on popcount"),
        (codes_net, "vertical", "conv1: cannot run on the kernel 'vertical'; it can run on popcount"),
        (signs_net, "bitsliced", "linear9: its answers are not bits.* it can run on popcount"),
        (codes_net, "multiply", "conv1: cannot run on the kernel 'multiply'; it can run on popcount"),
        (reals_net, "popcount", "linear1: cannot run on the kernel 'popcount'; it can run on lookup, multiply"),
        (depthwise_net, "lookup", "conv1: cannot run on the kernel 'lookup'; it can run on popcount"),
        (codes_net, "fast", "unknown kernel 'fast'; there are: " + ", ".join(NAMES)),
    ],
)
def test_a_layer_that_cannot_run_on_the_forced_kernel_is_an_error(graph, name, complaint):
    with pytest.raises(RuntimeUnavailable, match=complaint):
        Session(graph(), kernel=name)
    if name in NAMES and graph is not reals_net:
        with pytest.raises(RuntimeUnavailable, match=r"counters$" if graph is depthwise_net else complaint):
            Session(graph(), kernel=name)


def test_an_instruction_set_without_a_matrix_unit_has_no_tiles():
    for name in set(isa.available()) - {"amx"}:
        with pytest.raises(RuntimeUnavailable, match=f"the instruction set '{name}' has no kernel 'tiles'"):
            Session(small_mlp(), isa=name, kernel="tiles")


def test_real_weights_can_only_be_multiplied():
    make = Maker((5,), "f32")
    make.linear(3, encoding="f32")
    assert kernels_of(Session(make.graph(), kernel="multiply")) == {"multiply"}
    with pytest.raises(RuntimeUnavailable, match=r"linear1: cannot run on .* it can run on multiply$"):
        Session(make.graph(), kernel="lookup")


@NO_TILES
def test_rows_that_are_too_long_for_tiles_are_counted_and_refused_if_forced():
    make = Maker((20_000,))
    make.linear(200)
    graph, codes = make.graph(), make.codes(60)
    assert kernels_of(Session(graph, isa="amx"), 60) == {"popcount"}
    np.testing.assert_array_equal(native(graph, codes, isa="amx"), interpret(graph, codes))
    with pytest.raises(RuntimeUnavailable, match="linear1: its rows of 20032 values are too long"):
        Session(graph, isa="amx", kernel="tiles")


@NO_TILES
def test_many_rows_are_added_and_few_filters_run_on_tiles():
    make = Maker((2048,))
    make.linear(2048)
    make.threshold()
    session = Session(make.graph(), isa="amx", threads=1)
    assert kernels_of(session, 1) <= {"popcount", "vertical"}  # two ways to read the same weights once
    assert kernels_of(session, 100) == {"vertical"}
    make = Maker((16, 16, 128))
    make.conv(128, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), 0)
    assert kernels_of(Session(make.graph(), isa="amx", threads=1), 4) == {"tiles"}


def test_the_oracle_has_no_kernels():
    with pytest.raises(RuntimeUnavailable, match="leave out isa=None and kernel='popcount'"):
        Session(small_mlp(), engine="oracle", kernel="popcount")
    with pytest.raises(RuntimeUnavailable, match="the engine 'oracle' has no plan"):
        Session(small_mlp(), engine="oracle").plan()
    with pytest.raises(RuntimeUnavailable, match="the engine 'oracle' has no steps"):
        Session(small_mlp(), engine="oracle").timed(np.zeros((1, 10), np.uint8))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("images", [1, 5, 700])
def test_a_plan_names_every_op_once_and_times_belong_to_its_steps(threads, images):
    graph = codes_net()
    session = Session(graph, threads=threads)
    plan = session.plan(images)
    named = [name for step in plan for name in (step.op, *step.fused)]
    assert sorted(named) == sorted(op.name for op in graph.ops if op.name not in ("input", "flat7"))
    assert all(step.seconds > 0 for step in plan)
    assert sum(step.weight_bytes for step in plan) == session._network.weight_bytes
    codes = np.zeros((images, 7, 6, 3), np.uint8)
    times = session.timed(codes, layout="nhwc")
    assert len(times) == len(plan)
    assert all(time > 0 for time in times)


@pytest.mark.parametrize("name", isa.available())
def test_more_images_never_take_less_time(name):
    session = Session(codes_net(), isa=name, threads=1)
    for before, after in ((1, 2), (2, 16), (16, 100), (100, 1000)):
        for few, many in zip(session.plan(before), session.plan(after), strict=True):
            assert 0 < few.seconds <= many.seconds, few.op


def test_the_environment_forces_a_kernel_and_an_argument_overrules_it():
    code = """
from binarynet.errors import RuntimeUnavailable
from binarynet.runtime import Session
from tests.graph.graphs import small_mlp
try:
    print({step.kernel.split(",")[0] for step in Session(small_mlp(), kernel="popcount").plan()})
    Session(small_mlp())
except RuntimeUnavailable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "BINARYNET_KERNEL": "multiply"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[0] == "{'popcount'}", done.stderr
    assert done.stdout.splitlines()[1].startswith("linear1: cannot run on the kernel 'multiply'")
