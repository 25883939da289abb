"""binarynet/environment.py lists every variable that the sources read, and docs/environment.md is made from it."""

import re
from pathlib import Path

import pytest

from binarynet import environment

ROOT = Path(__file__).parents[1]
BY_THE_SHELL = {"BINARYNET_COMPLETE"}  # what Typer's completion asks


def read_by(folder: str, pattern: str, *suffixes: str) -> set[str]:
    files = [file for file in (ROOT / folder).rglob("*") if file.suffix in suffixes and "tests" not in file.parts]
    return {name for file in files for name in re.findall(pattern, file.read_text(encoding="utf-8"))}


def test_python_reads_no_variable_of_ours_but_by_the_table():
    by_hand = read_by("src", r'os\.environ[^\n]{0,12}"(BINARYNET_\w+)"', ".py") | read_by(
        "src", r'getenv\("(\w+)"', ".py"
    )
    assert by_hand - BY_THE_SHELL == set()


def test_every_variable_that_the_native_code_reads_is_in_the_table():
    named = read_by("native", r'"(BINARYNET_[A-Z_]+)"', ".cpp", ".h")
    assert named
    assert named <= set(environment.VARIABLES)


def test_every_variable_of_the_table_is_read_somewhere():
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "native").rglob("*.cpp")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.name != "environment.py"]
    assert [name for name in environment.VARIABLES if not any(name in text for text in texts)] == []


def test_the_page_is_the_table():
    assert environment.page() in (ROOT / "docs/environment.md").read_text(encoding="utf-8")


def test_an_unlisted_variable_is_refused():
    with pytest.raises(KeyError, match="BINARYNET_NOTHING"):
        environment.read("BINARYNET_NOTHING")
