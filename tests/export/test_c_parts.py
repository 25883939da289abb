"""The C that no model changes: each part compiles by itself, and does what its comment says."""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from binarynet.export.c.parts import called, chosen, provided
from tests.export.building import CHECKED, STRICT, need

PARTS = Path(str(files("binarynet.export.c"))) / "parts"
NAMES = sorted(path.name for path in PARTS.glob("*.c") if path.name != "main.c")


@pytest.mark.parametrize(("cc", "standard", "word"), [("gcc", "c99", 32), ("clang++", "c++11", 64)])
def test_each_part_compiles_by_itself(cc, standard, word, tmp_path):
    need(cc)
    kind = "c++" if "++" in cc else "c"
    strict = [cc, *STRICT, "-Wno-unused-function", f"-std={standard}", f"-DWORD={word}", "-x", kind, f"-I{PARTS}"]
    for name in NAMES:
        (tmp_path / "one.c").write_text(f'#include "{name}"\ntypedef int one;\n')
        subprocess.run([*strict, "-fsyntax-only", tmp_path / "one.c"], check=True)


def test_parts_are_formatted():
    clang_format = pytest.importorskip("clang_format")
    sources = [str(path) for path in PARTS.iterdir() if path.suffix in (".c", ".h")]
    program = clang_format.get_executable("clang-format")
    subprocess.run([program, "--dry-run", "--Werror", *sources], check=True)


@pytest.mark.parametrize(
    ("word", "more"), [(16, "-DLISTED"), (32, "-DLISTED"), (32, "-DCONSTANT_TIME"), (64, "-DCONSTANT_TIME")]
)
def test_each_part_equals_its_definition(word, more, tmp_path):
    need("gcc")
    program = tmp_path / "parts"
    source = Path(__file__).parent / "c_parts.c"
    command = ["gcc", "-std=c99", *CHECKED, f"-DWORD={word}", more, f"-I{PARTS}", "-o", program, source, "-lm"]
    subprocess.run(command, check=True)
    subprocess.run([program], check=True)


def test_the_parts_are_all_tested_and_each_stands_behind_what_it_calls():
    source = (Path(__file__).parent / "c_parts.c").read_text(encoding="utf-8")
    beneath = {
        "adders",
        "apart",
        "counting",
        "fixed_rounded",
        "fixed_units",
        "lanes",
        "row_under",
    }  # called by others; lanes are tested as networks
    assert {name.removesuffix(".c") for name in NAMES} <= {*called(source), *beneath}
    for constant_time in (False, True):
        text = re.sub(r"/\*.*?\*/", "", chosen(set(provided().values()), constant_time), flags=re.DOTALL)
        for name in (name for name in provided() if not name.isupper()):
            first = re.search(rf"\b{name}\b(?=[(;])", text)
            if first is not None:
                line = text[text.rfind("\n", 0, first.start()) + 1 : first.start()]
                assert line.startswith(("static", "APART", "}")), f"{name} is called before it is defined"
