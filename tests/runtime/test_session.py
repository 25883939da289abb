"""Sessions: what they answer, from files, from many threads, and after a fork."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import binarynet
from binarynet import _native
from binarynet.errors import FormatError, GraphError, InputError, RuntimeUnavailable
from binarynet.graph import Graph, interpret
from binarynet.graph.ir import Input, Linear
from binarynet.runtime import Session, isa, load
from tests.graph.graphs import small_convnet, small_mlp
from tests.runtime.graphs import Maker


def convnet() -> tuple[Graph, np.ndarray, np.ndarray]:
    """A net with every kind of step, images, and the oracle's answers."""
    make = Maker((12, 12, 3), "b8", seed=3)
    make.conv(64, padding=((1, 1), (1, 1)))
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    trunk = make.conv(64, padding=((1, 1), (1, 1)))
    make.threshold(source=trunk)
    make.add(make.conv(64, padding=((1, 1), (1, 1))), trunk)
    make.threshold()
    make.flatten()
    make.linear(300)
    make.threshold()
    make.linear(10)
    make.affine()
    graph, images = make.graph(), make.codes(40)
    return graph, images, interpret(graph, images)


def test_a_saved_model_answers_what_its_graph_answers(tmp_path):
    graph = small_convnet()
    binarynet.save(graph, tmp_path / "model.bnn")
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 6), np.uint8)
    session = load(tmp_path / "model.bnn", isa="portable", threads=1)
    expected = interpret(graph, images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(session.logits(images), expected)
    np.testing.assert_array_equal(session.predict(images), expected.argmax(axis=1))
    assert session.predict(images).dtype == np.int64
    assert (session.isa, session.threads, session.engine) == ("portable", 1, "native")


def test_a_missing_file_is_a_format_error(tmp_path):
    with pytest.raises(FormatError, match="missing"):
        load(tmp_path / "missing.bnn")


def test_the_oracle_is_an_engine_like_the_native_one():
    graph, images, expected = convnet()
    oracle = Session(graph, engine="oracle")
    np.testing.assert_array_equal(oracle.logits(np.concatenate([images] * 3)), np.concatenate([expected] * 3))
    assert oracle.isa is None
    assert set(oracle.kernels.values()) == {"oracle"}
    with pytest.raises(RuntimeUnavailable, match="no instruction sets"):
        Session(graph, engine="oracle", isa="portable")


def test_unknown_engines_and_negative_threads_are_refused():
    with pytest.raises(RuntimeUnavailable, match="'native', 'oracle' and 'triton'"):
        Session(small_mlp(), engine="gpu")
    with pytest.raises(RuntimeUnavailable, match="threads is -1"):
        Session(small_mlp(), threads=-1)


def test_a_graph_that_breaks_a_rule_is_refused_before_it_runs():
    with pytest.raises(GraphError, match="weights for 4 inputs"):
        Session(Graph((Input("x", (), (3,), "b1"), Linear("y", ("x",), np.ones((2, 4), np.int8)))))


def test_the_first_of_equal_logits_is_the_class():
    make = Maker((3,))
    make.ops.append(Linear("y", ("input",), np.ones((4, 3), np.int8)))
    assert Session(make.graph()).predict(np.ones((2, 3))).tolist() == [0, 0]


def test_answers_go_where_the_caller_wants_them():
    graph, images, expected = convnet()
    session = Session(graph)
    into = np.empty_like(expected)
    assert session.logits(images, out=into) is into
    assert (into == expected).all()
    with pytest.raises(InputError, match=r"out is float64 of shape .*; these answers are float32"):
        session.logits(images, out=np.empty(expected.shape))
    with pytest.raises(InputError, match="out is float32 of shape"):
        session.logits(images[1:], out=into)
    with pytest.raises(InputError, match="contiguous and writeable"):
        session.logits(images, out=np.empty((10, len(images)), np.float32).T)
    askew = np.empty(expected.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(expected.shape)
    with pytest.raises(InputError, match="begin at a multiple of 4 bytes"):
        session.logits(images, out=askew)


@pytest.mark.parametrize("threads", [-1, 4097, 99_999_999_999])
def test_a_number_of_threads_that_nobody_has_is_refused(threads):
    graph, _, _ = convnet()
    with pytest.raises(RuntimeUnavailable, match=rf"threads is {threads}; give 1 to 4096"):
        Session(graph, threads=threads)
    assert Session(graph, threads=4096).threads <= 4096


@pytest.mark.parametrize("engine", ["native", "oracle"])
def test_an_empty_batch_has_empty_answers_of_the_right_shape(engine):
    session = Session(small_convnet(), engine=engine)
    logits = session.logits(np.empty((0, 3, 6, 6), np.uint8))
    assert (logits.shape, logits.dtype) == ((0, 4), np.int32)
    assert session.predict(np.empty((0, 3, 6, 6), np.uint8)).shape == (0,)


def test_a_session_says_what_it_is():
    session = Session(small_mlp(), isa="portable", threads=2)
    assert repr(session) == "Session(10 b8 → 3; native: portable, 2 threads)"
    assert session.classes == ("a", "b", "c")
    assert session.input_shape == (10,)


def test_wrong_images_are_refused_by_both_methods():
    session = Session(small_mlp())
    for method in (session.logits, session.predict):
        with pytest.raises(InputError, match="10 numbers"):
            method(np.zeros((2, 11), np.uint8))


def test_the_native_module_checks_what_it_is_given():
    network = _native.Network("portable", 1)
    value = network.add_linear("y", network.add_input((3,), "b1"), np.zeros((1, 2, 1), np.uint64), "b1")
    with pytest.raises(ValueError, match="finish"):
        network.run(np.zeros((1, 3), np.uint8), np.zeros((1, 2), np.int32))
    network.finish(value)
    for images, answers in [
        (np.zeros((1, 4), np.uint8), np.zeros((1, 2), np.int32)),
        (np.zeros((1, 3), np.float32), np.zeros((1, 2), np.int32)),
        (np.zeros((1, 3), np.uint8), np.zeros((2, 2), np.int32)),
        (np.zeros((1, 3), np.uint8), np.zeros((1, 2), np.float32)),
    ]:
        with pytest.raises(ValueError, match="must be"):
            network.run(images, answers)
    with pytest.raises(ValueError, match="finished"):
        network.add_flatten("late", value)
    fresh = _native.Network("portable", 1)
    source = fresh.add_input((70,), "b1")
    with pytest.raises(ValueError, match="bits behind their last value"):
        fresh.add_linear("tail", source, np.full((1, 1, 2), 2**63, np.uint64), "b1")
    with pytest.raises(ValueError, match="rows of 2 words"):
        fresh.add_linear("words", source, np.zeros((1, 1, 1), np.uint64), "b1")
    with pytest.raises(ValueError, match="u3 are \\(3, channels, words\\)"):
        fresh.add_linear("planes", source, np.zeros((1, 1, 2), np.uint64), "u3")
    with pytest.raises(ValueError, match="encoding i1"):
        fresh.add_linear("encoding", source, np.zeros((1, 1, 2), np.uint64), "i1")
    with pytest.raises(ValueError, match="rows of 70 numbers"):
        fresh.add_linear_f32("reals", source, np.zeros((1, 69), np.float32))
    with pytest.raises(ValueError, match="no value 9"):
        fresh.add_flatten("nothing", 9)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("encoding", ["b1", "u3"])
def test_a_byte_that_is_no_code_is_refused_wherever_it_stands(encoding, threads):
    weight = np.ones((2, 5), np.int8)
    session = Session(Graph((Input("x", (), (5,), encoding), Linear("y", ("x",), weight))), threads=threads)
    images = np.zeros((600, 5), np.uint8)
    assert session.logits(images).shape == (600, 2)
    for row in (0, 299, 599):
        images[row, 4] = 8
        with pytest.raises(InputError, match=rf"the value 8 at \({row}, 4\) is not a code"):
            session.logits(images)
        images[row, 4] = 0


@pytest.mark.parametrize("name", isa.available())
def test_eight_threads_may_call_one_session_and_four_sessions_at_once(name):
    graph, images, expected = convnet()
    sessions = [Session(graph, isa=name, threads=2) for _ in range(4)]
    wrong: list[str] = []

    def call(session: Session, start: int) -> None:
        for size in (1, 3, 40, 2):
            part = slice(start % 30, start % 30 + size)
            if not np.array_equal(session.logits(images[part], layout="nhwc"), expected[part]):
                wrong.append(f"{start} {size}")

    callers = [threading.Thread(target=call, args=(sessions[i % 4 if i % 2 else 0], i)) for i in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_after_the_first_call_no_memory_is_taken():
    graph, images, _ = convnet()
    for threads in (1, 2):
        session = Session(graph, threads=threads)
        answers = np.empty((40, 10), np.float32)
        session._network.run(images, answers)
        before = _native.buffers_allocated()
        for count in (40, 1, 7, 40):
            session._network.run(images[:count], answers[:count])
        assert _native.buffers_allocated() == before
    tracemalloc.start()
    session._network.run(images, answers)
    assert tracemalloc.get_traced_memory()[1] < 4096, "the call itself takes next to nothing"
    tracemalloc.stop()


def test_a_forked_child_has_threads_of_its_own():
    code = """
import os
import numpy as np
from binarynet.graph import interpret
from binarynet.runtime import Session
from tests.graph.graphs import small_mlp

graph = small_mlp(features=784, hidden=2048)
images = np.random.default_rng(0).integers(0, 256, (1, 784), np.uint8)
session, expected = Session(graph, threads=2), interpret(graph, images)
session.logits(images)  # the pool has its worker now
child = os.fork()
equal = all(np.array_equal(session.logits(images), expected) for _ in range(20))
if child == 0:
    os._exit(0 if equal else 1)
assert equal
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_importing_and_running_need_no_torch():
    code = """
import sys
import numpy as np
import binarynet
from tests.graph.graphs import small_mlp
binarynet.Session(small_mlp()).predict(np.zeros((2, 10), np.uint8))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_large_sizes_are_refused_instead_of_overflowing():
    network = _native.Network("portable", 1)
    with pytest.raises(ValueError, match="does not fit memory"):
        network.add_input((2**32, 2**32, 2**32), "b8")


@pytest.mark.parametrize("options", [{}, {"isa": "portable", "threads": 1}, {"engine": "oracle"}], ids=str)
def test_copies_and_pickles_of_a_session_answer_alike(options):
    graph, images, expected = convnet()
    session = Session(graph, **options)
    for other in (copy.copy(session), copy.deepcopy(session), pickle.loads(pickle.dumps(session))):
        np.testing.assert_array_equal(other.logits(images, layout="nhwc"), expected)
        assert (other.engine, other.isa, other.threads) == (session.engine, session.isa, session.threads)
        assert (other.classes, other.input_shape) == (session.classes, session.input_shape)


def test_a_pickled_session_is_as_small_as_its_file():
    make = Maker((1000,), "b1")
    make.linear(800)
    assert 100_000 < len(pickle.dumps(Session(make.graph()))) < 110_000


def test_a_spawned_worker_takes_a_session():
    graph, images, expected = convnet()
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        found = workers.apply(Session(graph, threads=1).logits, (images,), {"layout": "nhwc"})
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("engine", ["native", "oracle"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_large_batch_is_answered_in_steps_between_which_ctrl_c_is_heard(engine, layout, monkeypatch):
    graph, images, expected = convnet()
    session = Session(graph, engine=engine)
    images, expected = np.concatenate([images] * 8), np.concatenate([expected] * 8)
    if layout == "nchw":
        images = images.transpose(0, 3, 1, 2)
    monkeypatch.setattr(session, "_most", 100)
    sizes, answer = [], session._answer

    def counted(codes, *rest):
        sizes.append(len(codes))
        if len(sizes) == stop:
            raise KeyboardInterrupt
        return answer(codes, *rest)

    monkeypatch.setattr(session, "_answer", counted)
    stop = 0
    np.testing.assert_array_equal(session.logits(images, layout=layout), expected)
    assert sizes == ([100, 100, 100, 20] if engine == "native" else [64] * 5)
    sizes.clear()
    stop = 2
    with pytest.raises(KeyboardInterrupt):
        session.logits(images, layout=layout)
    assert len(sizes) == 2


def test_a_step_is_bounded_in_time_and_in_images():
    few = Session(small_mlp())
    assert few._step(10**6) == 4096
    make = Maker((64, 64, 16), "b1", seed=1)
    make.conv(16384, padding=((1, 1), (1, 1)))
    assert Session(make.graph())._step(10**6) == 64  # however dear an image is


def test_a_value_in_a_large_batch_is_named_by_its_place_in_all_of_it(monkeypatch):
    graph = small_mlp()
    session = Session(graph)
    monkeypatch.setattr(session, "_most", 64)
    images = np.zeros((300, *graph.input.shape), np.float32)
    images[201, 2] = np.nan
    with pytest.raises(InputError, match=r"\(201, 2\)"):
        session.predict(images)


@pytest.mark.parametrize("wrong", [None, "picture.png", [[1, 2], [3]], {"a": 1}, b"12"])
def test_what_is_no_array_is_refused_in_words(wrong):
    session = Session(small_mlp())
    for method in (session.predict, session.logits, session.timed):
        with pytest.raises(InputError, match="images are"):
            method(wrong)
    with pytest.raises(InputError, match="out is a list"):
        session.logits(np.zeros((1, *session.input_shape), np.uint8), out=[0])
