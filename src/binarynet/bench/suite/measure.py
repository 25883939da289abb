"""The whole comparison: every peer in its own process, asked in turn, round after round, on a watched machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from binarynet.bench.suite import peers, quiet
from binarynet.bench.suite.limits import Roof
from binarynet.bench.suite.process import Process
from binarynet.bench.suite.workloads import KINDS, Workload, workloads

ROUNDS = 3
_AGAIN = 2  # how often a cell that was disturbed is measured again
_DISTURBED = 0.2  # cores that other processes used meanwhile
_BUILD, _TURN = 180.0, 120.0  # seconds until a worker counts as hanging


@dataclass
class Cell:
    """One workload on one way of one peer with a number of threads.

    ``answers`` is a word of `Peer.promise` or "wrong"; ``note`` says why there are no samples. ``others``: cores that
    other processes used during the turns that count, None where the system does not tell.
    """

    work: str
    peer: str
    way: str
    threads: int
    answers: str = ""
    details: str = ""
    note: str = ""
    samples: list[float] = field(default_factory=list)
    others: float | None = None

    @property
    def name(self) -> str:
        return f"{self.peer} {self.way}"

    @property
    def seconds(self) -> float | None:
        """The median, None without samples or for a wrong answer."""
        return float(np.median(self.samples)) if self.samples and self.answers != "wrong" else None

    @property
    def spread(self) -> tuple[float, float]:
        """10th and 90th percentile."""
        return float(np.quantile(self.samples, 0.1)), float(np.quantile(self.samples, 0.9))

    @property
    def disturbed(self) -> bool:
        return self.others is not None and self.others > _DISTURBED


@dataclass
class Suite:
    """What a run found."""

    works: list[Workload]
    cells: list[Cell]
    roofs: list[Roof]
    versions: dict[str, str]
    missing: dict[str, str]  # peer → one line


def run(
    names: Sequence[str] = (),
    kinds: Sequence[str] = KINDS,
    threads: Sequence[int] = (1, 2),
    seconds: float = 0.6,
    tiny: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Suite:
    """Measure. ``names``: peers, or "peer:way"; none means all. ``seconds`` of timing for each cell.

    Raises:
        InputError: a peer, a way or a workload that does not exist.
    """
    works = workloads(kinds, tiny)
    wanted, versions, missing = chosen(names)
    for name, why in missing.items():
        say(f"{name}: {why}")
    cells: list[Cell] = []
    roofs: list[Roof] = []
    with tempfile.TemporaryDirectory() as folder:
        expected = {work.name: Path(folder) / f"{number}.npy" for number, work in enumerate(works)}
        for count in threads:
            others = quiet.wait(1 if tiny else 20)
            say(f"{count} thread{'s' * (count > 1)}: peaks of the machine (others use {_cores(others)})")
            roofs.append(Roof.measure(count))
            processes = [Process(peer, way, count) for peer, way in wanted]
            try:
                for work in works:
                    if not expected[work.name].exists():
                        np.save(expected[work.name], work.expected())
                    say(f"{count} thread{'s' * (count > 1)}: {work.name}")
                    cells += _row(work, processes, str(expected[work.name]), seconds, tiny)
            finally:
                for process in processes:
                    process.stop()
    return Suite(works, cells, roofs, versions, missing)


def chosen(names: Sequence[str]) -> tuple[list[tuple[str, str]], dict[str, str], dict[str, str]]:
    """ "peer" or "peer:way" → the (peer, way) to measure, versions, and for each peer that is missing one line why."""
    from binarynet.errors import InputError

    asked: dict[str, list[str]] = {}
    for name in names or peers.names():
        peer, _, way = name.partition(":")
        asked.setdefault(peer, []).extend([way] if way else peers.get(peer).here())
    wanted, versions, missing = list[tuple[str, str]](), dict[str, str](), dict[str, str]()
    for peer, ways in asked.items():
        kind = peers.get(peer)
        for way in ways:
            if way not in kind.ways:
                raise InputError(f"{peer} has no way {way!r}; it has {', '.join(kind.ways)}")
        why = kind.available()
        if why:
            missing[peer] = why
            continue
        versions[peer] = kind.version()
        wanted += [(peer, way) for way in dict.fromkeys(ways)]
    return wanted, versions, missing


def _row(work: Workload, processes: Sequence[Process], expected: str, seconds: float, tiny: bool) -> list[Cell]:
    """All cells of a workload: built side by side, then timed alone, in turn."""

    def build(process: Process) -> Cell:
        answer = process.ask(_BUILD, do="build", work=work.name, tiny=tiny, expected=expected)
        note = answer.get("error") or answer.get("none") or ""
        answers, details = answer.get("answers", ""), answer.get("details", "")
        return Cell(work.name, process.peer, process.way, process.threads, answers, details, note)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        cells = list(pool.map(build, processes))
    ready = [(cell, process) for cell, process in zip(cells, processes, strict=True) if not cell.note]
    _rounds(ready, seconds)
    for _ in range(_AGAIN):
        again = [(cell, process) for cell, process in ready if cell.disturbed and not cell.note]
        if again and not tiny:
            quiet.wait(5)
            _rounds(again, seconds)
    return cells


def _rounds(ready: Iterable[tuple[Cell, Process]], seconds: float) -> None:
    """A B C A B C …; a turn that others disturbed counts only where there is no better one."""
    turns: dict[int, list[tuple[float | None, list[float]]]] = {}
    ready = list(ready)
    for _ in range(ROUNDS):
        for cell, process in ready:
            if cell.note:
                continue
            watch = quiet.Watch.start(process.pid)
            answer = process.ask(_TURN, do="time", seconds=seconds / ROUNDS)
            if "error" in answer:
                cell.note, cell.samples = answer["error"], []
                continue
            turns.setdefault(id(cell), []).append((watch.others(), answer["samples"]))
    for cell, _process in ready:
        if cell.note:
            continue
        mine = turns[id(cell)]
        calm = [turn for turn in mine if turn[0] is None or turn[0] <= _DISTURBED]
        others = max((turn[0] for turn in calm or mine if turn[0] is not None), default=None)
        if not cell.samples or (others or 0) <= (cell.others or 0):
            cell.samples = [sample for _, samples in calm or mine for sample in samples]
            cell.others = others


def _cores(others: float | None) -> str:
    return "an unknown part of it" if others is None else f"{others:.2f} cores"
