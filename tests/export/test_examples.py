"""The examples as their readers run them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from binarynet.data import load_split
from binarynet.export import Options, write
from binarynet.format import save
from binarynet.graph import interpret
from tests.export.building import need
from tests.export.graphs import SAME, Whole
from tests.graph.graphs import small_convnet, small_mlp

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def mcu():
    """examples/deploy_mcu/run.py as a module."""
    spec = importlib.util.spec_from_file_location("deploy_mcu", EXAMPLES / "deploy_mcu" / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["deploy_mcu"] = module
    spec.loader.exec_module(module)
    return module


def test_a_program_of_ones_own_links_with_the_network(tmp_path):
    need("gcc")
    graph = small_convnet()
    write(graph, "c", tmp_path, Options("net"))
    sources = ["net.c", str(EXAMPLES / "deploy_c" / "embed.c")]
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Werror", "-I.", "-o", "embed", *sources], cwd=tmp_path, check=True)
    codes = np.random.default_rng(0).integers(0, 256, (1, *graph.input.shape), np.uint8)
    done = subprocess.run([tmp_path / "embed"], input=codes.tobytes(), capture_output=True, check=True)
    assert int(done.stdout) == interpret(graph, codes).argmax()


def test_the_script_of_the_c_example_runs_from_nothing(tmp_path):
    need("gcc", "make")
    paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["sh", str(EXAMPLES / "deploy_c" / "run.sh"), str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "c on digits test: 296/296 equal logits with the oracle" in done.stdout
    *_, program, embedded = done.stdout.splitlines()
    assert program.split()[0] == embedded.split()[0]


def test_the_table_of_the_small_chips_is_one_command_and_counts_what_is_skipped(mcu, tmp_path):
    save(small_mlp(features=64, hidden=32, classes=10), tmp_path / "net.bnn")
    command = [sys.executable, str(EXAMPLES / "deploy_mcu" / "run.py"), str(tmp_path / "net.bnn"), "--images", "30"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    there = [core for core in mcu.CORES if not core.tools.missing()]
    assert done.stdout.count("30/30") == len(there)
    skipped = len(mcu.CORES) - len(there)
    assert (f"{skipped} skipped: " in done.stdout) == bool(skipped)


def test_a_core_without_its_tools_is_skipped_by_name(mcu, monkeypatch, capsys):
    monkeypatch.setattr(mcu.shutil, "which", lambda name: None)
    graph = small_mlp(features=64, hidden=32, classes=10)
    assert mcu.table(graph, np.zeros((1, 64), np.uint8), list(mcu.CORES), ("-O2",))
    said = capsys.readouterr().out
    assert f"{len(mcu.CORES)} skipped: " in said
    assert "ATmega328P (apt-get install gcc-avr avr-libc simavr)" in said


def core_of(mcu, name):
    """A core by its name, if its tools are there."""
    core = next(core for core in mcu.CORES if core.name == name)
    if core.tools.missing():
        pytest.skip(core.tools.missing())
    return core


CORES = ("Cortex-M0+", "Cortex-M3", "Cortex-M4", "RV32IMC", "RV32IMC_Zbb", "ATmega328P")


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("flags", ["-O2", "-Os"])
def test_a_small_chip_answers_what_the_oracle_answers(mcu, name, flags, tmp_path):
    core = core_of(mcu, name)
    graph = small_mlp(features=64, hidden=32, classes=10)
    codes = load_split("digits", "test").images.reshape(-1, 64)[:60]
    found = mcu.measure(graph, codes, core, tmp_path, (flags,))
    np.testing.assert_array_equal(found.answers, interpret(graph, codes))
    assert 1_000 < found.instructions < 200_000
    assert found.tables < found.flash < 16_000
    assert 0 < found.stack < 1_000


@pytest.mark.parametrize("name", ["Cortex-M0+", "ATmega328P"])
def test_a_small_chip_runs_layers_of_many_encodings(mcu, name, tmp_path):
    core = core_of(mcu, name)
    make = Whole((5, 5, 3), "b8", seed=3)
    make.conv(32, padding=SAME, encoding="b1")
    make.threshold(encoding="b1")
    make.max_pool((2, 2), (2, 2))
    make.conv(5, padding=SAME, encoding="t2")
    make.threshold(encoding="u2")
    make.flatten()
    make.linear(4, encoding="i4")
    codes = make.codes(20)
    found = mcu.measure(make.graph(), codes, core, tmp_path)
    np.testing.assert_array_equal(found.answers, interpret(make.graph(), codes))


def lanes(hidden: int) -> Whole:
    make = Whole((64,), "b8", seed=hidden)
    make.linear(hidden)
    make.threshold()
    make.linear(10)
    return make


def test_the_class_alone_takes_less_flash_and_is_that_of_the_oracle(mcu, tmp_path):
    core = core_of(mcu, "Cortex-M0+")
    make = lanes(64)
    make.affine()
    codes = make.codes(20)
    whole = mcu.measure(make.graph(), codes, core, tmp_path / "logits")
    alone = mcu.measure(make.graph(), codes, core, tmp_path / "class", class_alone=True)
    expected = interpret(make.graph(), codes).argmax(axis=1)
    np.testing.assert_array_equal(alone.answers.argmax(axis=1), expected)
    assert alone.flash < whole.flash - 500  # floats in software are not linked


def test_constant_time_is_the_same_number_of_instructions_for_every_image(mcu, tmp_path):
    core = core_of(mcu, "RV32IMC")
    make = Whole((6, 5, 2), "b8", seed=4)
    make.conv(32, padding=SAME)
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.conv(9, padding=SAME)
    make.threshold()
    make.flatten()
    make.linear(10)
    make.affine()
    ends = [np.zeros((1, 6, 5, 2), np.uint8), np.full((1, 6, 5, 2), 255, np.uint8)]
    codes = np.concatenate([make.codes(4), *ends])
    fixed = mcu.measure(make.graph(), codes, core, tmp_path / "fixed", constant_time=True, class_alone=True)
    assert len(set(fixed.each)) == 1
    free = mcu.measure(make.graph(), codes, core, tmp_path / "free", class_alone=True)
    assert len(set(free.each)) > 1
    np.testing.assert_array_equal(fixed.answers, free.answers)


def test_instructions_grow_with_the_work(mcu, tmp_path):
    core = core_of(mcu, "Cortex-M3")
    codes = lanes(32).codes(2)
    few, more = (mcu.measure(lanes(n).graph(), codes, core, tmp_path / str(n)).instructions for n in (32, 64))
    assert more - few > 64 * 8 / 2  # a word more for each bit that is set


@pytest.mark.parametrize("name", ["Cortex-M3", "Cortex-M4", "RV32IMC"])  # with and without SMLAD
def test_the_int8_net_that_it_is_measured_beside_answers_what_numpy_answers(mcu, name, tmp_path):
    core = core_of(mcu, name)
    make = Whole((7, 7, 1), "b8", seed=5)
    for channels in (6, 8):
        make.conv(channels, padding=SAME)
        make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.flatten()
    make.linear(10)
    make.threshold()
    make.linear(4)
    make.affine()
    codes = make.codes(3)
    found = mcu.measure(make.graph(), codes, core, tmp_path, int8=True)
    expected = mcu.int8.reference(make.graph(), codes)
    np.testing.assert_array_equal(found.answers, expected)
    assert len(np.unique(expected)) > 6
    assert found.instructions > mcu.int8.macs(make.graph())


def test_an_int8_net_of_other_shapes_is_refused_by_name(mcu):
    make = Whole((7, 7, 1), "b8", seed=6)
    make.conv(5)
    with pytest.raises(ValueError, match="conv1: --int8 takes"):
        mcu.int8.layers(make.graph())
