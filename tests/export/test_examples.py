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


def test_the_table_of_the_microcontrollers_is_one_command(tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    save(small_mlp(features=64, hidden=32, classes=10), tmp_path / "net.bnn")
    command = [sys.executable, str(EXAMPLES / "deploy_mcu" / "run.py"), str(tmp_path / "net.bnn")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("296/296") == 3


@pytest.mark.parametrize("core", [0, 1, 2], ids=["cortex-m0plus", "cortex-m3", "cortex-m4"])
def test_a_microcontroller_answers_what_the_oracle_answers(mcu, core, tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    graph = small_mlp(features=64, hidden=32, classes=10)
    codes = load_split("digits", "test").images.reshape(-1, 64)
    found = mcu.measure(graph, codes, mcu.CORES[core], tmp_path)
    np.testing.assert_array_equal(found.answers, interpret(graph, codes))
    assert 1_000 < found.instructions < 100_000
    assert 500 < found.flash < 10_000
    assert 0 < found.stack < 1_000


def test_a_microcontroller_runs_convolutions_of_many_encodings(mcu, tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    make = Whole((5, 5, 3), "b8", seed=3)
    make.conv(6, padding=SAME, encoding="b1")
    make.threshold(encoding="b1")
    make.max_pool((2, 2), (2, 2))
    make.conv(5, padding=SAME, encoding="t2")
    make.threshold(encoding="u2")
    make.flatten()
    make.linear(4, encoding="i4")
    codes = make.codes(20)
    found = mcu.measure(make.graph(), codes, mcu.CORES[0], tmp_path)
    np.testing.assert_array_equal(found.answers, interpret(make.graph(), codes))


def test_instructions_grow_with_the_work(mcu, tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    counts = []
    for hidden in (16, 32):
        graph = small_mlp(features=64, hidden=hidden, classes=10)
        codes = np.zeros((2, 64), np.uint8)
        folder = tmp_path / str(hidden)
        counts.append(mcu.measure(graph, codes, mcu.CORES[1], folder).instructions)
    # 16 channels more, each of 8 planes of 2 words, and more than one instruction a word.
    assert counts[1] - counts[0] > 16 * 8 * 2
