"""The C target: compiled with every warning an error, run under sanitizers, equal to the oracle."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binarynet.errors import ExportError
from binarynet.export import Options, write
from binarynet.export.c.check import answers, compiled
from binarynet.export.c.options import Options as COptions
from binarynet.export.options import WordOptions
from binarynet.graph import Encoding, Graph, Op, interpret
from binarynet.graph.functions import FUNCTIONS
from binarynet.graph.ir import Add, Affine, Apply, Input, Linear, PRelu, Relu, Threshold
from tests.export.building import CHECKED, STRICT, assert_c_equals_the_oracle, need
from tests.export.graphs import CODES, MAKERS, WEIGHTS, convnet, gates, residual, wide_nets
from tests.graph.graphs import small_convnet, small_mlp
from tests.runtime.graphs import Maker
from tests.runtime.test_property import convnets, mlps

WORDS = st.sampled_from([32, 64])
FEW = settings(derandomize=True, database=None, deadline=None, max_examples=5, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("word", [32, 64])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_kind_of_network_equals_the_oracle_under_sanitizers(make, word, tmp_path):
    made = make()
    assert_c_equals_the_oracle(made.graph(), made.codes(9), tmp_path, word)


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("make", [convnet, residual], ids=lambda make: make.__name__)
def test_both_compilers_take_it_with_all_warnings_as_errors(make, cc, tmp_path):
    made = make()
    assert_c_equals_the_oracle(made.graph(), made.codes(20), tmp_path, cc=cc, flags=STRICT)


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
@pytest.mark.parametrize("cc", ["g++", "clang++"])
def test_it_is_c_plus_plus_as_well(cc, standard, tmp_path):
    need(cc)
    strict = [cc, f"-std={standard}", "-x", "c++", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
    for number, make in enumerate(MAKERS):
        folder = tmp_path / str(number)
        write(renamed(make().graph(), {"conv1": "xor", "linear1": "constexpr"}), "c", folder, Options("net"))
        subprocess.run([*strict, "net.c", "main.c"], cwd=folder, check=True)
    made = residual()
    write(made.graph(), "c", tmp_path, Options("net"))
    subprocess.run([*strict[:-1], "-o", "net", "net.c", "main.c"], cwd=tmp_path, check=True)
    codes = made.codes(9)
    np.testing.assert_array_equal(answers(tmp_path / "net", made.graph(), codes), interpret(made.graph(), codes))


@pytest.mark.parametrize(
    "flags", [("-O3", "-march=native"), ("-O3", "-std=gnu11", "-march=native", "-ffp-contract=fast")]
)
@pytest.mark.parametrize("make", [residual, gates], ids=lambda make: make.__name__)
def test_popcount_instructions_and_fused_arithmetic_change_nothing(make, flags, tmp_path):
    made = make()
    assert_c_equals_the_oracle(made.graph(), made.codes(20), tmp_path, flags=flags)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_makes_the_same_bits(function, tmp_path):
    graph = Graph((Input("x", (), (2000,), "f32"), Apply("y", ("x",), function)))
    spread = np.random.default_rng(1)
    x = (spread.normal(size=(9, 2000)) * 10.0 ** spread.uniform(-6, 2.5, (9, 2000))).astype(np.float32)
    x = np.abs(x) if function == "sqrt" else x
    assert_c_equals_the_oracle(graph, x, tmp_path, flags=("-O3", "-march=native", "-ffp-contract=fast"))


@FEW
@given(convnets(), WORDS)
def test_any_convnet_equals_the_oracle(make, word):
    with tempfile.TemporaryDirectory() as folder:
        assert_c_equals_the_oracle(make.graph(), make.codes(3), Path(folder), word)


@FEW
@given(mlps(), WORDS)
def test_any_mlp_equals_the_oracle(make, word):
    with tempfile.TemporaryDirectory() as folder:
        assert_c_equals_the_oracle(make.graph(), make.codes(3), Path(folder), word)


@FEW
@given(wide_nets(), WORDS)
def test_any_encoding_equals_the_oracle(make, word):
    with tempfile.TemporaryDirectory() as folder:
        assert_c_equals_the_oracle(make.graph(), make.codes(3), Path(folder), word)


@pytest.mark.parametrize("word", [32, 64])
def test_a_long_row_whose_bits_all_differ_does_not_overflow_the_counts_of_a_byte(word, tmp_path):
    depth = 5001
    weight = np.concatenate([np.full((1, depth), -1, np.int8), np.full((1, depth), 1, np.int8)])
    graph = Graph((Input("input", (), (depth,), "b8"), Linear("classes", ("input",), weight)))
    codes = np.concatenate([np.full((1, depth), 255, np.uint8), np.zeros((1, depth), np.uint8)])
    assert_c_equals_the_oracle(graph, codes, tmp_path, word)


def test_sums_that_leave_32_bits_on_the_way_come_back_right(tmp_path):
    depth = 40_000  # 40,000 · 255 · 127 fits 31 bits, twice that does not
    weight = np.full((2, depth), 127, np.int8)
    weight[1] = -127
    graph = Graph((Input("input", (), (depth,), "b8"), Linear("classes", ("input",), weight, "b7")))
    codes = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (3, depth), p=[0.05, 0.95])
    codes[0] = 255
    assert_c_equals_the_oracle(graph, codes, tmp_path)


def test_thresholds_at_the_ends_of_their_types_and_infinite_ones(tmp_path):
    make = Maker((6,), "b1")
    make.linear(4)
    ends = np.array([[-(2**31)], [2**31 - 1], [-6], [7]], np.int32)
    make._add(Threshold("ends", (make.last,), ends, np.array([True, True, False, False])))
    make.linear(3)
    make.affine()
    reals = np.array([[np.inf], [-np.inf], [0]], np.float32)
    make._add(Threshold("reals", (make.last,), reals, np.ones(3, bool)))
    text = assert_c_equals_the_oracle(make.graph(), make.codes(16), tmp_path)
    assert "static const FLASH int8_t ends_threshold[4]" in text  # they decide nothing, and need no 32 bits
    assert "INFINITY" in text


NAMES = ("int", "3.5'", "a.b", "a_b", "naïve */ x", "memset", "run_a_b", "xor_count", "image", "logits")


def renamed(graph: Graph, names: dict[str, str]) -> Graph:
    ops = [
        replace(op, name=names.get(op.name, op.name), sources=tuple(names.get(s, s) for s in op.sources))
        for op in graph.ops
    ]
    return Graph(tuple(ops), {"note": "ends early */ #error ??/"})


def test_any_name_of_an_op_becomes_an_identifier_of_its_own(tmp_path):
    make = Maker((5,), "u8")
    for _ in range(5):
        make.linear(4)
        make.threshold()
    graph = make.graph()
    assert len(graph.ops) == len(NAMES) + 1
    graph = renamed(graph, {op.name: name for op, name in zip(graph.ops[1:], NAMES, strict=True)})
    text = assert_c_equals_the_oracle(graph, make.codes(4), tmp_path)
    functions = re.findall(r"^static void (\w+)", text, re.MULTILINE)
    assert {"run_int", "run_a_b", "run_a_b_2"} & set(functions) == {"run_int", "run_a_b"}


@pytest.mark.parametrize("api", ["", "2net", "int", "a-b", "é", "x" * 41])
def test_an_api_prefix_that_is_no_identifier_is_refused(api):
    with pytest.raises(ExportError, match="not an identifier of C"):
        Options(api)


def test_words_are_of_sizes_that_a_target_knows():
    with pytest.raises(ExportError, match="choose 16, 32, 64"):
        COptions(word=8)
    with pytest.raises(ExportError, match="choose 32, 64"):
        WordOptions(word=16)


def test_integer_networks_hold_no_float_and_call_nothing_but_memset(tmp_path):
    need("gcc", "nm")
    text = assert_c_equals_the_oracle(small_convnet(), Maker((6, 6, 3), "b8").codes(2), tmp_path, flags=STRICT)
    assert "float" not in text
    assert set(re.findall(r"#include (\S+)", text)) == {'"net.h"', "<string.h>"}
    subprocess.run(["gcc", "-std=c99", "-O0", "-c", "net.c"], cwd=tmp_path, check=True)
    undefined = subprocess.run(["nm", "-u", "net.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert {name for name in re.findall(r"U (\w+)", undefined) if not name.startswith("_")} == {"memset"}


def test_the_head_says_what_it_is_and_what_it_costs(tmp_path):
    write(small_convnet(), "c", tmp_path, WordOptions("small", "binarynet export small.bnn --to c", word=32))
    head = (tmp_path / "small.h").read_text(encoding="utf-8")
    assert re.search(r"Model: sha256 [0-9a-f]{64}", head)
    assert "Command: binarynet export small.bnn --to c" in head
    assert "conv1, sign1: 6x6x3 b8 -> 6x6x7 b1" in head
    flash, arena = (int(re.search(rf"([\d,]+)  {what}", head)[1].replace(",", "")) for what in ("tables", "arena"))
    assert f"SMALL_ARENA_BYTES {arena}\n" in head
    tables = sum(map(int, re.findall(r"^ *([\d,]+)  \w+.*->", head.replace(" * ", ""), re.MULTILINE)))
    assert tables == flash


def test_the_arena_is_as_large_as_needed_and_keeps_nothing_between_runs(tmp_path):
    need("gcc")
    made = convnet()
    graph, codes = made.graph(), made.codes(6)
    write(graph, "c", tmp_path, Options("net"))
    # Another main: the arena is full of garbage before every run, and a redzone of the sanitizer lies behind it.
    main = (tmp_path / "main.c").read_text()
    call = "net_logits(image, logits, &arena);"
    assert call in main
    (tmp_path / "main.c").write_text(main.replace(call, f"memset(&arena, 0xa5, sizeof arena);\n{call}"))
    found = answers(compiled(tmp_path, "net", "gcc", CHECKED), graph, codes)
    np.testing.assert_array_equal(found, interpret(graph, codes))


def test_main_reads_a_file_names_the_classes_and_refuses_half_an_image(tmp_path):
    need("gcc")
    graph = small_mlp()
    codes = np.random.default_rng(0).integers(0, 256, (5, 10), np.uint8)
    write(graph, "c", tmp_path, Options("net"))
    program = compiled(tmp_path, "net", "gcc", STRICT)
    classes = interpret(graph, codes).argmax(axis=1)
    (tmp_path / "images.raw").write_bytes(codes.tobytes())
    done = subprocess.run([program, tmp_path / "images.raw"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{c} {graph.classes[c]}" for c in classes]
    done = subprocess.run([program], input=codes.tobytes()[:-1], capture_output=True)
    assert done.returncode == 1
    assert b"the last image is not whole: it has 9 bytes" in done.stderr
    done = subprocess.run([program, tmp_path / "absent"], capture_output=True)
    assert done.returncode == 1


def test_the_makefile_builds_what_it_says(tmp_path):
    need("gcc")
    graph = small_mlp()
    write(graph, "c", tmp_path, Options("net"))
    subprocess.run(["make", "-s", "-C", tmp_path, "CC=gcc"], check=True)
    codes = np.random.default_rng(1).integers(0, 256, (4, 10), np.uint8)
    np.testing.assert_array_equal(answers(tmp_path / "net", graph, codes), interpret(graph, codes))


def test_a_compiler_that_refuses_is_quoted(tmp_path):
    need("gcc")
    write(small_mlp(), "c", tmp_path, Options("net"))
    (tmp_path / "net.c").write_text('#error "no"\n')
    with pytest.raises(ExportError, match="error"):
        compiled(tmp_path, "net", "gcc")


def test_every_encoding_of_the_tests_is_one_of_the_graph():
    for name in (*WEIGHTS, *CODES):
        assert str(Encoding.parse(name)) == name


def overflowing(*last: Op) -> Graph:
    """∞ − ∞ in some places, and numbers in others."""
    huge = np.full(2, 3e38, np.float32)
    zero = np.zeros(2, np.float32)
    head = (Input("x", (), (2,), "f32"), Affine("a", ("x",), huge, zero), Affine("b", ("x",), -huge, zero))
    return Graph((*head, Add("s", ("a", "b")), *last))


@pytest.mark.parametrize(
    "last",
    [
        (Relu("r", ("s",)),),
        (PRelu("r", ("s",), np.array([0.5, 2], np.float32)),),
        (Threshold("t", ("s",), np.zeros((2, 1), np.float32), np.array([True, False])),),
        (Relu("r", ("s",)), Threshold("t", ("r",), np.zeros((2, 3), np.float32), np.array([True, False]), "u2")),
    ],
    ids=lambda ops: " ".join(type(op).__name__ for op in ops),
)
def test_what_is_no_number_stays_none_in_c_as_it_does_in_the_oracle(last, tmp_path):
    need("gcc")
    graph = overflowing(*last)
    x = np.array([[1e5, 1], [1, -1e5], [0, -0.0], [1e5, -1e5]], np.float32)
    write(graph, "c", tmp_path, Options("net"))
    raw = subprocess.run(
        [compiled(tmp_path, "net", "gcc"), "--logits"], input=x.tobytes(), capture_output=True, check=True
    )
    found = [[float(number) for number in line.split()[1:3]] for line in raw.stdout.decode().splitlines()]
    with np.errstate(all="ignore"):
        expected = interpret(graph, x)
    np.testing.assert_array_equal(np.array(found, np.float32), expected.astype(np.float32))
