"""Checkpoints: whole or not there, and read without running what is in them."""

from __future__ import annotations

import os
import pickle
import resource
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from binarynet.train import RunFolder, TrainingError, keeping
from binarynet.train.checkpoint import read, save
from binarynet.train.keeping import Checkpoints


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.ckpt"
    save({"weights": torch.arange(3.0), "rows": [{"epoch": 1, "loss": 0.5}]}, path)
    state = read(path)
    assert state["weights"].tolist() == [0, 1, 2]
    assert state["rows"] == [{"epoch": 1, "loss": 0.5}]
    assert [file.name for file in path.parent.iterdir()] == ["a.ckpt"]


def test_a_write_that_is_cut_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ckpt"
    save({"epoch": 1}, path)

    def half(state: Any, file: Path) -> None:
        file.write_bytes(b"PK\x03\x04 half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(KeyboardInterrupt):
            save({"epoch": 2}, path)
    assert read(path) == {"epoch": 1}
    save({"epoch": 3}, path)  # over what the other left
    assert read(path) == {"epoch": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


class Exploit:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state))])
def test_a_file_that_carries_code_is_refused_and_nothing_runs(tmp_path: Path, write: Any) -> None:
    path, ran = tmp_path / "a.ckpt", tmp_path / "ran"
    write({"epoch": Exploit(ran)}, path)
    with pytest.raises(TrainingError, match=r"a\.ckpt is damaged, or is no checkpoint"):
        read(path)
    assert not ran.exists()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole, cut = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    save({"weights": torch.arange(10.0)}, whole)
    content = whole.read_bytes()
    for length in range(0, len(content), 7):
        cut.write_bytes(content[:length])
        with pytest.raises(TrainingError, match="damaged"):
            read(cut)


def test_a_missing_file_and_a_foreign_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"nowhere\.ckpt does not exist"):
        read(tmp_path / "nowhere.ckpt")
    torch.save(torch.zeros(3), tmp_path / "tensor.ckpt")
    with pytest.raises(TrainingError, match="holds a Tensor"):
        read(tmp_path / "tensor.ckpt")


def epochs(
    folder: RunFolder, errors: list[float], first: int = 1, selectable_from: int = 0, max_epochs: int = 100
) -> None:
    """Drive the callback through epochs with these validation errors; the weight is the number of the epoch."""
    model = nn.Linear(1, 1, bias=False)
    recipe = SimpleNamespace(chosen_by="validation_error", selectable=lambda epoch: epoch >= selectable_from)
    module: Any = SimpleNamespace(model=model, recipe=recipe, row={})
    trainer: Any = SimpleNamespace(
        is_global_zero=True,
        max_epochs=max_epochs,
        should_stop=False,
        strategy=SimpleNamespace(broadcast=lambda value: value),
        save_checkpoint=lambda path: save({"epoch": module.row["epoch"]}, path),
    )
    callback = Checkpoints(folder)
    callback.on_train_start(trainer, module)
    for epoch, error in enumerate(errors, first):
        module.row = {"epoch": epoch, "validation_error": error}
        nn.init.constant_(model.weight, epoch)
        callback.on_train_epoch_end(trainer, module)


@pytest.mark.parametrize(
    ("errors", "best"),
    [([5.0], 1), ([5.0, 4.0, 6.0], 2), ([5.0, 4.0, 4.0, 4.5], 3), ([0.0, 0.0], 2), ([1.0, 2.0, 3.0], 1)],
)
def test_the_latest_of_the_lowest_errors_is_the_best(tmp_path: Path, errors: list[float], best: int) -> None:
    folder = RunFolder(tmp_path)
    epochs(folder, errors)
    state = read(folder.best)
    assert (state["epoch"], state["validation_error"]) == (best, min(errors))
    assert state["model"]["weight"].item() == best
    assert read(folder.last) == {"epoch": len(errors)}


def test_a_large_last_checkpoint_waits_until_its_writing_does_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write takes 1 s of this clock, each epoch the time until the next reading: 4 s."""
    readings = iter([0.0, 1.0, *(5.0 + 4 * n for n in range(4)), 22.0, 23.0, 24.0, 25.0])
    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: next(readings)))
    monkeypatch.setattr(keeping, "LARGE", 0)
    folder, written = RunFolder(tmp_path), []
    original = keeping.save

    def note(state: dict[str, Any], path: Path) -> None:
        if path == folder.last:
            written.append(state["epoch"])
        original(state, path)

    monkeypatch.setitem(globals(), "save", note)
    epochs(folder, [5.0] * 7, max_epochs=7)
    assert written == [1, 6, 7]  # at once; after 20 s; the last in any case
    assert read(folder.last) == {"epoch": 7}


def test_the_best_of_earlier_sessions_is_still_the_one_to_beat(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    epochs(folder, [5.0, 3.0])
    epochs(folder, [4.0, 3.5], first=3)
    assert read(folder.best)["epoch"] == 2
    epochs(folder, [3.0], first=5)
    assert read(folder.best)["epoch"] == 5


def test_epochs_that_may_not_be_chosen_are_not_the_best(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    epochs(folder, [1.0, 1.0], selectable_from=2)
    assert not folder.best.exists()
    epochs(folder, [3.0, 4.0], first=3, selectable_from=2)  # the third epoch is number 2, counted from 0
    assert read(folder.best)["epoch"] == 3


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    """torch reads past the checksums of the zip file: a weight came back with another sign, and nobody knew."""
    whole, damaged = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    save({"epoch": 3, "model": {"weight": torch.arange(10.0)}}, whole)
    content = whole.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        damaged.write_bytes(changed)
        with pytest.raises(TrainingError, match="damaged"):
            read(damaged, mmap=bool(place % 2))


def test_a_file_of_an_older_version_without_a_digest_goes_by_the_checksums_of_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"weight": torch.arange(100.0)}, path)
    assert read(path)["weight"].tolist() == list(range(100))
    content = path.read_bytes()
    place = content.index(torch.arange(100.0).numpy().tobytes()) + 6
    path.write_bytes(content[:place] + bytes([content[place] ^ 0x80]) + content[place + 1 :])
    with pytest.raises(TrainingError, match=r"damaged.*the checksum of .*data/0 in it does not match"):
        read(path)


def test_other_programs_read_a_sealed_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    save({"weight": torch.arange(3.0)}, path)
    for mmap in (True, False):
        assert torch.load(path, weights_only=True, mmap=mmap)["weight"].tolist() == [0, 1, 2]
    assert zipfile.ZipFile(path).testzip() is None
    assert zipfile.ZipFile(path).comment.startswith(b"sha256:")


def test_a_file_reaches_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, n=name, f=original: (calls.append(n), f(*given))[1])
    save({"epoch": 1}, tmp_path / "a.ckpt")
    RunFolder.write(tmp_path / "b.json", "{}")
    assert calls == ["fsync", "replace", "fsync"] * 2


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    """Files may have 20 kB here, as a process may be told; writing on then fails as on a full disk."""
    path, result = tmp_path / "a.ckpt", tmp_path / "result.json"
    save({"epoch": 1}, path)
    RunFolder.write(result, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"a\.ckpt cannot be written: .* --resume"):
            save({"weight": torch.zeros(100_000)}, path)
        with pytest.raises(TrainingError, match=r"result\.json cannot be written: File too large"):
            RunFolder.write(result, "new" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(path) == {"epoch": 1}
    assert result.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.ckpt", "result.json"]
