"""A model on three microcontrollers: built, run under QEMU on a whole test set, compared with the oracle, measured.

    python examples/deploy_mcu/run.py [MODEL.bnn] [--data digits]

Without a model, a small one is trained first. Needs arm-none-eabi-gcc and qemu-system-arm (Debian: gcc-arm-none-eabi,
libnewlib-arm-none-eabi, qemu-system-arm). Prints one table.

Instructions are those that the processor executes between the call of net_logits and its return: with ``-icount`` QEMU
moves its clock by the same step at each, and the firmware reads SysTick before and after, with a loop of known length
to say what a tick is. They are not cycles: QEMU knows no pipelines and no wait states.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from binarynet.export import Options, write
from binarynet.graph import Encoding, Graph, interpret, verify

HERE = Path(__file__).parent
LOOP_INSTRUCTIONS = 200_000  # of firmware.c's loop: subs and bne, 100,000 times
PACKAGES = {"arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi", "qemu-system-arm": "qemu-system-arm"}


@dataclass(frozen=True)
class Core:
    """What it is called, what the compiler and QEMU call it, and the memory of QEMU's machine."""

    name: str
    cpu: str
    machine: str
    flash: int
    ram: int


CORES = (
    Core("Cortex-M0+", "cortex-m0plus", "microbit", 256 * 1024, 16 * 1024),  # QEMU's is an M0: the same instructions
    Core("Cortex-M3", "cortex-m3", "mps2-an385", 4 * 1024 * 1024, 4 * 1024 * 1024),
    Core("Cortex-M4", "cortex-m4", "mps2-an386", 4 * 1024 * 1024, 4 * 1024 * 1024),
)


@dataclass(frozen=True)
class Measured:
    """One run, in bytes: the network's code and tables, its arena, the deepest stack of the whole program."""

    answers: np.ndarray
    flash: int
    arena: int
    stack: int
    instructions: float  # an image


def missing() -> str | None:
    """What to install, or None."""
    absent = [package for tool, package in PACKAGES.items() if not shutil.which(tool)]
    return f"apt-get install {' '.join(absent)}" if absent else None


def build(graph: Graph, codes: np.ndarray, core: Core, folder: Path, flags: tuple[str, ...] = ("-O2",)) -> Path:
    """Export, compile and link; returns the ELF file. ``codes`` (n, …) uint8 go into the flash."""
    write(graph, "c", folder, Options(api="net", word=32))
    rows = ",\n".join("{" + ",".join(map(str, row)) + "}" for row in codes.reshape(len(codes), -1).tolist())
    images = f"#define IMAGES {len(codes)}\nstatic const uint8_t images[IMAGES][NET_INPUTS] = {{\n{rows}}};\n"
    (folder / "images.h").write_text(images)
    common = ["arm-none-eabi-gcc", f"-mcpu={core.cpu}", "-mthumb", *flags, "-std=gnu99", "-Wall", "-Wextra", "-Werror"]
    common += ["-ffunction-sections", "-fdata-sections"]
    subprocess.run([*common, "-std=c99", "-pedantic", "-c", "net.c"], cwd=folder, check=True)
    subprocess.run([*common, f"-I{folder}", "-c", str(HERE / "firmware.c")], cwd=folder, check=True)
    memory = [f"-Wl,--defsym=FLASH_BYTES={core.flash}", f"-Wl,--defsym=RAM_BYTES={core.ram}"]
    link = ["-nostartfiles", "-Wl,--gc-sections", "-T", str(HERE / "link.ld"), *memory, "-o", "net.elf"]
    subprocess.run([*common, "firmware.o", "net.o", *link], cwd=folder, check=True)
    return folder / "net.elf"


def measure(graph: Graph, codes: np.ndarray, core: Core, folder: Path, flags: tuple[str, ...] = ("-O2",)) -> Measured:
    """Build, run and read what was printed."""
    elf = build(graph, codes, core, folder, flags)
    emulator = ["qemu-system-arm", "-M", core.machine, "-nographic", "-monitor", "none", "-serial", "none"]
    emulator += ["-icount", "shift=6", "-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    done = subprocess.run(emulator, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    printed = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    said = {line[0]: int(line[1]) for line in printed if line[0] in ("loop", "ticks", "stack")}
    value = verify(graph)[graph.output.name]
    dtype = np.float32 if value.encoding.is_float else np.int32
    rows = [[int(word, 16) for word in line] for line in printed if line[0] not in said]
    answers = np.array(rows, np.uint32).view(dtype).reshape(-1, *value.shape)
    text, data, _ = (
        subprocess.run(["arm-none-eabi-size", "net.o"], cwd=folder, capture_output=True, text=True, check=True)
        .stdout.splitlines()[1]
        .split()[:3]
    )
    arena = next(line for line in (folder / "net.h").read_text().splitlines() if "NET_ARENA_BYTES " in line)
    each = said["ticks"] / len(codes) * LOOP_INSTRUCTIONS / said["loop"]
    return Measured(answers, int(text) + int(data), int(arena.split()[2]), said["stack"], each)


def trained(folder: Path) -> Path:
    """A small digits net, trained in a few seconds."""
    command = ["binarynet", "train", "bnn-digits", "--set", "width=64", "--epochs", "5", "--out", str(folder)]
    subprocess.run(command, check=True)
    return folder / "model.bnn"


def table(graph: Graph, images: Any, flags: tuple[str, ...]) -> bool:
    """Print a row for each core; returns whether all answers equal the oracle's."""
    from binarynet.runtime.images import adapt

    codes = adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding))
    expected = interpret(graph, codes)
    whole = True
    print(f"{'core':<12}{'equal':>11}{'flash, B':>11}{'arena, B':>11}{'stack, B':>11}{'instructions/image':>21}")
    for core in CORES:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(graph, codes, core, Path(folder), flags)
        equal = int((found.answers == expected).reshape(len(codes), -1).all(axis=1).sum())
        whole &= equal == len(codes)
        print(
            f"{core.name:<12}{f'{equal}/{len(codes)}':>11}{found.flash:>11,}{found.arena:>11,}{found.stack:>11,}"
            f"{round(found.instructions):>21,}"
        )
    version = subprocess.run(["arm-none-eabi-gcc", "-dumpversion"], capture_output=True, text=True).stdout.strip()
    print(f"arm-none-eabi-gcc {version} {' '.join(flags)}, 32-bit words, floats in software; QEMU -icount shift=6")
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description="A model on three microcontrollers under QEMU.")
    parser.add_argument("model", nargs="?", type=Path, help="MODEL.bnn; without it, one is trained")
    parser.add_argument("--data", default="digits", help="data set whose test split is run")
    parser.add_argument("--flags", default="-O2", help="for the compiler")
    options = parser.parse_args()
    if missing():
        print(missing())
        return 2
    from binarynet.data import load_split
    from binarynet.format import load

    with tempfile.TemporaryDirectory() as folder:
        graph = load(options.model or trained(Path(folder) / "run"))
    return 0 if table(graph, load_split(options.data, "test").images, tuple(options.flags.split())) else 1


if __name__ == "__main__":
    raise SystemExit(main())
