"""What follows a head, number by number: affine, activations, and the threshold that ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from binarynet.export.c.options import Options
from binarynet.export.c.product import narrow
from binarynet.export.c.writer import Table
from binarynet.export.emit import Names, pack_words
from binarynet.graph.ir import Affine, Apply, Op, PRelu, Relu, Threshold


def tail(
    ops: tuple[Op, ...], tables: list[Table], value: str, kind: str, names: Names, options: Options, place: str
) -> list[str]:
    """The ops that follow a head, each on the number before it, and the store at ``place``. ``kind``: value's type."""
    lines: list[str] = []
    for op in ops:
        if isinstance(op, Threshold):
            return lines + threshold(tables, op, value, names, options, place)
        text = TAIL[type(op)](tables, op, value, names)
        if options.constant_time and isinstance(op, Relu):
            text = f"{value} * at_least({value}, 0)"
        value = _next(value)
        kind = kind if isinstance(op, Relu) else "float"
        lines.append(f"const {kind} {value} = {text};")
    return [*lines, f"y[{place}] = {value};"]


def _next(value: str) -> str:
    """v1, v2, … behind v or acc: short, and never the name of anything else."""
    return f"v{int(value[1:]) + 1}" if value[1:].isdigit() else "v1"


def _affine(tables: list[Table], op: Affine, value: str, names: Names) -> str:
    scale, offset = names.unique(f"{op.name}_scale"), names.unique(f"{op.name}_offset")
    tables += [
        Table(scale, "float", op.scale, "times this, rounded,"),
        Table(offset, "float", op.offset, "plus this, rounded again"),
    ]
    return f"multiply((float){value}, {scale}[c]) + {offset}[c]"


def _prelu(tables: list[Table], op: PRelu, value: str, names: Names) -> str:
    slope = names.unique(f"{op.name}_slope")
    tables.append(Table(slope, "float", op.slope, "where the number is negative"))
    return f"{value} >= 0 ? {value} : multiply({value}, {slope}[c])"


TAIL: dict[type[Op], Callable[..., str]] = {
    Affine: _affine,
    PRelu: _prelu,
    Apply: lambda tables, op, value, names: f"{op.function}_of({value})",
    Relu: lambda tables, op, value, names: f"{value} < 0 ? 0 : {value}",  # NaN stays NaN
}


def threshold(tables: list[Table], op: Threshold, value: str, names: Names, options: Options, place: str) -> list[str]:
    name = names.unique(f"{op.name}_threshold")
    numbers: Any = op.thresholds[:, 0] if op.encoding == "b1" else op.thresholds
    note = "a bit is set where the number reaches this"
    table = Table(name, "float", numbers, note) if numbers.dtype == np.float32 else narrow(name, numbers, note)
    tables.append(table)
    limit = f"{name}[c]" if op.encoding == "b1" else f"{name}[c][level]"
    holds = f"at_least({value}, {limit})" if options.constant_time else f"{value} >= {limit}"
    if not op.rising.all():
        falls = names.unique(f"{op.name}_falls")
        tables.append(Table(falls, "word", pack_words(~op.rising, options.word), "1: where it does not reach it"))
        holds = f"({holds}) {'^' if options.constant_time else '!='} get_table_bit({falls}, c)"
    if op.encoding == "b1":
        if options.constant_time:
            return [f"put_bit(y, {place}, {holds});"]
        return [f"if ({holds})", f"    set_bit(y, {place});"]
    return [
        "uint8_t code = 0; /* how many thresholds hold */",
        f"for (int32_t level = 0; level < {op.thresholds.shape[1]}; level++)",
        f"    code = (uint8_t)(code + ({holds}));",
        f"y[{place}] = code;",
    ]
