"""Every kernel compiles for real GPUs, without one: to PTX and machine code, with the instructions that it is about.

Triton compiles for a target by name. It cannot do so in a process in which kernels are interpreted, so one child
process compiles all of them and prints what it counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TARGETS = (80, 90)
# Elements of a thread × words in the loop's body × planes: each is one instruction.
POPCOUNTS = {
    "xnor_tile": 16 * 2,
    "xnor_tile, affine": 16 * 2,
    "xnor_tile, b8 conv": 4 * 2 * 8,
    "xnor_row": 16,
    "xnor_row, conv": 16,
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton"))}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, str(Path(__file__).with_name("compiling.py")), *map(str, TARGETS)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-3000:]
    return json.loads(child.stdout)


@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_compiles_to_machine_code(found, target):
    mine = {name: counts for name, counts in found.items() if name.endswith(f"@ {target}")}
    assert len(mine) == 19
    assert all(counts["machine code"] for counts in mine.values())


@pytest.mark.parametrize("target", TARGETS)
def test_counting_bits_is_one_instruction_for_each_word(found, target):
    for name, counts in found.items():
        if name.startswith("xnor") and name.endswith(str(target)):
            assert counts["popc.b32"] == POPCOUNTS[name.split(" @")[0]], name


@pytest.mark.parametrize(("target", "instruction"), [(80, "mma.sync"), (90, "wgmma.mma_async")])
def test_expanded_bits_are_multiplied_by_int8_tensor_core_instructions(found, target, instruction):
    for name in ("bit_dot", "bit_dot, conv", "bit_dot, t2", "bit_dot, affine", "flat_dot, b8"):
        counts = found[f"{name} @ {target}"]
        assert counts[instruction], name
        assert counts[".s8.s8"], name


@pytest.mark.parametrize("target", TARGETS)
def test_an_affine_is_never_one_fused_multiply_add(found, target):
    for name in ("xnor_tile, affine", "bit_dot, affine"):
        counts = found[f"{name} @ {target}"]
        assert not counts["fma.rn"], name
        assert counts["mul.f32"] + counts["mul.rn.f32"], name
        assert counts["add.f32"] + counts["add.rn.f32"], name
