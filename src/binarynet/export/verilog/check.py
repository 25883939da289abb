"""A generated design as a user meets it: its test bench built with a simulator and run on images."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError, closest
from binarynet.export.emit import put
from binarynet.export.process import finished
from binarynet.export.verilog.bench import write_vectors
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.roms import HERE, takes_path
from binarynet.export.verilog.units import Design, Product
from binarynet.export.verilog.unrolled.unit import Unrolled
from binarynet.graph import Graph
from binarynet.graph.ir import Affine

# Verilator first: it compiles to machine code and runs large nets a hundred times faster.
PACKAGES = {"verilator": "verilator", "iverilog": "iverilog"}


@dataclass(frozen=True)
class Simulation:
    """What a test bench printed for a batch: ``integers`` (n, classes) of the last layer, ``classes`` (n,), whether it
    found both equal to the oracle's itself, and clocks from an image's first word to its class (``latency``) and from
    one image to the next (``interval``; both 0 if there was one image)."""

    simulator: str
    integers: NDArray[np.int32]
    classes: NDArray[np.int64]
    passed: bool
    latency: int
    interval: int


def tool(name: str, package: str) -> str:
    """The path of a program.

    Raises:
        ExportError: it is not there; the text names the Debian package.
    """
    found = shutil.which(name)
    if found is None:
        raise ExportError(f"{name} is not installed: apt-get install {package}")
    return found


def simulator(name: str | None = None) -> str:
    """``name`` if it is one, or the first that is installed.

    Raises:
        ExportError: it is unknown, or there is none.
    """
    if name is not None and name not in PACKAGES:
        raise ExportError(f"unknown simulator {name!r}.{closest(name, PACKAGES)} Known: {', '.join(PACKAGES)}.")
    for known in [name] if name else PACKAGES:
        if shutil.which(known):
            return known
    raise ExportError(f"no simulator ({name or ', '.join(PACKAGES)}): apt-get install {name or 'verilator'}")


def run(command: Sequence[str | Path], folder: Path) -> str:
    """What a program prints.

    Raises:
        ExportError: it fails; the text holds its first complaint.
    """
    done = finished(command, folder)
    if done.returncode:
        lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
        complaint = next((line for line in lines if re.search("error", line, re.IGNORECASE)), " ".join(lines[:2]))
        raise ExportError(f"{Path(command[0]).name}: {complaint.strip()}")
    return done.stdout.decode(errors="replace")


LONG = 50_000  # clocks that take more time than an optimised compilation would
MANY = 8_192  # products a clock of folded layers, from which their lanes are compiled apart
_BLOCKS = '`verilator_config\nhier_block -module "binarynet_lane"\n'
_MAIN = """#include "<top>.h"

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    <top> top(&context);
    while (!context.gotFinish()) {
        top.eval();
        if (!top.eventsPending()) break;
        context.time(top.nextTimeSlot());
    }
    top.final();
}
"""


def lanes_apart(design: Design) -> bool:
    """Whether Verilator is to compile a lane once for each of its shapes, not once for each lane: mnist-small at 784
    clocks an image is 10 MB of C++ so, and 110 MB otherwise."""
    folded = [unit for unit in design.units if isinstance(unit, Product) and not isinstance(unit, Unrolled)]
    return sum(unit.outputs * unit.inputs * unit.reads.digits for unit in folded) >= MANY


def built(folder: Path, api: str, name: str, clocks: int = 0, apart: bool = False) -> list[str | Path]:
    """Compile the test bench in ``folder`` for a run of about so many clocks; returns the command that runs it there.
    ``apart`` as `lanes_apart` says."""
    bench = f"{api}_tb"
    tool(name, PACKAGES[name])
    placed = f'ROM_PATH="{HERE}"' if takes_path((folder / f"{bench}.v").read_text(encoding="ascii")) else ""
    if name == "iverilog":
        given = [f"-P{bench}.{placed}"] if placed else []
        run(["iverilog", "-g2005", *given, "-y", ".", "-s", bench, "-o", f"{bench}.vvp", f"{bench}.v"], folder)
        return ["vvp", "-n", f"{bench}.vvp"]
    # Unoptimised C++ compiles in a third of the time, and runs ten times as long as -O1's; half of it runs once, and
    # is never worth more. Verilator's own -O3 makes less C++ of large designs.
    fast = "-O1" if clocks >= LONG else "-O0"
    given = ["-MAKEFLAGS", f"OPT_FAST={fast} OPT_GLOBAL={fast} OPT_SLOW=-O0", *([f"-G{placed}"] if placed else [])]
    command = ["verilator", "--binary", "-O3", "-j", "0", *given, "--top-module", bench, f"{bench}.v"]
    if apart:  # Verilator 5.006 gives each block that is compiled apart a main, too, if it is to write one
        put(folder, f"{bench}.vlt", _BLOCKS)
        put(folder, f"{bench}.cpp", _MAIN.replace("<top>", f"V{bench}"))
        command[1:2] = ["--cc", "--exe", "--timing", "--build", "--hierarchical"]
        command += [f"{bench}.vlt", f"{bench}.cpp"]
    run(command, folder)
    return [folder.resolve() / "obj_dir" / f"V{bench}"]


def lint(folder: Path, module: str) -> None:
    """All that Verilator warns of.

    Raises:
        ExportError: it is missing, or warns; the text is its first warning.
    """
    tool("verilator", PACKAGES["verilator"])
    command = ["verilator", "--lint-only", "-Wall", "--top-module", module, f"{module}.v"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode or done.stderr:
        raise ExportError(f"{module} is not lint clean: {''.join(done.stderr.splitlines()[:1])}")


def simulate(folder: Path, graph: Graph, options: Options, codes: NDArray[Any], name: str, *plus: str) -> Simulation:
    """Run the exported design in ``folder`` on a batch of input codes (n, …); its test bench compares with the oracle.

    ``options`` are those that it was exported with, ``plus`` more switches of the test bench (``+stalls``). The images
    and answers stay in the folder, for the test bench to read again.

    Raises:
        ExportError: the simulator is missing, refuses the design, or prints something else than answers.
    """
    api = options.api
    plan = planned(graph, options)
    command = built(folder, api, name, len(codes) * plan.interval, lanes_apart(plan))
    write_vectors(plan, folder, api, codes)
    text = run([*command, "+answers", *plus], folder)
    rows = [line.split()[1:] for line in text.splitlines() if line.startswith("ANSWER")]
    try:
        found = np.array(rows, np.int64).reshape(len(codes), 1 + plan.last.channels)
    except ValueError:
        said = " ".join(text.splitlines()[-1:])
        raise ExportError(f"{api}_tb prints {len(rows)} lines that are not {len(codes)} answers: {said}") from None
    clocks = re.search(r"CLOCKS (\d+) to the first class, (\d+) from", text)
    latency, interval = (int(clocks[1]), int(clocks[2])) if clocks else (0, 0)
    passed = re.search(rf"^PASS {len(codes)} images$", text, re.MULTILINE) is not None
    return Simulation(name, found[:, 1:].astype(np.int32), found[:, 0], passed, latency, interval)


def logits(graph: Graph, simulation: Simulation) -> NDArray[Any]:
    """The simulated integers in the oracle's type: where the graph ends in an Affine, that of the integers.

    Raises:
        ExportError: a class is not where the logits are largest.
    """
    last = graph.output
    found: NDArray[Any] = simulation.integers
    if isinstance(last, Affine):
        found = found.astype(np.float32) * last.scale + last.offset
    if np.any(simulation.classes != found.argmax(axis=1)):
        raise ExportError(f"{simulation.simulator}: a class is not where the logits are largest")
    return found
