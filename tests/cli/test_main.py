"""Standard output that is closed, full or gone, and memory that is not there: one line, exit code 2, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from binarynet.cli import main, verbs

VERBS = (["inspect", "digits"], ["recipes", "--json"])


def ended(verb: list[str], redirect: str) -> tuple[int, str]:
    """Exit code and standard error of a verb whose output a shell has redirected."""
    command = f'exec "$0" -m binarynet.cli "$@" {redirect}'
    done = subprocess.run(["sh", "-c", command, sys.executable, *verb], capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_closed_standard_output_is_said(verb):
    assert ended(verb, ">&-") == (2, "binarynet: standard output is closed: let it be a file, a pipe or a terminal\n")


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_full_disk_behind_standard_output_is_said(verb):
    code, said = ended(verb, ">/dev/full")
    assert code == 2
    assert said.count("\n") == 1
    assert "No space left on device" in said


def test_a_reader_that_goes_away_ends_a_verb_without_a_traceback():
    ends = os.pipe()
    os.close(ends[0])
    command = [sys.executable, "-m", "binarynet.cli", "recipes", "--json"]
    done = subprocess.run(command, stdout=ends[1], stderr=subprocess.PIPE, text=True)
    os.close(ends[1])
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 1


def test_nowhere_to_say_it_is_no_traceback():
    assert ended(["inspect", "nowhere.bnn"], "2>&-") == (2, "")
    assert ended(["inspect", "digits"], ">&- 2>&-") == (2, "")


def test_no_memory_is_said(monkeypatch, capsys):
    def full(arguments):
        raise MemoryError

    monkeypatch.setattr(verbs, "run", full)
    assert main(["recipes"]) == 2
    assert capsys.readouterr().err == "binarynet: there is not enough memory for this\n"
