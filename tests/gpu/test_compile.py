"""Every kernel compiles for real GPUs, without one: to PTX and machine code, with the instructions that it is about.

Triton compiles for a target by name. It cannot do so in a process in which kernels are interpreted, so one child
process compiles all of them and prints what it counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

TARGETS = (80, 90)

CHILD = r"""
import json, re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from binarynet.gpu import dot, pointwise, xnor
from binarynet.gpu.language import ACCUMULATOR, AFFINE, BITS, CODES

WORDS, BYTES, REALS = "*i32", "*u8", "*fp32"
POINTERS = {"x": WORDS, "weight": WORDS, "out": WORDS, "base": WORDS, "kinds": WORDS, "thresholds": WORDS,
            "rising": "*i8", "scale": REALS, "offset": REALS, "minimum": WORDS, "a": REALS, "b": REALS}
CONV = (8, 8, 8, 8, 3, 1, 1, 1, 1, 1, 1)
NONE = {"thresholds": None, "rising": None, "scale": None, "offset": None, "kinds": None}
FINISH = {
    "bits": dict(MODE=BITS.value, LEVELS=1, LOW=0, STEP=0, scale=None, offset=None),
    "codes": dict(MODE=CODES.value, LEVELS=3, LOW=0, STEP=1, scale=None, offset=None),
    "affine": dict(MODE=AFFINE.value, LEVELS=0, LOW=0, STEP=0, thresholds=None, rising=None),
    "sums": dict(MODE=ACCUMULATOR.value, LEVELS=0, LOW=0, STEP=0, thresholds=None, rising=None, scale=None, offset=None),
}
MATRIX, IMAGE = dict(GEOMETRY=None, kinds=None), dict(GEOMETRY=CONV)
SIGNS, TERNARY = dict(DIGITS=((-1, 1),), PLANES=1), dict(DIGITS=((0, -1), (0, 2)), PLANES=2)
TILE = dict(BM=64, BN=64)
POOL = dict(HEIGHT=8, WIDTH=8, ROWS=4, COLUMNS=4, KERNEL_Y=2, KERNEL_X=2, STRIDE_Y=2, STRIDE_X=2, TOP=0, LEFT=0)

def codes(**given):
    return dict(dict(X_SCALE=2, X_OFFSET=1, PAD=0, REAL=False, UNITS=27, BK=64, **TILE), **given)

