"""A model on small chips: built, run under emulators on a test set, compared with the oracle, measured.

    python examples/deploy_mcu/run.py [MODEL.bnn] [--data digits] [--images N] [--flags=-O2] [--core NAME]

Without a model, a small one is trained first. A core whose tools are missing is counted as skipped, with the Debian
packages that bring them. Prints one table.

Instructions are those that the processor executes between the call of net_logits and its return. On ARM, QEMU with
``-icount`` moves its clock by the same step at each, and the firmware reads SysTick before and after, with a loop of
known length to say what a tick is; RISC-V counts them itself (minstret). They are not cycles: QEMU knows no pipelines
and no wait states.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from binarynet.errors import run_script
from binarynet.export import write
from binarynet.export.c.options import Options
from binarynet.graph import Encoding, Graph, interpret, verify

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import int8  # noqa: E402  (it stands beside this file, wherever that is run from)

LOOP_INSTRUCTIONS = 200_000  # of the loop of calibrate()
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Toolchain:
    """What compiles for a family, what runs it, and the Debian packages that bring both."""

    prefix: str
    emulator: str
    packages: str
    port: str
    flags: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    standard: str = "c99"
    script: bool = True  # whether link.ld places things; else the compiler knows the chip

    def missing(self) -> str | None:
        tools = (f"{self.prefix}gcc", self.emulator)
        return None if all(map(shutil.which, tools)) else f"apt-get install {self.packages}"


_QUIET = ("-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native")
ARM = Toolchain(
    "arm-none-eabi-",
    "qemu-system-arm",
    "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
    "arm.c",
    ("-mthumb",),
    (*_QUIET, "-icount", "shift=6"),
)
RISCV = Toolchain(
    "riscv64-unknown-elf-",
    "qemu-system-riscv32",
    "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc",
    "riscv.c",
    ("-mabi=ilp32", "--specs=picolibc.specs", "-msmall-data-limit=0"),
    (*_QUIET, "-icount", "shift=0", "-bios", "none"),
)


@dataclass(frozen=True)
class Core:
    """What it is called, what the compiler and QEMU call it, and the memory of QEMU's machine: (start, bytes)."""

    name: str
    tools: Toolchain
    flags: tuple[str, ...]
    machine: tuple[str, ...]
    network: tuple[str, ...] = ()  # flags of the network alone
    flash: tuple[int, int] = (0, 4 * MEGABYTE)
    ram: tuple[int, int] = (0x20000000, 4 * MEGABYTE)


AVR = Toolchain("avr-", "simavr", "gcc-avr avr-libc simavr", "avr.c", standard="gnu99", script=False)


_VIRT: dict[str, Any] = {"flash": (0x80000000, 8 * MEGABYTE), "ram": (0x80800000, 8 * MEGABYTE)}
CORES = (
    # QEMU's M0+ is an M0: the same instructions.
    Core(
        "Cortex-M0+",
        ARM,
        ("-mcpu=cortex-m0plus",),
        ("microbit",),
        flash=(0, 256 * 1024),
        ram=(0x20000000, 16 * 1024),
    ),
    Core("Cortex-M3", ARM, ("-mcpu=cortex-m3",), ("mps2-an385",)),
    Core("Cortex-M4", ARM, ("-mcpu=cortex-m4",), ("mps2-an386",)),
    Core("RV32IMC", RISCV, ("-march=rv32imc",), ("virt", "-cpu", "rv32"), **_VIRT),
    Core("ATmega328P", AVR, ("-mmcu=atmega328p",), ("-m", "atmega328p", "-f", "16000000"), ram=(0, 2048)),
    Core("ATmega1284P", AVR, ("-mmcu=atmega1284p",), ("-m", "atmega1284p", "-f", "16000000"), ram=(0, 16384)),
    Core("RV32IMC_Zbb", RISCV, ("-march=rv32imc",), ("virt", "-cpu", "rv32,zbb=on"), ("-march=rv32imc_zbb",), **_VIRT),
)


