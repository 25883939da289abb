"""What the circuits take: which ops, and which encodings each reads, holds and makes."""

from __future__ import annotations

from binarynet.errors import ExportError
from binarynet.graph import Encoding, Op
from binarynet.graph.ir import (
    Add,
    Affine,
    Apply,
    Concat,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    PRelu,
    Relu,
    SumPool2d,
    Take,
    Threshold,
    Unflatten,
)
from binarynet.graph.rules import Rules

DIGITAL = frozenset([*(f"b{k}" for k in range(1, 9)), *(f"u{k}" for k in range(1, 9))])
CODES = DIGITAL | {"t2", *(f"i{k}" for k in range(2, 9))}
WEIGHTS = frozenset([*(f"b{k}" for k in range(1, 8)), *(f"u{k}" for k in range(1, 8)), "t2"]) | {
    f"i{k}" for k in range(2, 9)
}

# What the target takes: op → encodings of what it reads, and of what it holds (products) or makes (Input, Threshold).
_TAKES: dict[type[Op], tuple[frozenset[str], frozenset[str]]] = {
    Input: (frozenset(), DIGITAL),
    Linear: (CODES, WEIGHTS),
    Conv2d: (CODES, WEIGHTS),
    Threshold: (frozenset({"i32"}), CODES),
    MaxPool2d: (CODES, frozenset()),
    Flatten: (CODES, frozenset()),
    Affine: (frozenset({"i32"}), frozenset()),  # as the last op: it decides the order of the classes
}

_NO_UNIT = "has no unit for it: lower a net of products, thresholds and max pools, or export it to c"
SUPPORTED = Rules(
    "export/verilog",
    _TAKES,
    dict.fromkeys((SumPool2d, Add, Mul, Relu, PRelu, Apply, Take, Concat, Unflatten), _NO_UNIT),
    ExportError,
)
_REALS = "has no reals: lower a net whose layers end in a sign or a quantizer, or export it to c"


def refuses(op: type[Op], reads: Encoding | None, holds: Encoding | None) -> str | None:
    """Why the target does not take an op that reads and holds (or makes) these encodings; None if it does."""
    if op not in SUPPORTED:
        return SUPPORTED.refused.get(op, "has no rule for this op")
    readable, holdable = SUPPORTED[op]
    if any(encoding is not None and encoding.is_float for encoding in (reads, holds)):
        return _REALS
    if reads is not None and str(reads) not in readable:
        return "takes accumulators to a Threshold or a last Affine only, which take nothing else"
    if holds is not None and str(holds) not in holdable:
        return f"has no {holds} here"
    return None
