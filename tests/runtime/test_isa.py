"""The choice of an instruction set: by default, by name, by environment, and loudly wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from binarynet.errors import RuntimeUnavailable
from binarynet.runtime import Session, isa
from tests.runtime.graphs import Maker


def session(**options) -> Session:
    make = Maker((8,))
    make.linear(2)
    return Session(make.graph(), **options)


def in_a_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_portable_is_always_there_and_last():
    assert isa.available()[-1] == "portable"
    assert set(isa.available()) <= set(isa.compiled())
    assert all(isa.compiled().values())


def test_the_best_is_active_and_a_session_keeps_what_it_was_made_with():
    assert isa.active() == isa.available()[0]
    first = session()
    with isa.use("portable"):
        assert isa.active() == "portable"
        assert session().isa == "portable"
        assert first.isa == isa.available()[0]
    assert isa.active() == isa.available()[0]


def test_use_nests_and_restores_what_was_used_before():
    isa.use("portable")
    try:
        with isa.use(isa.available()[0]), isa.use(None):
            assert isa.active() == isa.available()[0]
        assert isa.active() == "portable"
    finally:
        isa.use(None)


def test_use_restores_after_an_error():
    with pytest.raises(ZeroDivisionError), isa.use("portable"):
        raise ZeroDivisionError
    assert isa.active() == isa.available()[0]


@pytest.mark.parametrize("name", ["sse9", "AVX2", "portable "])
def test_an_unknown_name_fails_and_lists_what_there_is(name):
    with pytest.raises(RuntimeUnavailable, match=f"unknown instruction set '{name}'; available here: .*portable"):
        isa.use(name)
    with pytest.raises(RuntimeUnavailable, match="unknown instruction set"):
        session(isa=name)
    assert isa.active() == isa.available()[0]


def test_the_environment_chooses_and_the_argument_wins():
    code = "from binarynet.runtime import isa; print(isa.active()); isa.use(isa.available()[0]); print(isa.active())"
    done = in_a_process(code, BINARYNET_ISA="portable")
    assert done.stdout.split() == ["portable", isa.available()[0]], done.stderr


def test_a_wrong_environment_fails_loudly_instead_of_running_something_else():
    code = """
import numpy as np
from binarynet.errors import RuntimeUnavailable
from binarynet.graph import Graph
from binarynet.graph.ir import Input
from binarynet.runtime import Session
try:
    Session(Graph((Input("x", (), (3,), "b1"),)))
except RuntimeUnavailable as error:
    print(error)
"""
    done = in_a_process(code, BINARYNET_ISA="pentium")
    assert done.stdout.startswith("BINARYNET_ISA: unknown instruction set 'pentium'; available here:"), done.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"BINARYNET_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, "3"),
        ({"OMP_NUM_THREADS": "5,2"}, "5"),
        ({"BINARYNET_NUM_THREADS": "0"}, "BINARYNET_NUM_THREADS=0 is not a positive number of threads"),
        ({"OMP_NUM_THREADS": "many"}, "OMP_NUM_THREADS=many is not a positive number of threads"),
    ],
)
def test_threads_come_from_the_environment(environment, expected):
    code = """
from binarynet.errors import RuntimeUnavailable
from binarynet.graph import Graph
from binarynet.graph.ir import Input
from binarynet.runtime import Session
try:
    print(Session(Graph((Input("x", (), (3,), "b1"),))).threads)
except RuntimeUnavailable as error:
    print(error)
"""
    done = in_a_process(code, **environment)
    assert done.stdout.strip() == expected, done.stderr
