"""What the targets say that they take, and the page that shows it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from binarynet.errors import ExportError
from binarynet.export import TARGETS, Options, supported, write
from binarynet.export.support import FAMILIES, cases, table
from binarynet.graph import OPS, Encoding
from binarynet.graph.ir import Linear, MaxPool2d
from tests.export.graphs import convnet

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def picky(_op, reads, holds):
    if _op is Linear and holds.kind == "t":
        return "has no ternary weights"
    return "pools bits alone" if _op is MaxPool2d and str(reads) != "b1" else None


def target(refuses) -> ModuleType:
    module = ModuleType("picky")
    module.refuses = refuses
    return module


def test_the_table_of_the_page_is_what_the_targets_say_today():
    page = PAGE.read_text(encoding="utf-8")
    assert supported() in page, (
        "docs/export.md is stale: print its table with "
        "python -c \"from binarynet.export import supported; print(supported(), end='')\""
    )


def test_every_op_of_the_graph_is_in_the_table():
    assert all(f"`{op}`" in supported() for op in OPS)


def test_families_hold_every_encoding_once():
    names = [name for family in FAMILIES.values() for name in family]
    assert len(names) == len(set(names)) == 8 + 8 + 7 + 1 + 2
    assert all(str(Encoding.parse(name)) == name for name in names)


def test_weights_are_those_that_int8_holds():
    held = {str(holds) for _, _, holds in cases("Conv2d", "`b1`", "`u1`…`u8`")}
    assert held == {f"u{k}" for k in range(1, 8)}


def test_a_reason_becomes_a_note():
    text = table({"picky": target(picky)})
    rows = [row for row in text.splitlines() if row.startswith("| `Linear`")]
    assert "| `Linear` | `b1`, `b2`…`b8`, `u1`…`u8`, `i2`…`i8`, `t2`, `f32` | `t2` | no (1) |" in rows
    assert "`Conv2d`" not in rows[-1]
    assert "1. has no ternary weights\n2. pools bits alone\n" in text


def test_a_family_of_which_a_part_is_taken_says_some():
    text = table({"picky": target(lambda op, reads, holds: "at most u2" if str(holds) in ("u3", "u8") else None)})
    assert "| `Threshold` | `i32`, `f32` | `u1`…`u8` | some (1) |" in text


def test_what_a_target_refuses_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(TARGETS["c"], "refuses", picky)
    make = convnet()
    make_threshold = [op.name for op in make.ops if isinstance(op, MaxPool2d)]
    assert make_threshold
    monkeypatch.setattr(TARGETS["c"], "refuses", lambda op, *_: "has no pools" if op is MaxPool2d else None)
    with pytest.raises(ExportError, match=rf"{make_threshold[0]} \(MaxPool2d\): the target c has no pools"):
        write(make.graph(), "c", tmp_path / "out", Options("net"))
    assert not (tmp_path / "out").exists()
