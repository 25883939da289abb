"""Run as a program: compiles kernels for real GPUs, without one, and prints as JSON what their machine code holds.

    python compiling.py few|all 80 90          # some kernels in one tile, or all in every tile that is tuned over

Triton names the target 90 sm_90a when it writes PTX. `cuobjdump`, which Triton brings, reads the cubin.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import Autotuner

from binarynet.gpu import baseline, dot, flat, pointwise, xnor
from binarynet.gpu.language import ACCUMULATOR, AFFINE, BITS, CODES

WORDS, BYTES, REALS, OCTETS = "*i32", "*u8", "*fp32", "*i8"
POINTERS = {
    **dict.fromkeys(("x", "weight", "out", "base", "kinds", "thresholds", "minimum", "sums", "tickets"), WORDS),
    **dict.fromkeys(("scale", "offset", "a", "b"), REALS),
    "rising": OCTETS,
}
# Arguments that are multiples of 16 in the products that matter; Triton sees that when it is called.
EVEN = ("depth", "channels", "width", "x_words", "x_bytes", "x_octets")
MATRIX: dict[str, Any] = {"GEOMETRY": None, "kinds": None}
IMAGE: dict[str, Any] = {"GEOMETRY": (32, 32, 32, 32, 3, 1, 1, 1, 1, 1, 1)}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def finish(mode: Any, levels: int, *unused: str) -> dict[str, Any]:
    return {"MODE": mode.value, "LEVELS": levels, "LOW": 0, "STEP": 1, **dict.fromkeys(unused)}


TO_BITS = finish(BITS, 1, "scale", "offset")
TO_CODES = finish(CODES, 3, "scale", "offset")
TO_REALS = finish(AFFINE, 0, "thresholds", "rising")
TO_SUMS = finish(ACCUMULATOR, 0, "thresholds", "rising", "scale", "offset")
SIGNS: dict[str, Any] = {"DIGITS": ((-1, 1),), "PLANES": 1}
TERNARY: dict[str, Any] = {"DIGITS": ((0, -1), (0, 2)), "PLANES": 2}
OCTET_WEIGHTS: dict[str, Any] = {"DIGITS": (*((0, 1 << n) for n in range(7)), (0, -128)), "PLANES": 8}

LONG = {"x": "*i64", "weight": "*i64"}
X8 = {"x": OCTETS, "weight": BYTES}
DENSE = {"x": OCTETS, "weight": OCTETS}
FLAT = {"X_SCALE": 2, "X_OFFSET": 1, "PAD": 0, "REAL": False, "UNITS": 27}
REAL_FLAT = {**FLAT, "REAL": True}

# What is computed: kernel, constants, types of arguments that are not words, may multiply and add be fused.
Case = tuple[Any, dict[str, Any], dict[str, str], bool]
PRODUCTS: dict[str, Case] = {
    "xnor_tile": (xnor.xnor_tile, {"PLANES": 1, "UNITS": 4, **MATRIX, **TO_BITS}, LONG, False),
    "xnor_tile, b8 conv": (xnor.xnor_tile, {"PLANES": 8, "UNITS": 2, **IMAGE, **TO_BITS}, LONG, False),
    "xnor_tile, conv": (xnor.xnor_tile, {"PLANES": 1, "UNITS": 4, **IMAGE, **TO_BITS}, LONG, False),
    "xnor_tile, b8": (xnor.xnor_tile, {"PLANES": 8, "UNITS": 26, **MATRIX, **TO_BITS}, LONG, False),
    "xnor_tile, sums": (xnor.xnor_tile, {"PLANES": 1, "UNITS": 4, **MATRIX, **TO_SUMS}, LONG, False),
    "xnor_tile, affine": (xnor.xnor_tile, {"PLANES": 1, "UNITS": 4, **MATRIX, **TO_REALS}, LONG, False),
    "xnor_row": (xnor.xnor_row, {"PLANES": 1, "UNITS": 4, "BM": 1, **MATRIX, **TO_BITS}, {}, False),
    "xnor_row, 4": (xnor.xnor_row, {"PLANES": 1, "UNITS": 4, "BM": 4, **MATRIX, **TO_SUMS}, {}, False),
    "xnor_row, b8": (xnor.xnor_row, {"PLANES": 8, "UNITS": 4, "BM": 4, **MATRIX, **TO_BITS}, {}, False),
    "xnor_row, conv": (xnor.xnor_row, {"PLANES": 1, "UNITS": 4, "BM": 4, **IMAGE, **TO_CODES}, {}, False),
    "bit_dot": (dot.bit_dot, {"UNITS": 16, **SIGNS, **MATRIX, **TO_BITS}, X8, False),
    "bit_dot, conv": (dot.bit_dot, {"UNITS": 32, **SIGNS, **IMAGE, **TO_BITS}, X8, False),
    "bit_dot, t2": (dot.bit_dot, {"UNITS": 16, **TERNARY, **MATRIX, **TO_CODES}, X8, False),
    "bit_dot, i8": (dot.bit_dot, {"UNITS": 16, **OCTET_WEIGHTS, **MATRIX, **TO_SUMS}, X8, False),
    "bit_dot, affine": (dot.bit_dot, {"UNITS": 16, **SIGNS, **MATRIX, **TO_REALS}, X8, False),
    "octet_dot": (dot.octet_dot, {"X_SCALE": 2, "UNITS": 128, **MATRIX, **TO_BITS}, DENSE, False),
    "octet_dot, conv": (dot.octet_dot, {"X_SCALE": 2, "UNITS": 128, **IMAGE, **TO_BITS}, DENSE, False),
    "octet_dot, affine": (dot.octet_dot, {"X_SCALE": 2, "UNITS": 128, **MATRIX, **TO_REALS}, DENSE, False),
    "flat_dot, b8": (flat.flat_dot, {**FLAT, **SIGNS, **IMAGE, **TO_BITS}, {"x": OCTETS}, True),
    "flat_dot, f32": (flat.flat_dot, {**REAL_FLAT, **SIGNS, **MATRIX, **TO_SUMS}, {"x": REALS, "out": REALS}, True),
    "flat_dot, f32 conv": (flat.flat_dot, {**REAL_FLAT, **SIGNS, **IMAGE, **TO_SUMS}, {"x": REALS, "out": REALS}, True),
    "flat_dot, f32 weights": (
        flat.flat_dot,
        {**REAL_FLAT, **IMAGE, "DIGITS": None, "PLANES": 0, **TO_SUMS},
        {"x": REALS, "weight": REALS, "out": REALS},
        True,
    ),
}
SMALL = {"BM": 16, "BN": 64}
OTHERS: dict[str, Case] = {
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
    "spread": (pointwise.spread, SMALL, {"x": BYTES, "out": OCTETS}, True),
    "count_ones": (pointwise.count_ones, {"BM": 8, "BN": 128}, {}, True),
    "pool": (
        pointwise.pool,
        {"HEIGHT": 8, "WIDTH": 8, "ROWS": 4, "COLUMNS": 4, "KERNEL_Y": 2, "KERNEL_X": 2, "STRIDE_Y": 2}
        | {"STRIDE_X": 2, "TOP": 0, "LEFT": 0, "BLOCK": 1024},
        {},
        True,
    ),
    "tiled_gemm": (baseline.tiled_kernel, {"SIDE": baseline.SIDE}, {"out": REALS}, True),
    "untiled_gemm": (baseline.untiled_kernel, {"BLOCK": 256}, {"out": REALS}, True),
}
OUT = {BITS.value: WORDS, CODES.value: OCTETS, AFFINE.value: REALS, ACCUMULATOR.value: WORDS}
PTX = ("popc.b32", "fma.rn", "mul.f32", "mul.rn.f32", "add.f32", "add.rn.f32")
SASS = ("IGMMA", "HGMMA", "IMMA", "HMMA", "POPC", "FFMA", "LDL", "STL", "LDS", "STS", "BAR.SYNC")
WARPS = {"tiled_kernel": baseline.WARPS, "untiled_kernel": baseline.WARPS}


def configurations(case: Case, rows: int) -> list[triton.Config]:
    """Those that the autotuner would try for so many rows: after its own pruning."""
    kernel, constants, _, _ = case
    if not isinstance(kernel, Autotuner):
        return [triton.Config({}, num_warps=WARPS.get(kernel.__name__, 4), num_stages=1)]
    prune = kernel.early_config_prune
    return prune(kernel.configs, {"pixels": rows}, **constants) if prune else kernel.configs


FEW = (
    "xnor_tile", "xnor_tile, b8 conv", "xnor_tile, affine", "xnor_row, 4", "bit_dot", "bit_dot, conv", "bit_dot, t2",
    "octet_dot, affine", "flat_dot, b8", "flat_dot, f32", "spread", "count_ones", "tiled_gemm",
)  # fmt: skip


def jobs(which: str) -> Iterator[tuple[str, Case, triton.Config]]:
    for name, case in {**PRODUCTS, **OTHERS}.items():
        found: dict[str, triton.Config] = {}
        for rows in (4096, 16):
            for one in configurations(case, rows):
                found[", ".join(f"{key} {value}" for key, value in one.all_kwargs().items() if value is not None)] = one
        if which == "few":
            found = dict(list(found.items())[:1]) if name in FEW else {}
        for text, one in found.items():
            yield f"{name} [{text}]", case, one


def compiled(case: Case, config: triton.Config, target: int) -> dict[str, Any]:
    kernel, constants, types, fused = case
    function = kernel.fn if isinstance(kernel, Autotuner) else kernel
    names = function.arg_names
    constants = {**constants, **config.kwargs}
    if "sums" in names and config.kwargs["PARTS"] == 1:
        constants |= {"sums": None, "tickets": None}
    kinds = {**POINTERS, **({"out": OUT[constants["MODE"]]} if "MODE" in constants else {}), **types}
    signature = {name: kinds.get(name, "i32") if name not in constants else "constexpr" for name in names}
    sixteen = [name for name in names if signature[name].startswith("*") or (name in EVEN and name not in constants)]
    source = ASTSource(
        fn=function,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in sixteen},
    )
    options = {"enable_fp_fusion": fused, "num_warps": config.num_warps, "num_stages": config.num_stages}
    built = triton.compile(source, target=GPUTarget("cuda", target, 32), options=options)
    ((code, registers, stack),) = machine_code(built.asm["cubin"]).values()
    found = {what: built.asm["ptx"].count(what) for what in PTX}
    found |= {what: len(re.findall(rf"\s{re.escape(what)}[ .;]", code)) for what in SASS}
    products = [line for line in code.splitlines() if re.search(r"\sIGMMA|\sBAR\.SYNC", line)]
    kinds_of = "".join("m" if "IGMMA" in line else "b" for line in products)
    found["IGMMA of registers"] = len(re.findall(r"IGMMA\S+ R\d+, R\d+, gdesc", code))
    found["barriers between IGMMA"] = kinds_of.strip("b").count("b")
    return found | {"registers": registers, "stack": stack, "shared": built.metadata.shared, "ptx": target_of(built)}


def machine_code(cubin: bytes) -> dict[str, tuple[str, int, int]]:
    """For each kernel: its instructions as text, registers of a thread, and bytes of its stack, where spills lie."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        used, code = (
            subprocess.run([TOOLS / "cuobjdump", option, file.name], capture_output=True, text=True, check=True).stdout
            for option in ("-res-usage", "-sass")
        )
    texts = dict(re.findall(r"Function : (\w+)\n(.*?)(?=Function : |\Z)", code, re.S))
    numbers = re.findall(r"Function (\w+):\s+REG:(\d+) STACK:(\d+)", used)
    return {name: (texts[name], int(registers), int(stack)) for name, registers, stack in numbers}


def target_of(built: Any) -> str:
    return re.search(r"\.target (\w+)", built.asm["ptx"]).group(1)  # type: ignore[union-attr]


def one_job(which: str, number: int, target: int) -> tuple[str, dict[str, Any]]:
    """The number-th of `jobs`, in a process of its own: a kernel cannot be sent to another."""
    name, *rest = list(jobs(which))[number]
    return f"{name} @ {target}", compiled(*rest, target)


if __name__ == "__main__":
    which, *targets = sys.argv[1:]
    todo = [(which, number, int(target)) for number in range(len(list(jobs(which)))) for target in targets]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        print(json.dumps(dict(pool.map(one_job, *zip(*todo, strict=True)))))
