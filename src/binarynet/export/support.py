"""Which op with which encodings each target takes: asked of the targets, shown as the table of docs/export.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType

from binarynet.export.emit import unsupported
from binarynet.graph import OPS, Encoding, Graph, Op, verify
from binarynet.graph.ir import Conv2d, Input, Linear, Threshold

# Encodings that stand in one cell of the table, and how it writes them.
FAMILIES: dict[str, tuple[str, ...]] = {
    "`b1`": ("b1",),
    "`b2`…`b8`": tuple(f"b{k}" for k in range(2, 9)),
    "`u1`…`u8`": tuple(f"u{k}" for k in range(1, 9)),
    "`i2`…`i8`": tuple(f"i{k}" for k in range(2, 9)),
    "`t2`": ("t2",),
    "`i32`": ("i32",),
    "`f32`": ("f32",),
}
_CODES = ("`b1`", "`b2`…`b8`", "`u1`…`u8`", "`i2`…`i8`", "`t2`")
_ALL, _NUMBERS = tuple(FAMILIES), ("`i32`", "`f32`")
_NONE = ("",)
_WIDEST = 7  # bits of a weight that is bipolar or unsigned: int8 holds it

# op → families that it may read, families that its weights (or the codes that it makes) may have
_CASES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Input": (_NONE, ("`b1`", "`b2`…`b8`", "`u1`…`u8`", "`f32`")),
    "Linear": ((*_CODES, "`f32`"), (*_CODES, "`f32`")),
    "Conv2d": ((*_CODES, "`f32`"), (*_CODES, "`f32`")),
    "Threshold": (_NUMBERS, _CODES),
    "Affine": (_ALL, _NONE),
    "MaxPool2d": (_ALL, _NONE),
    "SumPool2d": (_ALL, _NONE),
    "Add": (_NUMBERS, _NONE),
    "Mul": (("`f32`",), _NONE),
    "Relu": (_NUMBERS, _NONE),
    "PRelu": (("`f32`",), _NONE),
    "Apply": (("`f32`",), _NONE),
    "Take": (_ALL, _NONE),
    "Concat": (_ALL, _NONE),
    "Flatten": (_ALL, _NONE),
    "Unflatten": (_NUMBERS, _NONE),
}


def refusal(target: ModuleType, op: type[Op], reads: Encoding | None, holds: Encoding | None) -> str | None:
    """Why a target does not take an op that reads and holds these encodings; None if it does."""
    said: str | None = target.refuses(op, reads, holds) if hasattr(target, "refuses") else None
    return said


def check(graph: Graph, target: ModuleType, name: str) -> None:
    """Raises ExportError for the first op that the target says it does not take."""
    values = verify(graph)
    for op in graph.ops:
        reads = values[op.source].encoding if op.sources else None
        why = refusal(target, type(op), reads, _held(op))
        if why is not None:
            raise unsupported(name, op, why)


def _held(op: Op) -> Encoding | None:
    if isinstance(op, Linear | Conv2d):
        return Encoding.parse(op.weight_encoding)
    return Encoding.parse(op.encoding) if isinstance(op, Input | Threshold) else None


def cases(op: str, reads: str, holds: str) -> Iterator[tuple[type[Op], Encoding | None, Encoding | None]]:
    """Every pair of encodings that two families stand for, as `refuses` takes them."""
    for first in FAMILIES.get(reads, ("",)):
        for second in FAMILIES.get(holds, ("",)):
            encodings = [Encoding.parse(name) if name else None for name in (first, second)]
            weight = encodings[1] if op in ("Linear", "Conv2d") else None
            if weight is None or weight.kind not in "bu" or weight.bits <= _WIDEST:
                yield OPS[op], encodings[0], encodings[1]


def table(targets: Mapping[str, ModuleType]) -> str:
    """The table in Markdown, with a numbered note for each reason. Targets that declare nothing are left out."""
    shown = {name: module for name, module in targets.items() if hasattr(module, "refuses")}
    notes: list[str] = []
    lines = [f"| op | reads | weights or codes | {' | '.join(f'`{name}`' for name in shown)} |"]
    lines.append("|---" * (3 + len(shown)) + "|")
    rows: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for op, (readable, holdable) in _CASES.items():
        cells = {
            reads: tuple(
                tuple(_cell(module, op, reads, holds, notes) for module in shown.values()) for holds in holdable
            )
            for reads in readable
        }
        for pattern in dict.fromkeys(cells.values()):
            alike = ", ".join(reads for reads in readable if cells[reads] == pattern)
            for cell in dict.fromkeys(pattern):
                held = ", ".join(holds for holds, one in zip(holdable, pattern, strict=True) if one == cell)
                rows.setdefault((alike, held, cell), []).append(f"`{op}`")
    for (alike, held, cell), ops in rows.items():
        weights = held.replace("`b2`…`b8`", "`b2`…`b7`").replace("`u1`…`u8`", "`u1`…`u7`")
        lines.append(f"| {', '.join(ops)} | {alike} | {weights if '`Linear`' in ops else held} | {' | '.join(cell)} |")
    return "\n".join([*lines, "", *(f"{k}. {note}" for k, note in enumerate(notes, 1))]).rstrip() + "\n"


def _cell(target: ModuleType, op: str, reads: str, holds: str, notes: list[str]) -> str:
    """yes, no or some, with the numbers of the reasons."""
    said = [refusal(target, *case) for case in cases(op, reads, holds)]
    reasons = list(dict.fromkeys(why for why in said if why is not None))
    notes += [why for why in reasons if why not in notes]
    if not reasons:
        return "yes"
    numbers = ", ".join(str(notes.index(why) + 1) for why in reasons)
    return f"{'some' if None in said else 'no'} ({numbers})"
