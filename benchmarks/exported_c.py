"""The C of a model, built as strictly as a user may, on a whole test set: equal to the oracle, and how fast.

    python benchmarks/exported_c.py MODEL.bnn --data mnist [--images N] [--sanitize] [--time]

Builds with every C compiler that is there (gcc, clang): -std=c99 -O2 -Wall -Wextra -Werror -pedantic, and with
--sanitize under AddressSanitizer and UBSan; compares every answer with the oracle. --time runs the programs and the
native engine's portable kernel (one thread, one batch) in turn; the time of a program has reading images and printing
answers in it. Exit code 1 if an answer differs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from binarynet.bench import machine
from binarynet.data import load_split
from binarynet.errors import ExportError, run_script
from binarynet.export import Options, write
from binarynet.export.c.check import answers, compiled
from binarynet.format import load
from binarynet.graph import Encoding, Graph
from binarynet.models import find
from binarynet.report import compared, oracle_logits
from binarynet.runtime import Session
from binarynet.runtime.images import adapt

STRICT = ("-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZED = (*STRICT[1:], "-O2", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TIMED = {"-O2": STRICT, "-O3": ("-O3",), "-O3 -march=native": ("-O3", "-march=native")}


def build(folder: Path, cc: str, name: str, flags: tuple[str, ...]) -> Path:
    """A program of its own name."""
    return shutil.move(compiled(folder, "net", cc, flags), folder / f"{cc}{name.replace(' ', '')}")


def check(graph: Graph, folder: Path, images: Any, codes: Any, sanitize: bool) -> bool:
    expected, holds = oracle_logits(graph, images), True
    kinds = {"ASan + UBSan": SANITIZED} if sanitize else {"-O2 -Wall -Wextra -Werror -pedantic": STRICT}
    for cc in compilers():
        for name, flags in kinds.items():
            try:
                program = build(folder, cc, "-checked", flags)
            except ExportError as error:
                if not sanitize or "linker" not in str(error):
                    raise
                print(f"{cc} has no sanitizers here: apt-get install libclang-rt-dev (clang) or libgcc-12-dev (gcc)")
                holds = False
                continue
            agreement = compared(f"{cc} {name}", graph, answers(program, graph, codes), expected)
            print(agreement, flush=True)
            holds &= agreement.holds
    return holds


def compilers() -> list[str]:
    return [cc for cc in ("gcc", "clang") if shutil.which(cc)]


def clock(graph: Graph, folder: Path, images: Any, codes: Any, rounds: int) -> None:
    """Best of some rounds, all in turn."""
    session = Session(graph, isa="portable", threads=1)
    calls: dict[str, Callable[[], Any]] = {"native portable": lambda: session.logits(images)}
    for cc in compilers():
        for name, flags in TIMED.items():
            program = build(folder, cc, name, flags)
            calls[f"{cc} {name}"] = lambda program=program: subprocess.run(
                [program], input=codes.tobytes(), stdout=subprocess.DEVNULL, check=True
            )
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - start)
    native = best["native portable"]
    print(", ".join(machine().values()))
    for name, seconds in best.items():
        print(f"{name:<24}{seconds / len(images) * 1e6:>10,.0f} µs/image{native / seconds:>8.2f} × native portable")


def main() -> int:
    parser = argparse.ArgumentParser(description="Generated C beside the oracle and the native engine.")
    parser.add_argument("model", help="MODEL.bnn, or the name of one that comes along")
    parser.add_argument("--data", required=True, help="data set whose test split is run")
    parser.add_argument("--images", type=int, help="as many of them; without it, all")
    parser.add_argument("--sanitize", action="store_true", help="under AddressSanitizer and UBSan")
    parser.add_argument("--time", action="store_true", help="time instead of compare")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    graph = load(find(options.model))
    images = load_split(options.data, "test").images[: options.images]
    codes = np.ascontiguousarray(adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(graph, "c", folder, Options("net"))
        if options.time:
            clock(graph, folder, images, codes, options.rounds)
            return 0
        return 0 if check(graph, folder, images, codes, options.sanitize) else 1


if __name__ == "__main__":
    run_script(main)