@dataclass(frozen=True)
class Measured:
    """One run, in bytes: the network in flash as it is linked, code, tables and what the compiler's library adds; of
    that its tables; its arena; the deepest stack of the whole program. Instructions of each image."""

    answers: np.ndarray
    flash: int
    tables: int
    arena: int
    stack: int
    each: list[float] = field(repr=False)

    @property
    def instructions(self) -> float:
        return float(np.mean(self.each))


def _size(core: Core, elf: Path) -> int:
    """Bytes of flash: text and the initial contents of data."""
    command = [f"{core.tools.prefix}size", str(elf)]
    row = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1].split()
    return int(row[0]) + int(row[1])


def build(
    graph: Graph, codes: np.ndarray, core: Core, folder: Path, flags: tuple[str, ...] = ("-O2",), **how: Any
) -> tuple[Path, Path]:
    """Export, compile and link; returns the ELF file, and one whose network does nothing. ``codes`` (n, …) uint8 go
    into the flash."""
    if how.get("int8"):
        int8.write(graph, folder)
    else:
        write(
            graph, "c", folder, Options("net", word=how.get("word", 32), constant_time=how.get("constant_time", False))
        )
    one = ["-DCLASS_ALONE"] if how.get("class_alone") else []
    rows = ",\n".join("{" + ",".join(map(str, row)) + "}" for row in codes.reshape(len(codes), -1).tolist())
    images = f"#define IMAGES {len(codes)}\nstatic const IN_FLASH uint8_t images[IMAGES][NET_INPUTS] = {{\n{rows}}};\n"
    (folder / "images.h").write_text(f'#include "port.h"\n{images}')
    common = [f"{core.tools.prefix}gcc", *core.tools.flags, *core.flags, "-Wall", "-Wextra", "-Werror"]
    common += ["-ffunction-sections", "-fdata-sections"]
    subprocess.run(
        [*common, *core.network, *flags, f"-std={core.tools.standard}", "-c", "net.c"], cwd=folder, check=True
    )
    sources = [str(HERE / name) for name in ("firmware.c", "stub.c", core.tools.port)]
    subprocess.run(
        [*common, *one, "-O2", "-std=gnu99", f"-I{folder}", f"-I{HERE}", "-c", *sources], cwd=folder, check=True
    )
    port = core.tools.port.replace(".c", ".o")
    link = [*common, *flags, "firmware.o", port, "-Wl,--gc-sections"]
    for name in ("net", "stub"):
        subprocess.run([*link, f"{name}.o", *_script(core), "-o", f"{name}.elf"], cwd=folder, check=True)
    return folder / "net.elf", folder / "stub.elf"


def _script(core: Core) -> list[str]:
    """How the linker places things."""
    if not core.tools.script:
        return []
    places = {"FLASH_START": core.flash[0], "FLASH_BYTES": core.flash[1], "RAM_START": core.ram[0]}
    memory = [f"-Wl,--defsym={name}={value}" for name, value in (places | {"RAM_BYTES": core.ram[1]}).items()]
    return ["-nostartfiles", "-Wl,--no-warn-rwx-segments", "-T", str(HERE / "link.ld"), *memory]


