"""Every target, a fixed number of times from fixed seeds, and everything that once failed. Long runs: ``make fuzz``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.every import TARGETS
from tests.fuzz.runner import run, table
from tests.fuzz.target import Report, Target, drive, kept
from tests.library.building import built

COUNTS = {
    "bnn": 2000,
    "reader": 1500,
    "engines": 150,
    "idx": 400,
    "pickle": 500,
    "records": 100,
    "mat": 400,
    "npy": 600,
    "picture": 300,
    "onnx": 200,
}
KEPT = [(name, path) for name, target in TARGETS.items() for path in kept(target)]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_finds_nothing(name: str, tmp_path: Path) -> None:
    if name == "reader":
        built()  # or the test is skipped
    report = drive(TARGETS[name], tmp_path, count=COUNTS[name])
    assert not report.faults, "\n".join(f"{kind}, {text}" for kind, text, _ in report.faults)
    assert report.inputs == COUNTS[name]
    assert len(report.outcomes) > 1 or name == "engines", "all inputs end alike: the mutations reach nothing"


@pytest.mark.parametrize(("name", "path"), KEPT, ids=[f"{name}/{path.name}" for name, path in KEPT])
def test_what_once_failed_fails_no_more(name: str, path: Path, tmp_path: Path) -> None:
    TARGETS[name].attempt(path.read_bytes(), tmp_path)


def test_the_same_seed_makes_the_same_input() -> None:
    from random import Random

    for target in TARGETS.values():
        assert target.make(Random("3")) == target.make(Random("3"))


def test_a_fault_is_reported_with_its_input(tmp_path: Path) -> None:
    def attempt(content: bytes, folder: Path) -> str:
        assert content != b"2", "two"
        return "fine"

    seen = iter(range(100))
    target = Target("counter", lambda random: ("number", b"%d" % next(seen)), attempt)
    report = drive(target, tmp_path, count=4)
    assert [(kind, content) for kind, _, content in report.faults] == [("number", b"2")]
    assert "seed 2: AssertionError: two" in report.faults[0][1]
    assert report.outcomes == {"fine": 3}
    assert "| `counter` | 4 | 1 | 3 fine | 1 | 0 |" in table([report])


def test_a_process_that_dies_is_a_fault_of_its_last_input_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def one(name: str, first: int, seconds: float, current: str) -> tuple[Report | None, int | None]:
        calls.append(first)
        if len(calls) > 1:
            return Report(name, outcomes={"read": 9}), 0  # type: ignore[arg-type]
        Path(current).write_bytes(b"17\nthe input")
        return None, -11

    monkeypatch.setattr("tests.fuzz.runner._one", one)
    report = run("idx", 5, 60)
    assert calls == [5, 18]
    assert report.faults == [("death", "seed 17: the process ended with -11", b"the input")]
