"""Two processes: the same images, the same weights in both, and without BatchNorm those of one process."""

from __future__ import annotations

import multiprocessing
import signal
import time
from pathlib import Path

import pytest
import torch

from binarynet.data import DataSet
from binarynet.errors import RecipeError
from binarynet.train import RunFolder, TrainingError, fit, is_main_process, processes
from binarynet.train.checkpoint import read
from binarynet.train.module import RecipeModule
from tests.train.tiny import Tiny, TinyThatDiverges, TinyWithoutNorm


def fit_and_keep(data: DataSet, out: Path) -> None:
    """What each process runs: keep its own weights beside those that the run folder gets from rank 0."""

    def keep(module: RecipeModule) -> None:
        torch.save(module.model.state_dict(), out / f"{type(module.recipe).__name__}{module.global_rank}.pt")

    RecipeModule.on_train_end = keep  # type: ignore[method-assign, assignment]  # this process ends with the test
    for recipe in (Tiny(), TinyWithoutNorm()):
        result = fit(recipe, data, out / type(recipe).__name__, devices=2, progress=False, threads=1)
        assert 0 <= result.test_error < 60
    (out / f"main{is_main_process()}").touch()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.train.tiny import blobs

    out = tmp_path_factory.mktemp("two")
    processes.launch(fit_and_keep, (blobs(), out), 2)
    return out


def states(out: Path, recipe: str) -> list[dict[str, torch.Tensor]]:
    return [torch.load(out / f"{recipe}{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("recipe", ["Tiny", "TinyWithoutNorm"])
def test_all_processes_end_with_the_same_weights_and_statistics(two: Path, recipe: str) -> None:
    first, second = states(two, recipe)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_without_batch_norm_two_processes_compute_what_one_does(two: Path, data: DataSet, tmp_path: Path) -> None:
    """Same images, same augmentation at every step; the gradient is summed in another order.

    Float32 sums of 20 products differ by some 1e-7 of their size. Adam divides by the gradient's own size, and so
    makes that a difference of 1e-7 of a step of at most 0.02, in 48 steps: 1e-5 leaves room for cancellation.
    """
    fit(TinyWithoutNorm(), data, tmp_path / "one", progress=False, threads=1)
    one = read(RunFolder(tmp_path / "one").last)["state_dict"]
    for name, weight in states(two, "TinyWithoutNorm")[0].items():
        torch.testing.assert_close(weight, one[f"model.{name}"], rtol=0, atol=1e-5)
    rows = [RunFolder(path).metrics.read_text(encoding="utf-8") for path in (two / "TinyWithoutNorm", tmp_path / "one")]
    for ours, theirs in zip(*(text.splitlines()[1:] for text in rows), strict=True):
        # All columns but the last, the seconds. Counted over both processes: every image once.
        assert [float(x) for x in ours.split(",")[:-1]] == pytest.approx(
            [float(x) for x in theirs.split(",")[:-1]], rel=1e-3
        )


def test_the_run_folder_holds_the_weights_of_the_processes_once(two: Path) -> None:
    last = read(RunFolder(two / "Tiny").last)["state_dict"]
    for name, weight in states(two, "Tiny")[0].items():
        assert torch.equal(last[f"model.{name}"], weight)
    assert len(list((two / "Tiny" / "tensorboard").iterdir())) == 1
    assert len(RunFolder(two / "Tiny").read_config()["sessions"]) == 1
    assert {path.name for path in two.glob("main*")} == {"mainTrue", "mainFalse"}


def test_an_error_in_the_processes_is_raised_here_and_one_process_goes_on_from_their_checkpoint(
    data: DataSet, tmp_path: Path
) -> None:
    recipe = TinyThatDiverges()
    with pytest.raises(TrainingError, match="epoch 2, at or before step 12 of 12: the loss"):
        fit(recipe, data, tmp_path, devices=2, progress=False)
    assert read(RunFolder(tmp_path).last)["epoch"] == 0  # Lightning counts from 0
    result = fit(recipe, data, tmp_path, resume=True, progress=False, threads=1)
    assert len(RunFolder(tmp_path).metrics.read_text(encoding="utf-8").splitlines()) == 1 + 4
    assert [session["devices"] for session in RunFolder(tmp_path).read_config()["sessions"]] == [2, 1]
    assert result.test_error < 60


def test_a_batch_that_does_not_divide_is_refused_before_a_process_is_started(data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="batch_size=20 does not divide into 3"):
        fit(Tiny(), data, tmp_path / "run", devices=3)
    assert not (tmp_path / "run").exists()


def test_torchrun_decides_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "TORCHELASTIC_RUN_ID": "x",
        "LOCAL_WORLD_SIZE": "2",
        "WORLD_SIZE": "6",
        "LOCAL_RANK": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert processes.layout(1, 1) == processes.layout(2, 3) == (2, 3)
    assert processes.started_elsewhere()
    with pytest.raises(TrainingError, match="torchrun started 2 processes on each of 3 nodes"):
        processes.layout(3, 2)


def test_cores_are_shared_among_the_processes_unless_threads_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert [processes.threads_each(None, devices) for devices in (2, 4, 16)] == [4, 2, 1]
    assert processes.threads_each(None, 1) == torch.get_num_threads()
    assert processes.threads_each(3, 4) == 3


def test_processes_that_are_just_starting_end_with_us(monkeypatch):
    """The Ctrl-C falls between their start and the first wait for them."""
    start = processes.start_processes

    def stopped(*arguments, **options):
        start(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "start_processes", stopped)
    with pytest.raises(KeyboardInterrupt):
        processes.launch(time.sleep, (600,), 2)
    assert multiprocessing.active_children() == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
