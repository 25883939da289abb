"""Run as a program: compiles every kernel for the targets named, prints as JSON how often instructions occur."""

from __future__ import annotations

import json
import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import Autotuner

from binarynet.gpu import dot, pointwise, xnor
from binarynet.gpu.language import ACCUMULATOR, AFFINE, BITS, CODES

WORDS, BYTES, REALS, OCTETS = "*i32", "*u8", "*fp32", "*i8"
POINTERS = {
    **dict.fromkeys(("x", "weight", "out", "base", "kinds", "thresholds", "minimum"), WORDS),
    **dict.fromkeys(("scale", "offset", "a", "b"), REALS),
    "rising": OCTETS,
}
MATRIX: dict[str, Any] = {"GEOMETRY": None, "kinds": None}
IMAGE: dict[str, Any] = {"GEOMETRY": (8, 8, 8, 8, 3, 1, 1, 1, 1, 1, 1)}


def finish(mode: Any, levels: int, *unused: str) -> dict[str, Any]:
    return {"MODE": mode.value, "LEVELS": levels, "LOW": 0, "STEP": 1, **dict.fromkeys(unused)}


TO_BITS = finish(BITS, 1, "scale", "offset")
TO_CODES = finish(CODES, 3, "scale", "offset")
TO_REALS = finish(AFFINE, 0, "thresholds", "rising")
TO_SUMS = finish(ACCUMULATOR, 0, "thresholds", "rising", "scale", "offset")
SIGNS = {"DIGITS": ((-1, 1),), "PLANES": 1}
TERNARY = {"DIGITS": ((0, -1), (0, 2)), "PLANES": 2}
TILE = {"BM": 64, "BN": 32}
SMALL = {"BM": 16, "BN": 64}

Case = tuple[Any, dict[str, Any], dict[str, str], bool]


def tile(planes: int, *rest: dict[str, Any]) -> Case:
    merged = {key: value for part in rest for key, value in part.items()}
    return xnor.xnor_tile, {"PLANES": planes, "UNITS": 4, "UNROLL": 2, **TILE, **merged}, {}, False


def row(*rest: dict[str, Any]) -> Case:
    merged = {key: value for part in rest for key, value in part.items()}
    return xnor.xnor_row, {"PLANES": 1, "UNITS": 4, "BK": 64, "BN": 32, **merged}, {}, False


def bit(*rest: dict[str, Any]) -> Case:
    merged = {key: value for part in rest for key, value in part.items()}
    return dot.bit_dot, {"UNITS": 16, "BK": 32, **TILE, **merged}, {"x": BYTES, "weight": BYTES}, False


def flat(types: dict[str, str], *rest: dict[str, Any]) -> Case:
    merged = {key: value for part in rest for key, value in part.items()}
    given = {"X_SCALE": 2, "X_OFFSET": 1, "PAD": 0, "REAL": False, "UNITS": 27, "BK": 32, **TILE, **merged}
    return dot.flat_dot, given, types, True


# name: (kernel, constants, types that are not words, whether multiply and add may be fused)
CASES: dict[str, Case] = {
    "xnor_tile": tile(1, TO_BITS, MATRIX),
    "xnor_tile, b8 conv": tile(8, TO_BITS, IMAGE, {"BM": 16, "BN": 32}),
    "xnor_tile, affine": tile(1, TO_REALS, MATRIX),
    "xnor_row": row(TO_SUMS, MATRIX),
    "xnor_row, conv": row(TO_CODES, IMAGE),
    "bit_dot": bit(SIGNS, TO_BITS, MATRIX),
    "bit_dot, conv": bit(SIGNS, TO_BITS, IMAGE),
    "bit_dot, t2": bit(TERNARY, TO_CODES, MATRIX),
    "bit_dot, affine": bit(SIGNS, TO_REALS, MATRIX),
    "bit_dot, 16 rows": bit(SIGNS, TO_SUMS, MATRIX, SMALL),
    "flat_dot, b8": flat({"x": OCTETS}, SIGNS, TO_BITS, IMAGE),
    "flat_dot, f32": flat({"x": REALS, "out": REALS}, {"REAL": True}, SIGNS, TO_SUMS, MATRIX, SMALL),
    "flat_dot, f32 weights": flat(
        {"x": REALS, "weight": REALS, "out": REALS}, {"REAL": True, "DIGITS": None, "PLANES": 0}, TO_SUMS, IMAGE, SMALL
    ),
    "quantize": (
        pointwise.quantize,
        {"MODE": BITS.value, "LEVELS": 1, "LOW": 0, "STEP": 1, **SMALL},
        {"x": REALS, "thresholds": REALS},
        True,
    ),
    "quantize, sign": (
        pointwise.quantize,
        {"MODE": BITS.value, "LEVELS": 1, "LOW": 0, "STEP": 1, "thresholds": None, "rising": None, **SMALL},
        {"x": OCTETS},
        True,
    ),
    "digits": (pointwise.digits, SMALL, {"x": BYTES}, True),
    "signs": (pointwise.signs, SMALL, {"out": OCTETS}, True),
    "pool": (
        pointwise.pool,
        {"HEIGHT": 8, "WIDTH": 8, "ROWS": 4, "COLUMNS": 4, "KERNEL_Y": 2, "KERNEL_X": 2, "STRIDE_Y": 2}
        | {"STRIDE_X": 2, "TOP": 0, "LEFT": 0, "BLOCK": 1024},
        {},
        True,
    ),
    "naive_gemm": (pointwise.naive_gemm, {"BLOCK": 256}, {"out": REALS}, True),
}
OUT = {BITS.value: WORDS, CODES.value: OCTETS, AFFINE.value: REALS, ACCUMULATOR.value: WORDS}
COUNTED = (
    "popc.b32",
    "wgmma.mma_async",
    "mma.sync",
    ".s8.s8",
    "fma.rn",
    "mul.f32",
    "mul.rn.f32",
    "add.f32",
    "add.rn.f32",
)


def compiled(case: Case, target: int) -> dict[str, int]:
    kernel, constants, types, fused = case
    function = kernel.fn if isinstance(kernel, Autotuner) else kernel
    names = function.arg_names
    kinds = {**POINTERS, **({"out": OUT[constants["MODE"]]} if "MODE" in constants else {}), **types}
    signature = {name: kinds.get(name, "i32") for name in names if name not in constants}
    source = ASTSource(
        fn=function,
        signature={name: signature.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(names.index(n),): [["tt.divisibility", 16]] for n, kind in signature.items() if kind.startswith("*")},
    )
    built = triton.compile(source, target=GPUTarget("cuda", target, 32), options={"enable_fp_fusion": fused})
    found = {what: built.asm["ptx"].count(what) for what in COUNTED}
    return found | {"machine code": len(built.asm["cubin"])}


if __name__ == "__main__":
    targets = [int(argument) for argument in sys.argv[1:]]
    print(json.dumps({f"{name} @ {target}": compiled(CASES[name], target) for name in CASES for target in targets}))
