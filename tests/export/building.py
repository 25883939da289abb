"""Export, compile as strictly as a user may, run, compare with the oracle: the one comparison that the C tests make."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from binarynet.export import write
from binarynet.export.c.check import answers, compiled
from binarynet.export.c.options import Options
from binarynet.graph import Graph, classes, interpret

STRICT = ("-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")
CHECKED = (*STRICT[1:], "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
PACKAGES = {
    "gcc": "gcc",
    "clang": "clang",
    "g++": "g++",
    "clang++": "clang",
    "make": "make",
    "nm": "binutils",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "avr-gcc": "gcc-avr avr-libc",
    "simavr": "simavr",
    "iverilog": "iverilog",
    "verilator": "verilator",
    "yosys": "yosys",
    "nextpnr-ice40": "nextpnr-ice40",
    "icepack": "fpga-icestorm",
}


def need(*tools: str) -> None:
    """Skip, naming the Debian packages, where a tool is missing."""
    absent = [PACKAGES[tool] for tool in tools if not shutil.which(tool)]
    if absent:
        pytest.skip(f"apt-get install {' '.join(absent)}")


def assert_c_equals_the_oracle(
    graph: Graph,
    codes: np.ndarray,
    folder: Path,
    word: int | Options = 64,
    cc: str = "gcc",
    flags: tuple[str, ...] = CHECKED,
    api: str = "net",
) -> str:
    """Every logit of every image, with ==; returns the text of the C file."""
    need(cc)
    options = word if isinstance(word, Options) else Options(api, word=word)
    write(graph, "c", folder, options)
    found = answers(compiled(folder, api, cc, flags), graph, codes)
    expected = interpret(graph, codes)
    printed = subprocess.run(
        [folder / api], input=np.ascontiguousarray(codes).tobytes(), capture_output=True, check=True
    )
    lines = printed.stdout.decode().splitlines()
    assert [int(line.split()[0]) for line in lines] == classes(graph.outputs, expected).tolist()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected, err_msg=f"{cc}, {options}")
    return (folder / f"{api}.c").read_text(encoding="utf-8")
