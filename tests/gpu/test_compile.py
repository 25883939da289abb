"""Kernels compile for real GPUs, without one: to machine code with the instructions that they are about, and no spills.

Triton compiles for a target by name. It cannot do so in a process in which kernels are interpreted, so a child process
compiles them and prints what it finds in the cubins. What has been compiled once stays in pytest's cache. A few tiles
are seen here; ``BINARYNET_GPU_TILES=all`` (`make check-gpu-tiles`) goes through every one that is ever tuned over.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TARGETS = (80, 90)
WHICH = "all" if os.environ.get("BINARYNET_GPU_TILES") == "all" else "few"


@pytest.fixture(scope="module")
def found(request):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(request.config.cache.mkdir("triton"))}
    environment.pop("TRITON_INTERPRET", None)
    root = Path(__file__).parents[2]
    environment["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "tests.gpu.compiling", WHICH, *map(str, TARGETS)]
    child = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-3000:]
    return json.loads(child.stdout)


def of(found, *kernels: str, target: int | None = None) -> dict[str, dict]:
    """Those of the kernels whose names begin so, of one target or all."""
    return {
        name: counts
        for name, counts in found.items()
        if name.startswith(kernels) and (target is None or name.endswith(f"@ {target}"))
    }


def test_every_tile_compiles_to_machine_code_of_its_target(found):
    assert len(found) >= {"few": 13, "all": 85}[WHICH] * len(TARGETS)
    for target, written in ((80, "sm_80"), (90, "sm_90a")):
        assert {counts["ptx"] for counts in of(found, "", target=target).values()} == {written}


def test_no_tile_that_is_tuned_over_spills(found):
    spilled = {name: counts for name, counts in found.items() if counts["stack"] or counts["LDL"] or counts["STL"]}
    assert not spilled


def test_counting_bits_is_one_instruction_for_each_word(found):
    """As many as sums a thread holds, times the two halves of the loop's word; a loop of planes is not unrolled."""
    for name, counts in of(found, "xnor").items():
        sizes = dict(part.split() for part in name.split("[")[1].split("]")[0].split(", "))
        sums = int(sizes["BM"]) * int(sizes["BN"]) if "BM" in sizes else 0
        if sums:
            assert counts["POPC"] == sums * 2 // (32 * int(sizes["num_warps"])), name
        assert counts["POPC"] == counts["popc.b32"] > 0, name


def test_few_rows_share_each_weight_that_is_read(found):
    """Four rows count four times for a word, and nothing but the sums at the end goes through shared memory."""
    for name, counts in of(found, "xnor_row, 4").items():
        assert counts["STS"] + counts["LDS"] <= 8, name


@pytest.mark.parametrize(("target", "instruction"), [(80, "IMMA"), (90, "IGMMA")])
def test_expanded_bits_are_multiplied_by_int8_tensor_core_instructions(found, target, instruction):
    for name, counts in of(found, "bit_dot", "octet_dot", "flat_dot, b8", target=target).items():
        # Hopper's instruction has 64 rows; a tile of 16, whose operands are not swapped, takes that of a warp.
        assert counts[instruction] or ("[BM 16," in name and counts["IMMA"]), name


def test_a_digit_of_the_weights_goes_from_registers_into_the_tensor_cores(found):
    """On 9.0 the left operand of all eight products is registers, and no barrier stands between two of them."""
    for name, counts in of(found, "bit_dot", target=90).items():
        if ", i8" not in name:
            assert counts["IGMMA of registers"] == counts["IGMMA"] >= 8, name
            assert counts["barriers between IGMMA"] == 0, name


@pytest.mark.parametrize(("target", "instruction"), [(80, "HMMA"), (90, "HGMMA")])
def test_reals_are_multiplied_by_tensor_cores_where_weights_are_packed(found, target, instruction):
    for name, counts in of(found, "flat_dot, f32", target=target).items():
        if "f32 weights" not in name:
            assert counts[instruction] or counts["HMMA"], name


def test_an_affine_is_never_one_fused_multiply_add(found):
    for name, counts in of(found, "xnor_tile, affine", "bit_dot, affine", "octet_dot, affine").items():
        assert not counts["fma.rn"], name
        assert counts["mul.f32"] + counts["mul.rn.f32"], name
        assert counts["add.f32"] + counts["add.rn.f32"], name


def test_the_papers_baseline_is_16_multiply_adds_between_two_barriers(found):
    for name, counts in of(found, "tiled_gemm").items():
        assert counts["FFMA"] == 16, name
        assert counts["BAR.SYNC"] == 2, name
        assert counts["shared"] == 2 * 16 * 16 * 4, name
