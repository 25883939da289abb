"""Many images through a circuit in Verilator: every integer and class against the oracle's, in pieces, on all cores.

    python benchmarks/circuits_images.py MODEL [--data mnist] [--images 10000] [--first 0] [--out FOLDER]
                                         [--unroll LAYER]... [--fold FOLD]... [--target-clocks N]
                                         [--processes 2] [--lint]

The design is written and built once in FOLDER; with --first above 0 what is there is taken, so that a long run may be
made in parts. Each piece is a run of NAME_tb, which compares the integers itself.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from binarynet import load_graph
from binarynet.data import load_split
from binarynet.errors import InputError, run_script
from binarynet.export import write
from binarynet.export.process import finished
from binarynet.export.verilog.bench import write_vectors
from binarynet.export.verilog.check import built, lanes_apart, lint
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.report import interval
from binarynet.export.verilog.units import Design
from binarynet.graph import Encoding
from binarynet.runtime.images import adapt

PIECE = 250


def run(folder: Path, design: Design, codes: np.ndarray, number: int) -> tuple[int, int, int]:
    """Images of one piece, those of them that are equal, and clocks from one image to the next as the bench counts
    them (0 of one image). ROMs are read from beside the vectors."""
    piece = folder / f"piece-{number}"
    piece.mkdir(exist_ok=True)
    for rom in folder.glob("net_*.hex"):
        link = piece / rom.name
        if not link.exists():
            link.symlink_to(rom.resolve())
    for name in ("net_images.hex", "net_expected.hex"):
        (piece / name).unlink(missing_ok=True)
    write_vectors(design, piece, "net", codes)
    said = finished([folder.resolve() / "obj_dir" / "Vnet_tb"], piece).stdout.decode(errors="replace")
    passed = re.search(r"^PASS (\d+) images$", said, re.MULTILINE)
    failed = re.search(r"^FAIL (\d+) of", said, re.MULTILINE)
    equal = int(passed[1]) if passed else len(codes) - int(failed[1]) if failed else 0
    clocks = re.search(r"^CLOCKS \d+ to the first class, (\d+) from", said, re.MULTILINE)
    return len(codes), equal, int(clocks[1]) if clocks else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/circuits/images"))
    parser.add_argument("--unroll", action="append", default=[])
    parser.add_argument("--fold", action="append", default=[])
    parser.add_argument("--target-clocks", type=int, default=None)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--lint", action="store_true")
    given = parser.parse_args()
    if given.images < 1 or given.first < 0 or given.processes < 1:
        raise InputError("--images and --processes are 1 at least, --first is 0 at least")
    images = load_split(given.data, "test").images[given.first : given.first + given.images]
    if not len(images):
        raise InputError(f"--first {given.first}: {given.data} has no test image so far behind")
    graph = load_graph(given.model)
    options = Options("net", fold=tuple(given.fold), unroll=tuple(given.unroll), target_clocks=given.target_clocks)
    design = planned(graph, options)
    start = time.monotonic()
    if given.first == 0:
        write(graph, "verilog", given.out, options)
        if given.lint:
            lint(given.out, "net_axis")
            print("verilator --lint-only -Wall: clean")
        built(given.out, "net", "verilator", given.images * design.interval, lanes_apart(design))
        print(f"built in {time.monotonic() - start:.0f} s", flush=True)
    codes = adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding))
    start = time.monotonic()
    pieces = [(number, codes[at : at + PIECE]) for number, at in enumerate(range(0, len(codes), PIECE))]
    with ThreadPoolExecutor(given.processes) as pool:
        counts = []
        for counted in pool.map(lambda one: run(given.out, design, one[1], one[0]), pieces):
            counts.append(counted)
            at = given.first + sum(total for total, _, _ in counts)
            print(f"images up to {at - 1}: {counted[1]} of {counted[0]} equal", flush=True)
    total, equal = (sum(column) for column in list(zip(*counts, strict=True))[:2])
    clocks = interval((given.out / "net.v").read_text(encoding="ascii"))
    counted = max(clocks for _, _, clocks in counts)
    seconds = time.monotonic() - start
    which = f"images {given.first} to {given.first + total - 1}"
    told = f"{clocks:,} clocks each by its head, {counted:,} counted"
    print(f"{which}: {equal:,} of {total:,} equal; {told}; {seconds:.0f} s")
    raise SystemExit(equal != total)


if __name__ == "__main__":
    run_script(main)
