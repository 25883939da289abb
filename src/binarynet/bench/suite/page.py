"""What a run of the suite found, as a JSON document and as a page of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from binarynet.bench.suite.limits import Roof
from binarynet.bench.suite.measure import Cell, Suite
from binarynet.bench.suite.workloads import Workload

_BASE = "torch float32"
_OURS = "binarynet"
_EXACT = ("equal", "same")
_UNITS = {"amx": "amx int8", "avx512": "avx512 popcount", "avx2": "avx2 popcount"}
_WORDS = {
    "equal": "the oracle's bits",
    "same": "the oracle's, but for the rounding of the last floats",
    "near": "products rounded to bfloat16",
    "own": "a net of this shape with numbers of its own",
    "wrong": "WRONG, not counted",
}


class Table:
    """Looks cells up and puts them beside each other."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite

    def cells(self, work: Workload, threads: int) -> list[Cell]:
        """Those that have a time, fastest first."""
        found = [c for c in self.suite.cells if (c.work, c.threads) == (work.name, threads) and c.seconds is not None]
        return sorted(found, key=lambda cell: cell.seconds or 0)

    def named(self, work: Workload, threads: int, name: str) -> Cell | None:
        return next((cell for cell in self.cells(work, threads) if cell.name == name), None)

    def ours(self, work: Workload, threads: int) -> Cell | None:
        return self.named(work, threads, f"{_OURS} default")

    def base(self, work: Workload, threads: int) -> Cell | None:
        return self.named(work, threads, _BASE)

    def fastest(self, work: Workload, threads: int, exact: bool = False) -> Cell | None:
        """The fastest way of all other libraries; ``exact``: of those whose answers are the oracle's."""
        others = (cell for cell in self.cells(work, threads) if cell.peer != _OURS)
        return next((cell for cell in others if not exact or cell.answers in _EXACT), None)

    def row(self, work: Workload, roof: Roof) -> dict[str, Any]:
        """A line of the summary; None where something was not measured."""
        threads = roof.threads
        ours, base = self.ours(work, threads), self.base(work, threads)
        fastest, exact = self.fastest(work, threads), self.fastest(work, threads, exact=True)
        return {
            "work": work.name,
            "threads": threads,
            "seconds": _seconds(ours),
            "torch_float32": _seconds(base),
            "ratio_to_torch_float32": ratio(base, ours),
            "fastest": fastest.name if fastest else None,
            "ratio_to_fastest": ratio(fastest, ours),
            "fastest_exact": exact.name if exact else None,
            "ratio_to_fastest_exact": ratio(exact, ours),
            "limit": roof.limit(work),
            "arithmetic_limit": roof.arithmetic(work),
            "memory_limit": roof.memory(work),
            "share_of_limit": share(roof.limit(work), ours),
        }

    def shares(self, roof: Roof) -> list[tuple[str, str, Cell, float]]:
        """(work, unit, cell, share of its register peak) of this package's products on each instruction set."""
        found = []
        for work in self.suite.works:
            for cell in self.cells(work, roof.threads):
                unit = _UNITS.get(cell.details.split(":", 1)[0], "")
                if cell.peer == _OURS and work.kind == "W1" and roof.macs.get(unit):
                    part = share(sum(work.macs.values()) / roof.macs[unit], cell)
                    assert part is not None
                    found.append((work.name, unit, cell, part))
        return found


def ratio(other: Cell | None, ours: Cell | None) -> float | None:
    """How many times faster ours is."""
    if other is None or ours is None or not other.seconds or not ours.seconds:
        return None
    return other.seconds / ours.seconds


def share(limit: float | None, cell: Cell | None) -> float | None:
    """Limit ÷ time: 1 at the limit."""
    return None if limit is None or cell is None or not cell.seconds else limit / cell.seconds


