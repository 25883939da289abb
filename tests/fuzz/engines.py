"""Random valid graphs: every engine answers what both oracles answer, with ``==``."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import numpy as np

from binarynet.errors import ExportError, RuntimeUnavailable
from binarynet.export import TARGETS, options_of, write
from binarynet.export.c.check import answers, compiled
from binarynet.export.verilog.check import logits, simulate
from binarynet.format import from_bytes, to_bytes
from binarynet.graph import Encoding, Graph, interpret
from binarynet.runtime import Session, isa
from tests.export.building import CHECKED
from tests.fuzz.graphs import random_graph, several
from tests.fuzz.target import Target
from tests.graph import plain

KERNELS = ("popcount", "tiles", "vertical", "bitsliced", "counters", "lookup", "multiply")
BATCHES = (1, 1, 2, 3, 5, 17, 33)
PLAIN = 40_000  # products, above which the second oracle, which makes them one by one, is left out
SIMULATED = 2  # images in Icarus, which takes seconds for one
EXPORTED = 20  # one graph in so many is built and run in C, ONNX and Verilog as well


def make(random: Random) -> tuple[str, bytes]:
    made = random_graph(random)
    graph = several(made) if random.random() < 0.1 else made.graph()
    return " ".join(sorted({type(op).__name__ for op in graph.ops[1:]} - {"Flatten"})) or "Flatten", to_bytes(graph)


def attempt(content: bytes, folder: Path) -> str:
    """Returns ``equal``, or ``equal, exported``; raises AssertionError with the engine that differs."""
    graph, random = from_bytes(content), Random(content)
    codes = codes_for(graph, random)
    expected = interpret(graph, codes)
    if _products(graph, expected) * len(codes) < PLAIN:
        _same("the second oracle", plain.answer(graph, codes), expected)
    for name in isa.available():
        threads = random.choice((1, 1, 2, 3))
        _same(f"{name}, {threads} threads", native(graph, codes, isa=name, threads=threads), expected)
        kernel = random.choice(KERNELS)
        try:
            found = native(graph, codes, isa=name, threads=1, kernel=kernel)
        except RuntimeUnavailable:  # not for all ops of this graph
            continue
        _same(f"{name} on {kernel}", found, expected)
    if random.randrange(EXPORTED):
        return "equal"
    return f"equal, also in {', '.join(_exported(graph, codes, expected, folder, random))}"


def codes_for(graph: Graph, random: Random) -> np.ndarray:
    """A batch of input codes: noise, or the ends of the encoding."""
    drawn = np.random.default_rng(random.randrange(2**32))
    shape = (random.choice(BATCHES), *graph.input.shape)
    if graph.input.encoding == "f32":
        return drawn.choice(np.array([0, -0.0, 1, -1, 0.5, 1e-30, -1e-45, 1e10, 3.5], np.float32), shape)
    count = Encoding.parse(graph.input.encoding).count
    if random.random() < 0.3:
        return drawn.choice(np.array([0, count - 1]), shape).astype(np.uint8)
    return drawn.integers(0, count, shape).astype(np.uint8)


def native(graph: Graph, codes: np.ndarray, **how: object) -> np.ndarray:
    session = Session(graph, **how)  # type: ignore[arg-type]
    answer = np.empty((len(codes), *session._whole), session._dtype)
    assert session._network.run(np.ascontiguousarray(codes), answer)
    return answer


def _products(graph: Graph, expected: np.ndarray) -> int:
    """About how many products one image takes."""
    return sum(int(np.prod(getattr(op, "weight_shape", (1,)))) for op in graph.ops) * max(1, graph.input.shape[0] ** 2)


def _same(engine: str, found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape, f"{engine}: {found.shape}, not {expected.shape}"
    wrong = np.flatnonzero(found != expected)
    assert not len(wrong), f"{engine}: {len(wrong)} of {expected.size} differ, first at {wrong[0]}"


def _exported(graph: Graph, codes: np.ndarray, expected: np.ndarray, folder: Path, random: Random) -> list[str]:
    """The targets that took it; each is built, under sanitizers where it is C, and run."""
    done = []
    chosen = {"word": random.choice((16, 32, 64)), "constant_time": random.random() < 0.3}
    for target in ("c", "onnx", "verilog"):
        options = options_of(target)("net", **(chosen if target == "c" else {}))
        shutil.rmtree(folder / target, ignore_errors=True)
        try:
            write(graph, target, folder / target, options)
        except ExportError:
            continue
        if target == "c":
            found = answers(compiled(folder / target, "net", "gcc", CHECKED), graph, codes)
        elif target == "verilog":
            if not shutil.which("iverilog"):
                continue
            few = codes[:SIMULATED]
            simulation = simulate(folder / target, graph, options, few, "iverilog")
            assert simulation.passed, "the test bench of verilog"
            _same(target, logits(graph, simulation), expected[: len(few)])
            done.append(target)
            continue
        else:
            found = TARGETS[target].answers(graph, folder / target, options, codes)
        _same(target, found, expected)
        done.append(target)
    return done


TARGET = Target("engines", make, attempt, limited=False)
