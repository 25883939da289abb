"""Runs targets in processes of their own, so that one that dies, hangs or fills the memory is a fault like any other.

An input that fails, or that its process dies of, is left in build/fuzz and named; moved to ``corpus/TARGET``, it is
tried by the tests from then on.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import tempfile
import time
from pathlib import Path
from queue import Empty
from typing import Any

from tests.fuzz.every import TARGETS
from tests.fuzz.target import Report, drive, limit_memory

FAILED = Path("build/fuzz")
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None  # thousands of small files a minute
DEATHS = 5  # of one target, after which it is not started again


def work(name: str, first: int, seconds: float, current: str, reports: Any) -> None:
    """One process: its target until the time is up. ``current`` holds the seed and the input that are just tried."""
    if TARGETS[name].limited:
        limit_memory()
    note = Path(current)
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY_DISK) as folder:
        report = drive(
            TARGETS[name],
            Path(folder),
            first=first,
            seconds=seconds,
            before=lambda seed, content: note.write_bytes(b"%d\n" % seed + content) and None,
        )
    reports.put(report)


def run(name: str, first: int, seconds: float) -> Report:
    """A target for so long, in one process after the other where one dies, which is a fault of its last input."""
    whole, start = Report(name), time.monotonic()
    while len([fault for fault in whole.faults if fault[0] == "death"]) < DEATHS:
        left = seconds - (time.monotonic() - start)
        if left <= 0:
            break
        with tempfile.NamedTemporaryFile(prefix="fuzz-now-", dir=MEMORY_DISK) as current:
            report, code = _one(name, first, left, current.name)
            if report is not None:
                whole.kinds += report.kinds
                whole.outcomes += report.outcomes
                whole.faults += report.faults
                break
            seed, _, content = Path(current.name).read_bytes().partition(b"\n")
        whole.kinds["death"] += 1
        whole.faults.append(("death", f"seed {seed.decode() or '?'}: the process ended with {code}", content))
        first = int(seed or first) + 1
    whole.seconds = time.monotonic() - start
    return whole


def _one(name: str, first: int, seconds: float, current: str) -> tuple[Report | None, int | None]:
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    process = context.Process(target=work, args=(name, first, seconds, current, reports))
    process.start()
    report = None
    while report is None and (process.is_alive() or not reports.empty()):
        try:
            report = reports.get(timeout=0.2)
        except Empty:
            continue
    process.join()
    return report, process.exitcode


def main() -> int:
    """The exit code: 1 if there is a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz this package, then print a table.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together (default 60)")
    parser.add_argument("--first", type=int, default=int(time.time()), help="first seed; default: the clock")
    given = parser.parse_args()
    unknown = [name for name in given.targets if name not in TARGETS]
    if unknown or given.seconds <= 0:
        parser.error(f"unknown target {unknown[0]!r}" if unknown else "--seconds must be positive")
    names = given.targets or list(TARGETS)
    print(f"first seed {given.first}, {given.seconds:g} s for {len(names)} targets", flush=True)
    reports = [_told(run(name, given.first, given.seconds / len(names))) for name in names]
    print(f"\n{table(reports)}")
    faults = sum(len(report.faults) for report in reports)
    print(f"{sum(report.inputs for report in reports):,} inputs, {faults} faults")
    return 1 if faults else 0


def _told(report: Report) -> Report:
    print(f"{report.target}: {report.inputs:,} inputs, {report.seconds:.0f} s, {len(report.faults)} faults", flush=True)
    for kind, text, content in report.faults:
        file = FAILED / report.target / hashlib.sha256(content).hexdigest()[:16]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        print(f"  ({kind}) {text}\n        kept as {file}", flush=True)
    return report


def table(reports: list[Report]) -> str:
    """The table of docs/promises.md."""
    rows = ["| target | inputs | kinds | outcomes | faults | seconds |", "|---|---|---|---|---|---|"]
    for report in reports:
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in report.outcomes.most_common())
        rows.append(
            f"| `{report.target}` | {report.inputs:,} | {len(report.kinds)} | {outcomes} | {len(report.faults)} | "
            f"{report.seconds:.0f} |"
        )
    return "\n".join(rows)
