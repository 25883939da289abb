"""The site's own script and pages: tables sort as a reader means it, and the gallery's lines make its pictures."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def in_node(expression: str) -> object:
    if not shutil.which("node"):
        pytest.skip("docs/tables.js is asked in node (Debian package nodejs)")
    script = f"const t = require({json.dumps(str(DOCS / 'tables.js'))}); console.log(JSON.stringify({expression}))"
    return json.loads(subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(
    ("cells", "ascending"),
    [
        (["11.40 %", "1.29 %", "–", "0.82 %"], ["0.82 %", "1.29 %", "11.40 %", "–"]),
        (["1,234 µs", "98.7 µs", "", "−5"], ["−5", "98.7 µs", "1,234 µs", ""]),
        (["1e-3", "2", "3e-05"], ["3e-05", "1e-3", "2"]),
        (["train c 10", "train c 9", "train b"], ["train b", "train c 9", "train c 10"]),
        (["4.63 OpenVINO", "12 torch", "4.63 faiss"], ["4.63 OpenVINO", "4.63 faiss", "12 torch"]),
    ],
)
def test_a_column_sorts_by_its_numbers_else_as_text_and_what_is_empty_stays_last(cells, ascending):
    def order(way):
        return [cells[index] for index in in_node(f"t.sorted({json.dumps(cells)}, {way})")]

    assert order(1) == ascending
    assert (order(-1)[-1] in ("", "–")) == any(cell in ("", "–") for cell in cells)
    assert order(-1)[0] in ascending[-3:]


def test_the_gallerys_lines_make_the_pictures_that_it_shows(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'binarynet[report]'")
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"bits.png", "filters.png", "quantizer.png"}
    shown = set(re.findall(r"\(images/([\w.]+)\)", page))
    assert made < shown
    assert sum((DOCS / "images" / name).stat().st_size for name in shown) < 500_000
