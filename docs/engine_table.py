"""The table op × engine of docs/architecture.md, made of the tables that the engines dispatch by.

python docs/engine_table.py
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from binarynet.graph import OPS
from binarynet.graph.rules import ENGINES, Rules

# Packages whose modules do something with a graph, in the order of the columns; importing them fills ENGINES.
PACKAGES = ("graph", "runtime", "gpu", "export", "report", "bench")


def engines() -> list[Rules]:
    """The tables of all modules, which are imported for it, by package and name."""
    found: list[Rules] = []
    for package in PACKAGES:
        module = import_module(f"binarynet.{package}")
        for inside in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
            if ".peers" not in inside.name:  # other libraries, of which some are not installed
                import_module(inside.name)
        here = {name: rules for name, rules in ENGINES.items() if rules.package == package}
        found += [here[name] for name in sorted(here)]
    return found


def missing() -> list[str]:
    """What no engine may leave open: an op for which it has neither a rule nor a reason to refuse."""
    return [
        f"{rules.engine} has no rule for {op}, and no reason to refuse it"
        for rules in engines()
        for op, kind in OPS.items()
        if kind not in rules and not rules.refused.get(kind)
    ]


def table() -> str:
    """The table in Markdown, with a numbered note for each reason to refuse."""
    notes: list[str] = []
    columns = engines()
    lines = [f"| op | {' | '.join(rules.engine for rules in columns)} |", "|---" * (1 + len(columns)) + "|"]
    for op, kind in OPS.items():
        cells = []
        for rules in columns:
            why = None if kind in rules else rules.refused.get(kind, "has no rule")
            notes += [why] if why is not None and why not in notes else []
            cells.append("yes" if why is None else f"no ({notes.index(why) + 1})")
        lines.append(f"| `{op}` | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]).rstrip() + "\n"


if __name__ == "__main__":
    print(table(), end="")