def measure(
    graph: Graph, codes: np.ndarray, core: Core, folder: Path, flags: tuple[str, ...] = ("-O2",), **how: Any
) -> Measured:
    """Build, run and read what was printed."""
    elf, stub = build(graph, codes, core, folder, flags, **how)
    emulator = [core.tools.emulator, *core.machine, *core.tools.arguments, str(elf)]
    if core.tools.script:
        emulator[1:1] = ["-M"]
        emulator[-1:] = ["-kernel", str(elf)]
    done = subprocess.run(emulator, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    text = re.sub(r"\x1b\[\d*m|\.(?=$)", "", done.stdout + done.stderr, flags=re.MULTILINE)  # simavr paints its lines
    printed = [line.split() for line in text.splitlines()]
    said = {line[0]: int(line[1]) for line in printed if len(line) == 2 and line[0] in ("loop", "stack")}
    rows = [line for line in printed if len(line) > 2 and line[-2] == "ticks"]
    value = verify(graph)[graph.output.name]
    dtype = np.float32 if value.encoding.is_float else np.int32
    answers = np.array([[int(word, 16) for word in line[:-2]] for line in rows], np.uint32).view(dtype)
    header = (folder / "net.h").read_text()
    arena = next(line for line in header.splitlines() if "NET_ARENA_BYTES " in line)
    tables = next(line for line in header.splitlines() if "tables of constants in all" in line)
    return Measured(
        answers.reshape(-1, *value.shape),
        _size(core, elf) - _size(core, stub),
        int(tables.split()[1].replace(",", "")),
        int(arena.split()[2]),
        said["stack"],
        [int(line[-1]) * LOOP_INSTRUCTIONS / said["loop"] for line in rows],
    )


def trained(folder: Path) -> Path:
    """A small digits net, trained in a few seconds."""
    command = ["binarynet", "train", "bnn-digits", "--set", "width=64", "--epochs", "5", "--out", str(folder)]
    subprocess.run(command, check=True)
    return folder / "model.bnn"


def table(graph: Graph, codes: np.ndarray, cores: list[Core], flags: tuple[str, ...], **how: Any) -> bool:
    """Print a row for each core; returns whether all answers equal the oracle's."""
    expected = int8.reference(graph, codes) if how.get("int8") else interpret(graph, codes)
    if how.get("class_alone"):
        expected = np.arange(expected.shape[1]) == expected.argmax(axis=1)[:, None]
    whole, skipped = True, []
    print("| core | equal | flash | of it tables | arena | stack | instructions an image |")
    print("|---|---|---|---|---|---|---|")
    for core in cores:
        if core.tools.missing():
            skipped.append(f"{core.name} ({core.tools.missing()})")
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = measure(graph, codes, core, Path(folder), flags, **how)
            except subprocess.CalledProcessError as error:
                print(f"| {core.name} | does not fit: {' '.join(error.cmd[:1])} says why above | | | | | |", flush=True)
                continue
        equal = int((found.answers == expected).reshape(len(codes), -1).all(axis=1).sum())
        whole &= equal == len(codes)
        numbers = " | ".join(f"{number:,} B" for number in (found.flash, found.tables, found.arena, found.stack))
        print(f"| {core.name} | {equal}/{len(codes)} | {numbers} | {round(found.instructions):,} |", flush=True)
    for line in (f"{len(skipped)} skipped: {', '.join(skipped)}",) if skipped else ():
        print(line)
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description="A model on small chips under emulators.")
    parser.add_argument("model", nargs="?", help="MODEL.bnn, or the name of one that comes along; else one is trained")
    parser.add_argument("--data", default="digits", help="data set whose test split is run")
    parser.add_argument("--images", type=int, help="as many of its images; without it, all")
    parser.add_argument("--flags", default="-O2", help="for the compiler")
    parser.add_argument("--word", type=int, default=32, help="bits of a word: 16, 32 or 64")
    parser.add_argument("--constant-time", action="store_true", help="export with --constant-time")
    parser.add_argument("--class-alone", action="store_true", help="call net_class, which has no floats")
    parser.add_argument(
        "--int8", action="store_true", help="the same shapes as an int8 net instead, with drawn weights"
    )
    parser.add_argument("--core", action="append", choices=[core.name for core in CORES], help="this one; repeatable")
    options = parser.parse_args()
    from binarynet.data import load_split
    from binarynet.format import load
    from binarynet.models import find
    from binarynet.runtime.images import adapt

    with tempfile.TemporaryDirectory() as folder:
        graph = load(find(options.model) if options.model else trained(Path(folder) / "run"))
    images = load_split(options.data, "test").images[: options.images]
    codes = adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding))
    cores = [core for core in CORES if not options.core or core.name in options.core]
    flags = tuple(options.flags.split())
    how = {"word": options.word, "constant_time": options.constant_time, "class_alone": options.class_alone}
    how["int8"] = options.int8
    return 0 if table(graph, codes, cores, flags, **how) else 1


if __name__ == "__main__":
    run_script(main)
