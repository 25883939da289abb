"""``--fold auto``: the smallest fold that takes no more clocks than asked, and lanes with and without registers."""

from __future__ import annotations

import pytest

from binarynet.errors import ExportError
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.units import Product
from tests.export.simulating import assert_verilog_equals_the_oracle
from tests.export.test_verilog import convnet, mlp
from tests.graph.graphs import small_mlp


def folds(graph, **options) -> tuple[int, dict[str, tuple[int, int]]]:
    plan = planned(graph, Options("net", fold=("auto",), **options))
    products = [unit for unit in plan.units if isinstance(unit, Product)]
    return plan.interval, {unit.name: (unit.outputs, unit.reads.lanes) for unit in products}


@pytest.mark.parametrize("make", [mlp, convnet], ids=lambda make: make.__name__)
def test_an_automatic_fold_equals_the_oracle_at_the_clocks_that_it_promises(make, tmp_path):
    made = make()
    found = assert_verilog_equals_the_oracle(made.graph(), made.codes(4), tmp_path, ("auto",), family="ecp5")
    assert found.interval == folds(made.graph())[0]


def test_the_smallest_fold_at_the_inputs_bound_and_at_a_target():
    graph = small_mlp(features=64, hidden=32, classes=10)
    assert folds(graph) == (64, {"linear1": (1, 32), "classes": (1, 8)})  # 32 · 2 clocks, 10 · 4 clocks
    clocks, chosen = folds(graph, target_clocks=600)
    assert clocks <= 600
    assert chosen["linear1"][0] * chosen["linear1"][1] == 4
    for target in (64, 100, 300, 1000, 5000):
        assert folds(graph, target_clocks=target)[0] <= target


def test_a_target_that_no_fold_reaches_is_refused_by_name_and_unrolling_reaches_it():
    graph = convnet().graph()
    with pytest.raises(ExportError, match=r"target-clocks 150: conv1 takes 378 clocks at any fold; --unroll it"):
        folds(graph, target_clocks=150)
    assert folds(graph, target_clocks=150, unroll=("conv1",))[0] <= 150
    with pytest.raises(ExportError, match="target-clocks says how fast --fold auto is to be"):
        planned(graph, Options("net", target_clocks=150))
    with pytest.raises(ExportError, match="one clock at least"):
        Options("net", target_clocks=0)


def test_a_layer_that_is_named_keeps_its_fold():
    plan = planned(small_mlp(), Options("net", fold=("auto", "linear1=2x3")))
    assert (plan.units[0].outputs, plan.units[0].reads.lanes) == (2, 3)
