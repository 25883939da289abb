"""Training keeps a second team of threads, so that the first one sleeps while it waits."""

import threading

import pytest
import torch

from binarynet.train import fit
from binarynet.train.waiting import NAME, sleeping
from tests.train import tiny


def kept() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


@pytest.fixture(autouse=True)
def as_in_a_script(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def test_the_team_is_there_while_a_script_trains_and_gone_afterwards(tmp_path, monkeypatch):
    seen = []
    step = tiny.Tiny.begin_epoch

    def begin(recipe, model, epoch):
        seen.append((len(kept()), torch.get_num_threads()))
        return step(recipe, model, epoch)

    monkeypatch.setattr(tiny.Tiny, "begin_epoch", begin)
    fit(tiny.Tiny(), tiny.blobs(), tmp_path / "run", progress=False, threads=1)
    assert (1, 1) in seen
    assert kept() == []


def test_it_is_gone_after_an_error_and_changes_no_number_of_threads():
    threads = torch.get_num_threads()
    inside = []

    def stopped() -> None:
        with sleeping():
            inside.append((len(kept()), torch.get_num_threads()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert inside == [(1, threads)]
    assert kept() == []
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_environment_says_goes_first(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    with sleeping():
        assert kept() == []
