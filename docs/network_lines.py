"""The table of docs/coming-from.md: how many lines the networks of tests/lower/networks.py take with our layers.

python docs/network_lines.py            prints it
python docs/network_lines.py --write    puts it into the page

Counted are the lines of a network's own definition and of the blocks that it uses, without docstrings and blank lines.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE, PAGE = ROOT / "tests" / "lower" / "networks.py", ROOT / "docs" / "coming-from.md"
BEGIN, END = "<!-- lines: made by docs/network_lines.py -->", "<!-- /lines -->"


def counted(text: str) -> dict[str, tuple[int, list[str]]]:
    """Network → (lines, the blocks among them)."""
    module = ast.parse(text)
    blocks = {one.name: one for one in module.body if isinstance(one, ast.ClassDef | ast.FunctionDef)}
    table = next(
        one.value for one in module.body if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == "NETWORKS"
    )
    assert isinstance(table, ast.Dict)
    found = {}
    for key, value in zip(table.keys, table.values, strict=True):
        used: dict[str, ast.ClassDef | ast.FunctionDef] = {}
        waiting: list[ast.AST] = [value]
        while waiting:
            for node in ast.walk(waiting.pop()):
                name = node.id if isinstance(node, ast.Name) else ""
                if name in blocks and name not in used and name not in ("Network", "sequence"):
                    used[name] = blocks[name]
                    waiting.append(blocks[name])
        assert isinstance(key, ast.Constant)
        found[str(key.value)] = (sum(_lines(text, one) for one in (value, *used.values())), sorted(used))
    return found


def _lines(text: str, node: ast.AST) -> int:
    """Lines of a definition, without those of docstrings and without blank ones."""
    assert isinstance(node, ast.expr | ast.stmt)
    strings = set()
    for inside in ast.walk(node):
        if isinstance(inside, ast.Expr) and isinstance(inside.value, ast.Constant):
            strings.update(range(inside.lineno, (inside.end_lineno or inside.lineno) + 1))
    lines = text.splitlines()
    places = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return sum(bool(lines[place - 1].strip()) for place in places if place not in strings)


def table(text: str) -> str:
    """The table in Markdown."""
    rows = [
        f"| {name} | {count} | {', '.join(f'`{one}`' for one in blocks)} |"
        for name, (count, blocks) in counted(text).items()
    ]
    return "\n".join(["| network | lines | of blocks |", "|---|---|---|", *rows]) + "\n"


def page(text: str) -> str:
    """The page with the table of today."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(SOURCE.read_text(encoding='utf-8'))}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table(SOURCE.read_text(encoding="utf-8")), end="")
