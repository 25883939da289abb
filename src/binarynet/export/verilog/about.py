"""What the head of a design says of each unit."""

from __future__ import annotations

from binarynet.export.verilog.units import Pool, Unit
from binarynet.export.verilog.unrolled.unit import Unrolled


def about(unit: Unit) -> str:
    """``unit conv1, sign1: 28x28x1 b8 -> 28x28x16 b1, 3x3 b1``.

    Tools take orders from comments whose first word is theirs (``synthesis translate_off``), so no name is the first.
    """
    shape = "x".join(map(str, unit.reads.shape))
    if isinstance(unit, Pool):
        made, how = unit.makes, "x".join(map(str, unit.window.kernel))
        pooled = f"{'x'.join(map(str, made.shape))} {made.encoding}"
        return f"unit {unit.name}: {shape} {unit.reads.encoding} -> {pooled}, {how}"
    named = f"{unit.name}, {unit.threshold.name}" if unit.threshold else unit.name
    end = unit.makes
    result = f"{'x'.join(map(str, end.shape))} {end.encoding}" if end else f"{unit.channels} integers"
    kernel = "x".join(map(str, unit.window.kernel))
    return f"unit {named}: {shape} {unit.reads.encoding} -> {result}, {kernel} {unit.encoding}"


def folding(unit: Unit) -> str:
    """``8 outputs x 32 inputs``."""
    if isinstance(unit, Pool):
        return f"{unit.reads.lanes} channels"
    if isinstance(unit, Unrolled):
        return f"{unit.outputs} outputs, constant weights"
    return f"{unit.outputs} outputs x {unit.inputs} inputs"