CASES = {  # name: (kernel, constants, types that are not words, fused multiply-add)
    "xnor_tile": (xnor.xnor_tile, dict(PLANES=1, UNITS=4, UNROLL=2, **TILE, **FINISH["bits"], **MATRIX), {}, False),
    "xnor_tile, b8 conv": (xnor.xnor_tile, dict(PLANES=8, UNITS=4, UNROLL=2, **TILE, **FINISH["bits"], **IMAGE), {}, False),
    "xnor_tile, affine": (xnor.xnor_tile, dict(PLANES=1, UNITS=4, UNROLL=2, **TILE, **FINISH["affine"], **MATRIX), {}, False),
    "xnor_row": (xnor.xnor_row, dict(PLANES=1, UNITS=4, BK=64, BN=32, **FINISH["sums"], **MATRIX), {}, False),
    "xnor_row, conv": (xnor.xnor_row, dict(PLANES=1, UNITS=4, BK=64, BN=32, **FINISH["codes"], **IMAGE), {}, False),
    "bit_dot": (dot.bit_dot, dict(UNITS=16, BK=64, **SIGNS, **TILE, **FINISH["bits"], **MATRIX), {"x": BYTES, "weight": BYTES}, False),
    "bit_dot, conv": (dot.bit_dot, dict(UNITS=16, BK=64, **SIGNS, **TILE, **FINISH["bits"], **IMAGE), {"x": BYTES, "weight": BYTES}, False),
    "bit_dot, t2": (dot.bit_dot, dict(UNITS=16, BK=64, **TERNARY, **TILE, **FINISH["codes"], **MATRIX), {"x": BYTES, "weight": BYTES}, False),
    "bit_dot, affine": (dot.bit_dot, dict(UNITS=16, BK=64, **SIGNS, **TILE, **FINISH["affine"], **MATRIX), {"x": BYTES, "weight": BYTES}, False),
    "bit_dot, 16 rows": (dot.bit_dot, dict(UNITS=16, BK=128, BM=16, BN=64, **SIGNS, **FINISH["sums"], **MATRIX), {"x": BYTES, "weight": BYTES}, False),
    "flat_dot, b8": (dot.flat_dot, codes(**SIGNS, **FINISH["bits"], **IMAGE), {"x": "*i8"}, True),
    "flat_dot, f32": (dot.flat_dot, codes(REAL=True, **SIGNS, **FINISH["sums"], **MATRIX), {"x": REALS}, True),
    "flat_dot, f32 weights": (dot.flat_dot, codes(REAL=True, DIGITS=None, PLANES=0, **FINISH["sums"], **IMAGE), {"x": REALS, "weight": REALS}, True),
    "quantize": (pointwise.quantize, dict(MODE=BITS.value, LEVELS=1, LOW=0, STEP=0, BM=16, BN=64), {"x": REALS, "thresholds": REALS}, True),
    "quantize, sign": (pointwise.quantize, dict(MODE=BITS.value, LEVELS=1, LOW=0, STEP=0, BM=16, BN=64, thresholds=None, rising=None), {"x": "*i8"}, True),
    "digits": (pointwise.digits, dict(BM=16, BN=64), {"x": BYTES}, True),
    "signs": (pointwise.signs, dict(BM=16, BN=64), {"out": "*i8"}, True),
    "pool": (pointwise.pool, dict(BLOCK=1024, **POOL), {}, True),
    "naive_gemm": (pointwise.naive_gemm, dict(BLOCK=256), {"out": REALS}, True),
}
WANTED = ("popc.b32", "wgmma.mma_async", "mma.sync", ".s8.s8", "fma.rn.f32", "mul.f32", "mul.rn.f32", "add.f32", "add.rn.f32")
found = {}
for target in map(int, sys.argv[1:]):
    for name, (kernel, constants, types, fused) in CASES.items():
        function = getattr(kernel, "fn", kernel)
        names = function.arg_names
        output = {BITS.value: WORDS, CODES.value: "*i8", AFFINE.value: REALS, ACCUMULATOR.value: WORDS}
        kinds = dict(POINTERS, **({"out": output[constants["MODE"]]} if "MODE" in constants else {}), **types)
        if constants.get("REAL"):
            kinds["out"] = REALS
        signature = {n: kinds.get(n, "i32") for n in names if n not in constants}
        aligned = {(names.index(n),): [["tt.divisibility", 16]] for n, kind in signature.items() if kind[0] == "*"}
        source = ASTSource(
            fn=function,
            signature={n: signature.get(n, "constexpr") for n in names},
            constexprs={(names.index(n),): value for n, value in constants.items()},
            attrs=aligned,
        )
        built = triton.compile(source, target=GPUTarget("cuda", target, 32), options={"enable_fp_fusion": fused})
        found[f"{name} @ {target}"] = {what: built.asm["ptx"].count(what) for what in WANTED} | {"cubin": len(built.asm["cubin"])}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton"))}
    environment.pop("TRITON_INTERPRET", None)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, TARGETS)], env=environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return json.loads(child.stdout)


@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_compiles_to_machine_code(found, target):
    mine = {name: counts for name, counts in found.items() if name.endswith(f"@ {target}")}
    assert len(mine) == 19
    assert all(counts["cubin"] for counts in mine.values())


@pytest.mark.parametrize("target", TARGETS)
def test_the_plain_arithmetic_that_counts_bits_becomes_popc(found, target):
    for name, counts in found.items():
        if name.startswith("xnor") and name.endswith(str(target)):
            assert counts["popc.b32"], name


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
        assert not counts["fma.rn.f32"], name
        assert counts["mul.f32"] + counts["mul.rn.f32"], name
        assert counts["add.f32"] + counts["add.rn.f32"], name
