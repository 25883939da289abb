"""``--fold auto``: the smallest fold that takes no more clocks than asked, and lanes with and without registers."""

from __future__ import annotations

import pytest

from binarynet.errors import ExportError
from binarynet.export import write
from binarynet.export.verilog.check import lint, simulate
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.units import Product
from binarynet.export.verilog.whole import Whole
from tests.export.building import need
from tests.export.simulating import assert_verilog_equals_the_oracle
from tests.export.test_verilog import convnet, mlp
from tests.graph.graphs import small_mlp
from tests.runtime.graphs import Maker


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
    with pytest.raises(ExportError, match=r"target-clocks 40: conv1 takes 42 clocks at any fold; --unroll it"):
        folds(graph, target_clocks=40)
    with pytest.raises(ExportError, match="target-clocks says how fast --fold auto is to be"):
        planned(graph, Options("net", target_clocks=150))
    with pytest.raises(ExportError, match="one clock at least"):
        Options("net", target_clocks=0)


def test_as_many_tables_as_there_are_give_the_fastest_fold_that_they_hold():
    graph = small_mlp(features=64, hidden=32, classes=10)
    clocks = [folds(graph, luts=luts)[0] for luts in (60, 300, 1000, 100000)]
    assert clocks == sorted(clocks, reverse=True)
    assert clocks[0] > clocks[-1] == 64  # what the input takes
    with pytest.raises(ExportError, match=r"luts 20: the folded layers take about \d+ at any fold"):
        folds(graph, luts=20)
    with pytest.raises(ExportError, match="luts says how large --fold auto may be"):
        planned(graph, Options("net", luts=100))
    with pytest.raises(ExportError, match="or target-clocks, not both"):
        Options("net", luts=100, target_clocks=10)


def bordered(encoding: str, pad_value: int, weights: str) -> Maker:
    make = Maker((6, 5, 2), encoding, seed=3)
    make.conv(6, padding=((1, 1), (2, 1)), pad_value=pad_value, encoding=weights)
    make.threshold("mixed")
    make.conv(5, (2, 3), (2, 1), padding=((0, 1), (1, 0)))
    make.threshold("mixed", encoding="b2")
    make.flatten()
    make.linear(3)
    make.affine()
    return make


@pytest.mark.parametrize(
    ("outputs", "encoding", "pad_value", "weights"),
    [(1, "b8", 0, "b1"), (4, "b8", 0, "b1"), (4, "b1", 1, "t2"), (6, "u3", 0, "b1")],
)
def test_a_layer_folded_over_its_kernel_equals_the_oracle_and_takes_a_clock_a_tile(
    outputs, encoding, pad_value, weights, tmp_path
):
    made, fold = bordered(encoding, pad_value, weights), (f"{outputs}x18", "conv3=5x36", "linear6=3x300")
    found = assert_verilog_equals_the_oracle(made.graph(), made.codes(4), tmp_path, fold)
    plan = planned(made.graph(), Options("net", fold=fold))
    assert all(isinstance(unit, Whole) for unit in plan.units[:2])
    assert found.interval == plan.interval
    assert plan.units[0].window.clocks <= 6 * (8 + 6 * (6 // outputs + 1))
    lint(tmp_path, "net")


@pytest.mark.parametrize("unpipelined", [False, True])
def test_a_layer_folded_over_its_kernel_waits_for_whom_it_must(unpipelined, tmp_path):
    need("iverilog")
    graph, fold = bordered("b2", 0, "b1").graph(), ("3x18",)
    options = Options("net", fold=fold, unpipelined=unpipelined, family="ecp5")
    write(graph, "verilog", tmp_path, options)
    found = simulate(tmp_path, graph, options, bordered("b2", 0, "b1").codes(5), "iverilog", "+stalls", "+resets")
    assert found.passed


def test_a_layer_that_is_named_keeps_its_fold():
    plan = planned(small_mlp(), Options("net", fold=("auto", "linear1=2x3")))
    assert (plan.units[0].outputs, plan.units[0].reads.lanes) == (2, 3)


def grouped(groups: int, channels: int = 6, out: int = 6, encoding: str = "b1") -> Maker:
    make = Maker((5, 4, channels), "b2", seed=groups)
    make.conv(out, (3, 3), padding=((1, 1), (1, 1)), groups=groups, encoding=encoding)
    make.threshold("mixed")
    make.flatten()
    make.linear(3)
    return make


@pytest.mark.parametrize(
    ("groups", "out", "fold", "encoding"),
    [(6, 6, "2x1", "b1"), (6, 12, "4x3", "b2"), (3, 6, "6x2", "b2"), (3, 3, "1x2", "t2")],
)
def test_a_layer_of_groups_computes_no_others_and_equals_the_oracle(groups, out, fold, encoding, tmp_path):
    made = grouped(groups, out=out, encoding=encoding)
    fold = (f"conv1={fold}", "60x60")
    assert_verilog_equals_the_oracle(made.graph(), made.codes(3), tmp_path, fold, stalls=True)


def test_a_depthwise_layer_takes_64_times_fewer_clocks_than_a_dense_one():
    options = Options("net", fold=("1x1",))
    clocks = [planned(grouped(n, 64, 64).graph(), options).units[0].window.clocks for n in (1, 64)]
    assert clocks == [20 * 9 * 64 * 64, 20 * 9 * 64]


def test_an_automatic_fold_of_groups_takes_the_clocks_that_it_promises(tmp_path):
    made = grouped(6)
    found = assert_verilog_equals_the_oracle(made.graph(), made.codes(4), tmp_path, ("auto",))
    assert found.interval == folds(made.graph())[0] == 5 * 4 * 9
