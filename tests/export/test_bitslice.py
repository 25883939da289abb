"""The bitslice target: gates for every network of integers, equal to the oracle at the edges, refusals by name."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from binarynet.cli import main
from binarynet.errors import ExportError
from binarynet.export import write
from binarynet.export.bitslice import Options, network, refuses
from binarynet.export.bitslice.circuit import ONE, ZERO, Circuit
from binarynet.export.bitslice.sums import at_least, columns_of, total
from binarynet.export.c.check import answers, compiled
from binarynet.format import save
from binarynet.graph import Graph, interpret
from binarynet.graph.ir import Input, Linear, SumPool2d, Threshold
from tests.export.building import need
from tests.export.graphs import SAME, gates, moved, residual, ternary
from tests.graph.graphs import small_mlp
from tests.runtime.graphs import Maker

NARROW, NATIVE = ("-O1", "-Wall", "-Wextra", "-Werror"), ("-O1", "-march=native", "-Wall", "-Wextra", "-Werror")


def assert_equal(graph: Graph, codes: np.ndarray, folder: Path, *flags: tuple[str, ...]) -> str:
    """Every logit with ==, by the widest registers of this machine and by what any compiler has."""
    need("gcc")
    write(graph, "bitslice", folder, Options("net"))
    for chosen in flags or (NATIVE,):
        found, expected = answers(compiled(folder, "net", flags=chosen), graph, codes), interpret(graph, codes)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, err_msg=str(chosen))
    return (folder / "net.c").read_text(encoding="utf-8")


def everything() -> Maker:
    """Zeros around bits, which make bounds of their own at a border; numbers around them; groups, strides, pools; codes
    of more bits; weights of more bits; a value read twice, shuffled and joined."""
    make = Maker((7, 6, 3), "b3", seed=1)
    make.conv(6, padding=SAME)
    trunk = make.threshold()
    make.conv(4, padding=((1, 1), (2, 1)), encoding="t2", pad_value=-1)
    make.threshold(encoding="b2")
    make.conv(6, padding=((1, 1), (2, 1)), groups=2, stride=(2, 1))
    make.threshold(encoding="t2")
    make.conv(5, padding=SAME)
    make.threshold("extreme")
    make.max_pool((2, 2), (1, 1))
    make.flatten()
    left = make.last
    make.take([0, 3, 6], None, [5, 0, 0], source=trunk)
    make.conv(3, padding=((0, 1), (1, 0)), pad_value=1)
    make.threshold()
    make.flatten()
    make.concat(make.last, left)
    make.linear(3, encoding="i4")
    make.affine()
    return make


def small() -> Maker:
    make = Maker((6, 5, 1), "b8", seed=2)
    make.conv(3, padding=SAME)
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.flatten()
    make.linear(5)
    return make


def test_every_kind_of_layer_equals_the_oracle(tmp_path):
    assert_equal(everything().graph(), everything().codes(67), tmp_path)


def test_no_sanitizer_has_anything_to_say(tmp_path):
    assert_equal(small().graph(), small().codes(67), tmp_path, (*NARROW, "-fsanitize=address,undefined"))


@pytest.mark.parametrize("images", [1, 513])
def test_any_number_of_images(images, tmp_path):
    make = Maker((3, 3, 2), "u8", seed=3)
    make.conv(4)
    make.threshold()
    make.flatten()
    make.linear(3)
    assert_equal(make.graph(), make.codes(images), tmp_path)


@pytest.mark.parametrize("features", [1, 63, 65])
def test_any_number_of_inputs_and_words_of_64_bits(features, tmp_path):
    make = Maker((features,), "b8", seed=5)
    make.linear(3)
    make.threshold()
    make.linear(2)
    assert_equal(make.graph(), make.codes(66), tmp_path, NATIVE, NARROW, (*NARROW, "-DPLAIN_WORDS"))


def test_ties_negative_and_zero_gamma_and_bounds_that_nothing_reaches(tmp_path):
    depth = 5
    weight = np.array([[1, 1, 1, 1, 1]] * 8, np.int8)
    weight[1] = weight[3] = -1
    levels = np.array([[1], [1], [1], [-1], [-(2**31)], [2**31 - 1], [-5], [6]], np.int32)
    rising = np.array([True, True, False, False, True, False, True, False])
    ops = (
        Input("x", (), (depth,), "b1"),
        Linear("sum", ("x",), weight),
        Threshold("bits", ("sum",), levels, rising),
    )
    codes = (np.arange(32)[:, None] >> np.arange(depth) & 1).astype(np.uint8)
    assert_equal(Graph(ops), codes, tmp_path)


def test_accumulators_of_an_image_as_the_answer(tmp_path):
    make = Maker((4, 5, 2), "b2", seed=6)
    make.conv(5, padding=SAME, encoding="t2")
    assert_equal(make.graph(), make.codes(9), tmp_path)


def test_two_neurons_count_the_inputs_that_both_read_once():
    def gates_of(**settings: int) -> int:
        rng = np.random.default_rng(0)
        weight = rng.choice(np.array([-1, 1], np.int8), (2, 60))
        if settings:
            weight = np.kron(np.eye(2, dtype=np.int8), weight[:1])  # the same number of weights, of other inputs
        ops = (
            Input("x", (), (weight.shape[1],), "b1"),
            Linear("sum", ("x",), weight, "t2" if settings else "b1"),
            Threshold("bits", ("sum",), np.zeros((2, 1), np.int32), np.ones(2, bool)),
        )
        return network.build(Graph(ops), Options()).gates

    assert gates_of() < 0.8 * gates_of(apart=1)


def value(circuit: Circuit, wire: int, at: list[int]) -> int:
    """What a wire is where the inputs ``x0``, ``x1`` … are these."""
    kind, inputs = circuit.gates[wire >> 1]
    if kind in ("zero", "in"):
        return (at[int(str(inputs[0])[1:])] if kind == "in" else 0) ^ (wire & 1)
    a, b, c = (*(value(circuit, int(one), at) for one in inputs), 0)[:3]
    found = {"xor": a ^ b, "and": a & b, "andn": b & ~a & 1, "or": a | b}
    found |= {"xor3": a ^ b ^ c, "maj": int(a + b + c > 1), "majn": int(a + b + 1 - c > 1)}
    return found[kind] ^ (wire & 1)


def test_sums_and_bounds_of_constants_and_wires():
    rng = np.random.default_rng(0)
    for _ in range(200):
        circuit = Circuit()
        names = [circuit.input(f"x{k}") for k in range(6)]
        bits = [(int(rng.choice([*names, ZERO, ONE])) ^ int(rng.integers(2)), int(rng.integers(3))) for _ in range(9)]
        bound = int(rng.integers(-2, 40))
        wires = [at_least(circuit, columns_of(bits), bound), *total(circuit, columns_of(bits))]
        for word in range(0, 64, 7):
            values = [word >> k & 1 for k in range(6)]
            wanted = sum(value(circuit, wire, values) << e for wire, e in bits)
            met, *digits = (value(circuit, wire, values) for wire in wires)
            assert met == (wanted >= bound)
            assert sum(digit << k for k, digit in enumerate(digits)) == wanted


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (residual, r"sign3 \(Threshold\): the target bitslice has no gates for f32: .*; export it to c"),
        (gates, r"affine1 \(Affine\): the target bitslice has real numbers at the end alone, .*export it to c"),
        (ternary, r"pool5 \(MaxPool2d\): the target bitslice pools codes of one bit alone; export it to c"),
        (moved, r"\(Take\): the target bitslice moves codes alone; export it to c"),
    ],
    ids=["residual", "gates", "ternary", "moved"],
)
def test_what_no_gates_stand_for_is_refused_by_name(make, said, tmp_path):
    with pytest.raises(ExportError, match=said):
        write(make().graph(), "bitslice", tmp_path / "out", Options("net"))
    assert not (tmp_path / "out").exists()


def test_weights_beyond_all_bounds_and_accumulators_read_twice_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "_MOST_GATES", 100)
    with pytest.raises(ExportError, match=r"conv1 \(Conv2d\): .* unrolls weights into gates, .*more than 100"):
        write(small().graph(), "bitslice", tmp_path)
    make = Maker((9,), "b1")
    total_ = make.linear(4)
    left = make.threshold()
    make.concat(left, make.threshold(source=total_))
    with pytest.raises(ExportError, match=r"keeps no accumulators, and more than one threshold"):
        write(make.graph(), "bitslice", tmp_path)
    assert "has no gates for it" in (refuses(SumPool2d, None, None) or "")


def test_any_name_of_an_op_becomes_an_identifier_of_its_own(tmp_path):
    names = ("int", "3.5'", "a.b", "a_b", "naïve */ x", "memset", "slice", "run", "XOR3", "y", "m", "reg", "net_logits")
    make = Maker((5,), "u8")
    for _ in range(6):
        make.linear(4)
        make.threshold()
    graph = make.graph()
    renamed = {op.name: name for op, name in zip(graph.ops[1:], names, strict=False)}
    ops = [
        replace(op, name=renamed.get(op.name, op.name), sources=tuple(renamed.get(s, s) for s in op.sources))
        for op in graph.ops
    ]
    assert_equal(Graph(tuple(ops), {"note": "ends early */ #error ??/"}), make.codes(3), tmp_path)


def test_it_is_compiled_with_clang_and_used_from_c_plus_plus(tmp_path):
    need("clang", "g++")
    make = small()
    graph, codes = make.graph(), make.codes(9)
    write(graph, "bitslice", tmp_path, Options("net"))
    np.testing.assert_array_equal(
        answers(compiled(tmp_path, "net", "clang", NATIVE), graph, codes), interpret(graph, codes)
    )
    (tmp_path / "use.cpp").write_text('#include "net.h"\nint main() { net_free(net_new()); }\n')
    subprocess.run(["g++", "-fsyntax-only", "-Wall", "-Werror", "use.cpp"], cwd=tmp_path, check=True)


def test_the_command_compares_and_says_how_many_images_a_second(tmp_path, capsys):
    need("gcc")
    save(small_mlp(features=64, classes=10), tmp_path / "digits.bnn")
    arguments = ["--to", "bitslice", "--out", str(tmp_path / "out"), "--check", "digits"]
    assert main(["export", str(tmp_path / "digits.bnn"), *arguments]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "bitslice on digits test: 296/296 equal logits with the oracle; " in said
    assert "images a second of processor time on one core" in said
