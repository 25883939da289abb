"""What a target is, and how one is driven: seeds in, outcomes counted, and the input kept that ends a process."""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import NoReturn

CORPUS = Path(__file__).parent / "corpus"
SLOW = 20  # seconds after which one input counts as a hang
MEMORY = 3 << 30  # bytes more than at the start, after which one counts as a bomb


@dataclass(frozen=True)
class Target:
    """``make``: a random generator → the kind of an input, and the input. ``attempt``: an input → the outcome.

    An outcome is a word, such as *refused* or *equal*. Whatever ``attempt`` raises is a fault that was found.
    """

    name: str
    make: Callable[[Random], tuple[str, bytes]]
    attempt: Callable[[bytes, Path], str]
    limited: bool = True  # in memory; a sanitizer of a child process sets terabytes aside, and could not


@dataclass
class Report:
    """What a target did: inputs by kind, outcomes, checks, and the faults with their inputs."""

    target: str
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str, bytes]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        return sum(self.kinds.values())


class Hang(Exception):
    """An input took longer than `SLOW`."""


def drive(
    target: Target,
    folder: Path,
    *,
    first: int = 0,
    count: int | None = None,
    seconds: float | None = None,
    before: Callable[[int, bytes], None] | None = None,
) -> Report:
    """Try seeds ``first``, ``first + 1`` … until so many, or so long. ``before`` sees each input before it is tried."""
    report, start, seed = Report(target.name), time.monotonic(), first
    while (count is None or seed < first + count) and (seconds is None or time.monotonic() - start < seconds):
        kind, content = target.make(Random(f"{target.name} {seed}"))
        if before is not None:
            before(seed, content)
        report.kinds[kind] += 1
        try:
            with bounded():
                report.outcomes[target.attempt(content, folder)] += 1
        except Exception as error:  # a fault is whatever comes
            report.faults.append((kind, f"seed {seed}: {type(error).__name__}: {error}"[:500], content))
        seed += 1
    report.seconds = time.monotonic() - start
    return report


def refused(error: Exception, names: str = "") -> str:
    """The outcome of an input that is refused: in words that steer no terminal, and that name what is refused."""
    text = str(error)
    assert text, "a refusal without words"
    assert text.replace("\n", "").isprintable(), "a message that steers a terminal"
    assert names in text, f"a message that does not name {names}"
    return "refused"


def kept(target: Target) -> Iterator[Path]:
    """The inputs that once failed."""
    yield from sorted((CORPUS / target.name).glob("*"))


@contextmanager
def bounded() -> Iterator[None]:
    """Too long is an error; too much memory is one as well, where `limit_memory` was called."""

    def ring(number: int, frame: FrameType | None) -> NoReturn:
        raise Hang(f"more than {SLOW} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SLOW)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """This process gets no more than `MEMORY` bytes from here on: what wants more is a MemoryError, and a fault."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
