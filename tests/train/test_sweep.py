"""A sweep searches settings; the test images decide nothing, and one that was stopped goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from binarynet.data import DataSet, Split
from binarynet.errors import BinarynetError
from tests.train.tiny import Tiny

pytest.importorskip("optuna")

from binarynet.train.sweep import suggestion, sweep


@pytest.mark.filterwarnings("ignore")  # of the data base that keeps the study
def test_the_best_by_validation_stands_first_and_a_sweep_goes_on(data: DataSet, tmp_path: Path) -> None:
    searched = {"lr_start": "1e-4..1e-2", "width": "8|16", "layers": "1..2"}
    how = {"progress": False, "threads": 1}
    recipe = Tiny(epochs=2, full_epochs=2)
    first = sweep(recipe, data, tmp_path, searched, trials=2, **how)
    found = sweep(recipe, data, tmp_path, searched, trials=4, **how)
    assert len(first) == 2
    assert len(found) == 4
    assert [one.validation_error for one in found] == sorted(one.validation_error for one in found)
    for one in found:
        config = json.loads((one.folder / "config.json").read_text())
        result = json.loads((one.folder / "result.json").read_text())
        assert result["validation_error"] == one.validation_error
        assert config["settings"]["width"] == int(one.settings["width"]) in (8, 16)
        assert 1e-4 <= config["settings"]["lr_start"] <= 1e-2
    assert len({one.settings["lr_start"] for one in found}) == 4


@pytest.mark.filterwarnings("ignore")
def test_a_study_of_something_else_does_not_go_on(data: DataSet, tmp_path: Path) -> None:
    searched, how = {"lr_start": "1e-4..1e-2"}, {"progress": False, "threads": 1}
    recipe = Tiny(epochs=1)
    sweep(recipe, data, tmp_path, searched, trials=1, **how)
    half = replace(data, train=Split(data.train.images[::2], data.train.labels[::2]))
    for other, set_, ranges, seed, message in [
        (Tiny(epochs=2), data, searched, 0, "epochs was 1, now it is 2"),
        (recipe, half, searched, 0, "sha256 was "),
        (recipe, data, searched, 1, "seed was 0, now it is 1"),
        (recipe, data, {"width": "8|16"}, 0, 'lr_start was null.*width was null, now it is "8.16"'),
    ]:
        with pytest.raises(BinarynetError, match=message):
            sweep(other, set_, tmp_path, ranges, trials=1, seed=seed, **how)


@pytest.mark.filterwarnings("ignore")
def test_a_trial_that_was_stopped_is_none_of_those_asked_for(data: DataSet, tmp_path: Path) -> None:
    import optuna

    study = optuna.create_study(study_name=tmp_path.name, storage=f"sqlite:///{tmp_path / 'study.db'}")
    study.ask()  # as a trial that was killed is left
    found = sweep(Tiny(epochs=1), data, tmp_path, {"width": "8..12"}, trials=1, progress=False, threads=1)
    assert [one.folder.name for one in found] == ["trial-001"]


def test_sets_of_data_are_not_searched(data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(BinarynetError, match="one set is loaded for all trials"):
        sweep(Tiny(), data, tmp_path, {"data": "digits|mnist"}, trials=1)


@pytest.mark.parametrize("text", ["1..", "3..1", "a..b", "1|1", "5|", "1.2.3..4"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(BinarynetError, match="x="):
        suggestion("x", text)
