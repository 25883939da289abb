"""The table of our own runs: every row is a run of a recipe that exists, and the page shows the same rows."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from binarynet import recipes
from binarynet.recipes.measured import Measured, best, measured

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def record() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record", ROOT / "benchmarks/record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("row", measured(), ids=lambda row: row.command)
def test_every_row_names_a_recipe_and_settings_that_it_has(row: Measured) -> None:
    recipe = recipes.get(row.recipe).with_settings(row.settings | {"epochs": str(row.epochs)})
    assert recipe.epochs == row.epochs >= row.best_epoch >= 1
    assert 0 <= row.test_error < 90


def test_the_page_shows_the_rows_of_the_file(record: ModuleType) -> None:
    page = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert record.page(page, measured()) == page, "run `python benchmarks/record.py`"


def test_the_best_run_is_chosen_by_validation() -> None:
    rows = [row for row in measured() if row.recipe == "bnn-mnist"]
    assert best("bnn-mnist") == min(rows, key=lambda row: row.validation_error)
    assert best("bnn-imagenet") is None


def test_a_run_folder_becomes_the_command_that_repeats_it(record: ModuleType, tmp_path: Path) -> None:
    recipe = recipes.get("bnn-mnist").with_settings({"width": "64", "dropout": "0", "epochs": "2"})
    config = {"recipe": "bnn-mnist", "settings": recipe.settings(), "seed": 3, "precision": "bf16"}
    config["data"] = {"name": "mnist", "shape": [1, 28, 28], "classes": ["0", "1"]}
    config["sessions"] = [{"threads": 2, "devices": 2, "nodes": 1}]
    result = {"epochs": 2, "best_epoch": 1, "validation_error": 5, "test_error": 6, "train_seconds": 1, "device": "cpu"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "result.json").write_text(json.dumps(result), encoding="utf-8")
    row = record.read(tmp_path)
    options = "--set width=64 --set dropout=0 --epochs 2 --precision bf16 --seed 3"
    assert row.command == f"binarynet train bnn-mnist {options}"
    assert (row.threads, row.test_error) == (4, 6)
