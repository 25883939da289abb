"""Op × engine: every cell is filled or refused by a reason, every engine says which op it does not know."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from binarynet.bench.twin import float_twin
from binarynet.errors import BinarynetError, ExportError, GraphError, RuntimeUnavailable
from binarynet.export import write
from binarynet.format.packed import packed
from binarynet.gpu.network import Network
from binarynet.graph import OPS, Graph, interpret, verify
from binarynet.graph.ir import Conv2d, Input, Linear, Op
from binarynet.graph.rules import ENGINES, Rules
from binarynet.graph.weights import held
from binarynet.report.analysis import analyse
from binarynet.report.summary import summarise
from binarynet.runtime import Session
from binarynet.runtime.plan import build
from tests.export.graphs import MAKERS

DOCS = Path(__file__).parents[1] / "docs"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("engine_table", DOCS / "engine_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGE = script()
# Each engine on a whole graph, as far as that needs no compiler or other program: those compare numbers elsewhere.
WALKS: dict[str, Callable[[Graph, Path], Any]] = {
    "verify": lambda graph, folder: verify(graph),
    "interpret": lambda graph, folder: interpret(graph, np.zeros((1, *graph.input.shape), dtype(graph))),
    "native": lambda graph, folder: build(graph, "portable", 1),
    "gpu": lambda graph, folder: Network(graph, torch.device("cpu")),
    "c": lambda graph, folder: write(graph, "c", folder),
    "onnx": lambda graph, folder: write(graph, "onnx", folder),
    "qonnx": lambda graph, folder: write(graph, "qonnx", folder),
    "verilog": lambda graph, folder: write(graph, "verilog", folder),
    "twin": lambda graph, folder: float_twin(graph),
    "summary": lambda graph, folder: summarise(graph, 1, Session(graph, isa="portable", threads=1)),
    "analysis": lambda graph, folder: analyse(graph),
}


def dtype(graph: Graph) -> type:
    return np.float32 if graph.input.encoding == "f32" else np.uint8


@dataclass(frozen=True, eq=False)
class Strange(Op):
    """An op that nobody knows."""


def test_no_cell_is_empty() -> None:
    assert not PAGE.missing()
    assert {rules.engine for rules in PAGE.engines()} == set(WALKS)


def test_the_table_of_the_page_is_what_the_engines_dispatch_by() -> None:
    assert PAGE.table() in (DOCS / "architecture.md").read_text(encoding="utf-8"), (
        "docs/architecture.md is stale: put in what `python docs/engine_table.py` prints"
    )


def test_an_op_without_rules_is_listed_for_every_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, "Strange", Strange)
    assert PAGE.missing() == [
        f"{rules.engine} has no rule for Strange, and no reason to refuse it" for rules in PAGE.engines()
    ]
    assert f"| `Strange` |{' no (2) |' * len(ENGINES)}" in PAGE.table()


@pytest.mark.parametrize("engine", WALKS)
def test_an_unknown_op_is_refused_by_its_name(engine: str) -> None:
    rules: Rules[Any] = ENGINES[engine]
    with pytest.raises(BinarynetError, match=rf"odd \(Strange\): (the target )?{engine} has no rule for this op"):
        rules.of(Strange("odd", ("x",)))
    assert issubclass(rules.error, GraphError | ExportError | RuntimeUnavailable)


@pytest.mark.parametrize("engine", WALKS)
def test_a_graph_with_an_unknown_op_is_refused_by_its_name(engine: str, tmp_path: Path) -> None:
    graph = Graph((Input("x", (), (4,), "f32"), Strange("odd", ("x",))))
    with pytest.raises(BinarynetError, match=r"odd \(Strange\)"):
        WALKS[engine](graph, tmp_path)


def test_a_class_that_only_bears_the_name_of_an_op_is_unknown() -> None:
    class Linear(Op):
        pass

    with pytest.raises(GraphError, match=r"odd \(Linear\): no such op"):
        verify(Graph((Input("x", (), (4,), "f32"), Linear("odd", ("x",)))))


def test_the_graphs_below_hold_every_op() -> None:
    assert {type(op) for make in MAKERS for op in make().graph().ops} == set(OPS.values())


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("engine", WALKS)
def test_every_engine_walks_over_every_graph_or_refuses_one_of_its_ops_by_name(
    engine: str, make: Callable[[], Any], tmp_path: Path
) -> None:
    graph = packed(make().graph())
    try:
        WALKS[engine](graph, tmp_path)
    except ExportError as error:
        assert engine == "verilog"
        name = str(error).split(" (")[0]
        assert name in {op.name for op in graph.ops}
    if engine in ("verify", "native", "twin"):  # which need no numbers: a large model stays bits
        whole = [op for op in graph.ops if isinstance(op, Linear | Conv2d) and op.weight_encoding != "f32"]
        assert not any(isinstance(held(op), np.ndarray) for op in whole)