def document(suite: Suite, setting: dict[str, str]) -> dict[str, Any]:
    """All of it for programs: setting, peaks, summary, every cell with median, spread and samples."""
    table = Table(suite)
    cells = []
    for cell in suite.cells:
        low, high = cell.spread if cell.samples else (None, None)
        cells.append({**asdict(cell), "median": cell.seconds, "low": low, "high": high, "disturbed": cell.disturbed})
    return {
        "setting": setting,
        "versions": suite.versions,
        "missing": suite.missing,
        "roofs": [asdict(roof) for roof in suite.roofs],
        "summary": [table.row(work, roof) for work in suite.works for roof in suite.roofs],
        "cells": cells,
    }


def page(suite: Suite, setting: dict[str, str], picture: str | None = None) -> str:
    """The same for people, as Markdown."""
    table = Table(suite)
    disturbed = [cell for cell in suite.cells if cell.disturbed]
    parts = [
        "# binarynet beside other libraries",
        f"`{setting['command']}`",
        "\n".join(f"* {key}: {text}" for key, text in setting.items() if key != "command"),
        _quiet(suite.cells, disturbed),
        "## Summary",
        "Medians. × says how many times faster `binarynet default` is. The limit is the larger of multiply-adds ÷ peak "
        "and bytes ÷ bandwidth, both measured in this run; no program on these units can be faster. *Exact*: the "
        "answers are the oracle's.",
        _summary(table),
        _shares(table),
    ]
    if picture:
        parts.append(f"![Roofline]({picture})")
    parts += ["## All", _notes()]
    for work in suite.works:
        parts += [f"### {work.name}", _all(table, work)]
    parts += ["## What this machine can do at most", _peaks(suite.roofs), _reads(suite.roofs)]
    parts += ["## Versions", "\n".join(f"* {name}: {text}" for name, text in suite.versions.items())]
    parts += ["\n".join(f"* {name}: {why}" for name, why in suite.missing.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(table: Table) -> str:
    lines = []
    for work in table.suite.works:
        for roof in table.suite.roofs:
            row, threads = table.row(work, roof), roof.threads
            fastest, exact = table.fastest(work, threads), table.fastest(work, threads, exact=True)
            lines.append(
                [
                    work.name,
                    str(threads),
                    time(row["seconds"]),
                    time(row["torch_float32"]),
                    times(row["ratio_to_torch_float32"]),
                    f"{fastest.name}, {time(fastest.seconds)}" if fastest else "—",
                    times(row["ratio_to_fastest"]),
                    "the same" if exact is fastest else f"{exact.name}, {time(exact.seconds)}" if exact else "—",
                    times(row["ratio_to_fastest_exact"]),
                    time(row["limit"]),
                    percent(row["share_of_limit"]),
                ]
            )
    heads = ["work", "threads", "binarynet", "torch fp32", "×", "fastest peer", "×", "fastest exact peer", "×"]
    return markdown([*heads, "limit", "of the limit"], lines)


def _shares(table: Table) -> str:
    lines = [
        [name, cell.name, unit, str(roof.threads), time(cell.seconds), percent(part)]
        for roof in table.suite.roofs
        for name, unit, cell, part in table.shares(roof)
    ]
    if not lines:
        return ""
    return (
        "## Share of the register peak\n\nProducts of this package against the peak of the unit that runs them; "
        "packing the activations is included.\n\n"
    ) + markdown(["work", "way", "unit", "threads", "median", "of its peak"], lines)


def _all(table: Table, work: Workload) -> str:
    ways = dict.fromkeys((c.peer, c.way) for c in table.suite.cells if c.work == work.name)
    lines = []
    for peer, way in ways:
        line, answers, notes = [f"{peer} {way}"], "", list[str]()
        for roof in table.suite.roofs:
            cell = next(
                c
                for c in table.suite.cells
                if (c.work, c.peer, c.way, c.threads) == (work.name, peer, way, roof.threads)
            )
            base = table.base(work, roof.threads)
            if cell.seconds is None:
                line += ["—", "", ""]
            else:
                low, high = cell.spread
                factor = ratio(base, cell)
                line += [time(cell.seconds) + "†" * cell.disturbed, f"{time(low)} … {time(high)}", times(factor)]
            answers = cell.answers or answers
            notes += [cell.note] * bool(cell.note)
        if len(set(notes)) == 1 and len(notes) == len(table.suite.roofs) and not answers:
            continue  # there is no such thing in this library, or it failed in every way: told below
        lines.append([*line, _WORDS.get(answers, ""), "; ".join(dict.fromkeys(notes))])
    failed = sorted(
        {f"{c.name}: {c.note}" for c in table.suite.cells if c.work == work.name and c.note and not c.answers}
    )
    heads = ["way"]
    for roof in table.suite.roofs:
        heads += [_threads(roof), "10 … 90 %", "× torch fp32"]
    return markdown([*heads, "answers", ""], lines) + ("\n\nNot run: " + "; ".join(failed) + "." if failed else "")


def _notes() -> str:
    return (
        "Each library runs in a process of its own, with its own thread pool; all are asked in turn, for three "
        "rounds, after a warm-up. Weights are prepared before (packed, prepacked, reordered, compiled, norms folded "
        "in), answers go into memory that is kept where a library allows it. Timed is everything from an input of one "
        "number an element to the answer. Products: float32 gets float32 ±1, bfloat16 the same as bfloat16, int8 "
        "bytes; who counts bits gets a byte 0 / 1 an element (OpenVINO's BinaryConvolution float32 ±1, which its "
        "FakeQuantize reads) and packs in the time; int32 or float32 out; Hamming distances count as the answer, "
        "without depth − 2 x. "
        "Nets: uint8 images in, in the order of axes that the library prefers, float32 logits out.\n\n"
        "† other processes used more than a fifth of a core in every try."
    )


def _quiet(cells: Sequence[Cell], disturbed: Sequence[Cell]) -> str:
    timed = [cell for cell in cells if cell.samples]
    if any(cell.others is None for cell in timed):
        return "Whether the machine was quiet is not known: this system does not tell."
    if not disturbed:
        return f"The machine was quiet during all {len(timed)} measurements."
    worst = max(cell.others or 0 for cell in disturbed)
    return (
        f"**The machine was busy** during {len(disturbed)} of {len(timed)} measurements: other processes used up to "
        f"{worst:.1f} cores. Measure again on a quiet one before believing these, most of all with several threads."
    )


def _peaks(roofs: Sequence[Roof]) -> str:
    units = list(dict.fromkeys(unit for roof in roofs for unit in roof.macs))
    lines = [[unit, *(f"{roof.macs[unit] / 1e9:,.0f}" for roof in roofs)] for unit in units]
    return markdown(["10⁹ multiply-adds a second, on registers", *map(_threads, roofs)], lines)


def _reads(roofs: Sequence[Roof]) -> str:
    sizes = list(dict.fromkeys(size for roof in roofs for size in roof.reads))
    lines = [[f"{size >> 10:,} KB", *(f"{roof.reads[size] / 1e9:,.0f}" for roof in roofs)] for size in sizes]
    return markdown(["GB/s, reading so much over and over", *map(_threads, roofs)], lines)


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table; nothing without lines."""
    lines = list(lines)
    if not lines:
        return ""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def time(seconds: float | None) -> str:
    """Three digits: '866 ms', '38.2 µs'."""
    if seconds is None:
        return "—"
    number, unit = (seconds * 1e3, "ms") if seconds >= 1e-4 else (seconds * 1e6, "µs")
    return f"{number:.3g} {unit}" if number < 1000 else f"{number:,.0f} {unit}"


def times(factor: float | None) -> str:
    return "—" if factor is None else f"{factor:.3g}"


def percent(part: float | None) -> str:
    return "—" if part is None else f"{100 * part:.0f} %"


def _threads(roof: Roof) -> str:
    return f"{roof.threads} thread{'s' * (roof.threads > 1)}"


def _seconds(cell: Cell | None) -> float | None:
    return None if cell is None else cell.seconds
