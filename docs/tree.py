"""The tree of src/binarynet for CONTRIBUTING.md and docs/architecture.md: rooms, and how their docstrings begin.

python docs/tree.py            prints it
python docs/tree.py --write    puts it into both pages
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md")
BEGIN, END = "<!-- tree: made by docs/tree.py -->", "<!-- /tree -->"


def rooms() -> list[tuple[str, str]]:
    """(name, first line of the docstring) of the packages and modules of binarynet, rooms of rooms behind them."""
    found = []
    source = ROOT / "src" / "binarynet"
    for path in sorted(source.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        file = path / "__init__.py" if path.is_dir() else path
        if file.suffix != ".py" or path.name.startswith("_") or not file.exists():
            continue
        found.append((path.name + "/" * path.is_dir(), _first_line(file)))
        inner = sorted(p for p in path.iterdir() if (p / "__init__.py").exists()) if path.is_dir() else []
        found += [(f"{path.name}/{room.name}/", _first_line(room / "__init__.py")) for room in inner]
    return found


def _first_line(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]


def tree() -> str:
    listed = rooms()
    width = max(len(name) for name, _ in listed)
    return "\n".join(["```", "src/binarynet/", *(f"    {name:{width}}  {said}" for name, said in listed), "```"])


def write() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n\n{tree()}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    write() if "--write" in sys.argv else print(tree())
