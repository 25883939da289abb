"""A sweep searches settings; the test images decide nothing, and one that was stopped goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from binarynet.data import DataSet
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


@pytest.mark.parametrize("text", ["1..", "3..1", "a..b", "1|1", "5|", "1.2.3..4"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(BinarynetError, match="x="):
        suggestion("x", text)
