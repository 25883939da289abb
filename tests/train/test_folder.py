"""When a folder may be taken for a run, and what is said when not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from binarynet import recipes
from binarynet.data import DataSet
from binarynet.recipes import name_of
from binarynet.train import RunFolder, TrainingError, load_run
from binarynet.train.folder import describe
from tests.train.tiny import Tiny, blobs


def begin(folder: RunFolder, resume: bool = False, seed: int = 0, precision: str = "32", **settings: Any) -> None:
    data = settings.pop("images", None) or blobs()
    folder.begin(describe(Tiny(**settings), data, seed, precision, "float32"), {"threads": 2}, resume)


def test_a_new_run_makes_its_folder_and_says_what_it_is(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "r1")
    begin(folder, seed=3)
    config = json.loads(folder.config.read_text(encoding="utf-8"))
    assert config["recipe"] == "Tiny"
    assert config["settings"]["dropout"] == 0.3
    assert config["data"]["images"] == {"train": 250, "validation": 61, "test": 55}
    assert (config["seed"], config["precision"]) == (3, "32")
    assert config["sessions"] == [{"threads": 2}]


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder)
    with pytest.raises(TrainingError, match=r"already holds a run\. Give --resume .* or another --out"):
        begin(folder)


def test_a_folder_with_checkpoints_only_is_not_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.last.parent.mkdir()
    folder.last.touch()
    with pytest.raises(TrainingError, match="already holds a run"):
        begin(folder)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    begin(RunFolder(tmp_path))
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_resuming_notes_another_session(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    begin(folder)
    begin(folder, resume=True)
    assert len(folder.read_config()["sessions"]) == 2


def test_a_folder_in_which_a_process_trains_is_left_to_it(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    begin(first)
    before = first.config.read_text(encoding="utf-8")
    with pytest.raises(TrainingError, match=r"in use by another process\. Wait for it, or give another --out"):
        begin(second, resume=True)
    assert first.config.read_text(encoding="utf-8") == before
    first.close()
    begin(second, resume=True)
    with pytest.raises(TrainingError, match="in use"):
        begin(first, resume=True)


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no run to resume\. Leave out --resume"):
        begin(RunFolder(tmp_path), resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 5}, "epochs was 4, now it is 5"),
        ({"dropout": 0.25}, r"dropout was 0.3, now it is 0.25"),
        ({"seed": 1, "width": 8}, "width was 24, now it is 8; seed was 0, now it is 1"),
        ({"precision": "bf16"}, 'precision was "32", now it is "bf16"'),
        ({"images": blobs(seed=8)}, "sha256 was"),
        ({"images": dataclasses.replace(blobs(), name="other")}, 'name was "blobs", now it is "other"'),
    ],
)
def test_resuming_with_other_settings_names_them(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = RunFolder(tmp_path)
    begin(folder)
    before = folder.config.read_text(encoding="utf-8")
    with pytest.raises(TrainingError, match=message):
        begin(folder, resume=True, **change)
    assert folder.config.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is damaged"), ("[]", "lacks recipe"), ('{"recipe": "bnn-mnist"}', "lacks settings, data, sessions")],
)
def test_a_damaged_config_is_named(tmp_path: Path, content: str, message: str) -> None:
    folder = RunFolder(tmp_path)
    folder.config.write_text(content, encoding="utf-8")
    with pytest.raises(TrainingError, match=rf"config\.json {message}"):
        load_run(tmp_path)


def test_a_path_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"cannot be written to.*another --out"):
        begin(RunFolder(tmp_path / "file" / "run"))


def test_every_recipe_is_known_by_its_name(data: DataSet) -> None:
    for name in recipes.names():
        assert name_of(recipes.get(name)) == name
    assert name_of(recipes.get("bnn-mnist").with_settings({"width": "64"})) == "bnn-mnist"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("recipe", None),
        ("settings", []),
        ("settings", 3),
        ("data", None),
        ("data", []),
        ("data.shape", 3),
        ("data.shape", [1, 8]),
        ("data.shape", [-1, 8, 8]),
        ("data.shape", ["a", 8, 8]),
        ("data.shape", [True, 8, 8]),
        ("data.shape", [10**9, 10**9, 8]),
        ("data.classes", 3),
        ("data.classes", []),
        ("data.classes", [1, 2]),
        ("data.name", 3),
        ("sessions", 3),
    ],
)
def test_an_edited_config_is_named_with_the_place(tmp_path: Path, place: str, value: Any) -> None:
    folder = RunFolder(tmp_path)
    begin(folder)
    folder.close()
    config = json.loads(folder.config.read_text())
    inside, _, key = place.rpartition(".")
    (config[inside] if inside else config)[key] = value
    folder.config.write_text(json.dumps(config))
    for use in (lambda: load_run(tmp_path), lambda: begin(folder, resume=True)):
        with pytest.raises(TrainingError, match=rf"config\.json: {place} is .* which this package never wrote"):
            use()


@pytest.mark.parametrize("value", ["x", None, [1]])
def test_an_edited_result_is_named(tmp_path: Path, value: Any) -> None:
    folder = RunFolder(tmp_path)
    folder.write_result({"best_epoch": 1, "validation_error": 2.0, "test_error": value, "train_seconds": 3})
    with pytest.raises(TrainingError, match=r"result\.json: test_error is .* no number"):
        folder.read_result()
