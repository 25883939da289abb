"""Export to Verilog, simulate, compare with the oracle: the one comparison that the Verilog tests make."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from binarynet.export import write
from binarynet.export.verilog.check import Simulation, logits, simulate
from binarynet.export.verilog.options import Options
from binarynet.graph import Graph, interpret
from tests.export.building import need


def assert_verilog_equals_the_oracle(
    graph: Graph,
    codes: np.ndarray,
    folder: Path,
    fold: tuple[str, ...] = (),
    simulator: str = "iverilog",
    stalls: bool = False,
    unroll: tuple[str, ...] = (),
    family: str = "xilinx",
) -> Simulation:
    """Every integer and every class of every image, with ==, by the test bench and by its printed answers."""
    need(simulator)
    options = Options("net", fold=fold, unroll=unroll, family=family)
    write(graph, "verilog", folder, options)
    found = simulate(folder, graph, options, codes, simulator, *(["+stalls", "+resets"] if stalls else []))
    assert found.passed
    np.testing.assert_array_equal(logits(graph, found), interpret(graph, codes), err_msg=f"fold {fold}")
    return found
