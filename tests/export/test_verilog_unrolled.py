"""Unrolled layers: constant weights in gates, equal to the oracle in both simulators."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from binarynet.errors import ExportError
from binarynet.export import write
from binarynet.export.verilog.check import lint
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.unrolled.classes import best, groups, shared, wanted
from binarynet.export.verilog.unrolled.text import Layer
from binarynet.graph.ir import Conv2d, Linear
from tests.export.building import need
from tests.export.simulating import assert_verilog_equals_the_oracle
from tests.export.test_verilog import convnet, mlp, nets
from tests.runtime.graphs import Maker

FEW = settings(derandomize=True, database=None, deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))


def interval(folder: Path) -> int:
    head = (folder / "net.v").read_text(encoding="ascii")
    return int(re.search(r"from one image to the next: ([\d,]+)", head)[1].replace(",", ""))


@pytest.mark.parametrize("family", ["xilinx", "ecp5"])
@pytest.mark.parametrize("make", [mlp, convnet], ids=lambda make: make.__name__)
def test_unrolled_nets_equal_the_oracle_and_are_lint_clean(make, family, tmp_path):
    need("verilator")
    made = make()
    assert_verilog_equals_the_oracle(made.graph(), made.codes(3), tmp_path, unroll=("all",), family=family, stalls=True)
    lint(tmp_path, "net")


def test_a_place_of_a_padded_convolution_takes_one_clock(tmp_path):
    make = Maker((6, 7, 4), "b1", seed=7)
    make.conv(8, padding=((1, 1), (1, 1)))
    make.threshold("mixed")
    make.conv(8, padding=((1, 1), (1, 1)))
    make.threshold("mixed")
    make.flatten()
    make.linear(3)
    fold = ("input=4x1", "8x8")  # a whole pixel comes in a clock
    found = assert_verilog_equals_the_oracle(make.graph(), make.codes(6), tmp_path, fold, unroll=("all",))
    assert found.interval == interval(tmp_path) == 6 * 7


def test_words_of_a_thousand_bits_pass_the_test_bench_of_verilator(tmp_path):
    make = Maker((1100,), "b1", seed=8)
    make.linear(2)
    fold = ("input=1100x1", "1x1100")
    found = assert_verilog_equals_the_oracle(make.graph(), make.codes(9), tmp_path, fold, "verilator")
    assert found.interval == interval(tmp_path) == 2


@FEW
@given(nets(), st.booleans(), st.sampled_from(["xilinx", "ice40"]))
def test_any_net_of_unrolled_and_folded_layers_equals_the_oracle(make, stalls, family):
    layers = [op for op in make.graph().ops if isinstance(op, Linear | Conv2d) and op.weight_encoding in ("b1", "t2")]
    assume(layers)
    graph, unroll = make.graph(), tuple(op.name for op in layers)
    with tempfile.TemporaryDirectory() as folder:
        for op in layers:  # one that is refused stays folded
            if isinstance(op, Conv2d) and op.padding[1][0] > op.dilation[1] * (op.weight.shape[2] - 1):
                with pytest.raises(ExportError, match="padded more than its kernel"):
                    planned(graph, Options("net", unroll=(op.name,)))
                unroll = tuple(name for name in unroll if name != op.name)
        codes = make.codes(3)
        assert_verilog_equals_the_oracle(
            graph, codes, Path(folder), ("3x4",), stalls=stalls, unroll=unroll, family=family
        )


def test_outputs_that_look_at_few_inputs_are_one_table(tmp_path):
    make = Maker((12,), "b1", seed=9)
    make.linear(40, encoding="t2")
    weight = make.ops[-1].weight
    weight[:, :] = 0
    for row in weight:
        row[make.random.choice(12, 6, replace=False)] = make.random.choice([-1, 1], 6)
    weight[0] = 0  # an output that looks at nothing
    make.threshold("mixed")
    make.linear(3)
    graph = make.graph()
    assert_verilog_equals_the_oracle(graph, make.codes(9), tmp_path, unroll=("all",))
    unit = planned(graph, Options("net", unroll=("all",))).units[0]
    layer = Layer(unit, "layer")
    assert len(layer.small) == 40
    assert layer.stages == 0


def test_classes_and_shared_sums_are_the_product():
    """Σ p_g · C_p + k_g = Σ w · c for random signs, with zeros and without, and for groups of every size."""
    rng = np.random.default_rng(0)
    for choices, high in (([-1, 1], 1), ([-1, 0, 1], 3)):
        rows = rng.choice(choices, (11, 50)).astype(np.int8)
        codes = rng.integers(0, high + 1, 50)
        for size in range(1, 7):
            for group in groups(rows, list(range(11)), size, high):
                sums = [sum(high - codes[i] if turned else codes[i] for i, turned in one) for one in group.classes]
                wants, full = wanted(group)
                steps, places = shared(len(sums), wants)
                for made, left, right in steps:
                    assert made == len(sums)
                    sums.append(sums[left] + sums[right])
                found = [sums[place] if place is not None else 0 for place in places]
                for number, output in enumerate(group.outputs):
                    pair = (found[0], 2 * found[1 + number]) if full else found[2 * number : 2 * number + 2]
                    value = pair[0] - pair[1]
                    assert value + group.k[number] == rows[output].astype(int) @ codes
    assert best(rng.choice([-1, 1], (64, 288)).astype(np.int8), 1, 6) in (3, 4, 5)


def test_what_cannot_be_unrolled_is_refused_by_name(tmp_path):
    make = Maker((4,), "b1", seed=1)
    make.linear(3, encoding="i4")
    with pytest.raises(ExportError, match=r"linear1 \(Linear\): the target verilog unrolls weights of b1 and t2"):
        write(make.graph(), "verilog", tmp_path, Options("net", unroll=("all",)))
    with pytest.raises(ExportError, match="unroll 'absent': no such layer; there are linear1, and all"):
        write(make.graph(), "verilog", tmp_path, Options("net", unroll=("absent",)))
    with pytest.raises(ExportError, match=r"family 'ecp6'\. Did you mean"):
        Options("net", family="ecp6")
