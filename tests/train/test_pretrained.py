"""A training net in a folder of its own: what is saved is what is loaded, nothing is run, and damage is a line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from binarynet import recipes
from binarynet.data import DataSet
from binarynet.data import load as load_data
from binarynet.errors import BinarynetError, TrainingError
from binarynet.lower import lower
from binarynet.train import Config, Pretrained, fit
from tests.train.tiny import Tiny


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return load_data("digits")


def net_of(name: str, data: DataSet, **settings: str) -> Pretrained:
    torch.manual_seed(1)
    recipe = recipes.get(name).with_settings(settings)
    return Pretrained(recipe, recipe.model(data.shape, 10).eval(), data.shape, tuple(data.classes), "digits")


@pytest.fixture
def folder(digits: DataSet, tmp_path: Path) -> Path:
    return net_of("bnn-digits", digits, width="24", teacher="/elsewhere/runs/x").save_pretrained(tmp_path / "net")


@pytest.mark.parametrize("name", ["bnn-digits", "bitwise-digits", "bop-digits", "bireal-digits", "irnet-digits"])
def test_what_is_saved_is_what_is_loaded_tensor_by_tensor(name: str, digits: DataSet, tmp_path: Path) -> None:
    saved = net_of(name, digits)
    if name == "bitwise-digits":
        saved.recipe.begin_epoch(saved.model, saved.recipe.epochs)  # its second stage is an extra state
    found = Pretrained.from_pretrained(saved.save_pretrained(tmp_path / "net"))
    assert found.recipe == saved.recipe
    assert (found.shape, found.classes, found.data) == (saved.shape, saved.classes, saved.data)
    assert not found.model.training
    state, expected = found.model.state_dict(), saved.model.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[key], expected[key]) and state[key].dtype == expected[key].dtype for key in state)
    images = torch.from_numpy(digits.test.images[:5])
    assert torch.equal(found.model(images), saved.model.eval()(images))


def test_a_run_is_saved_lowered_and_is_the_beginning_of_another(digits: DataSet, tmp_path: Path) -> None:
    recipe = recipes.get("bnn-digits").with_settings({"epochs": "1", "width": "24", "layers": "1"})
    result = fit(recipe, digits, tmp_path / "run")
    place = Pretrained.of_run(tmp_path / "run").save_pretrained(tmp_path / "net")
    assert {path.name for path in place.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    found = Pretrained.from_pretrained(str(place))
    assert (
        lower(found.model, found.shape).ops[1].weight.tolist()
        == lower(result.model, digits.shape).ops[1].weight.tolist()
    )  # type: ignore[attr-defined]
    assert Config.read(place).settings_of("bnn-digits")["width"] == 24
    with pytest.raises(TrainingError, match="holds a run"):
        found.save_pretrained(tmp_path / "run")


def test_a_card_of_ones_own_stays(folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    Pretrained.from_pretrained(folder).save_pretrained(folder)
    assert (folder / "README.md").read_text() == "mine"


def test_paths_of_the_machine_stay_there(folder: Path) -> None:
    assert "/elsewhere" not in (folder / "config.json").read_text() + (folder / "README.md").read_text()


def test_no_file_is_imported_because_a_config_names_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "evil_net_of_a_test.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    for name in (f"{tmp_path}/evil_net_of_a_test.py:Net", "evil_net_of_a_test:Net", "os:system"):
        (folder / "config.json").write_text(json.dumps(config | {"recipe": name}))
        with pytest.raises(TrainingError, match="Give an instance of the class"):
            Pretrained.from_pretrained(folder)
    assert not (tmp_path / "ran").exists()


def test_a_class_of_ones_own_is_given(digits: DataSet, tmp_path: Path) -> None:
    saved = Pretrained(
        Tiny(width=8), Tiny(width=8).model(digits.shape, 10), digits.shape, tuple(digits.classes), "blobs"
    )
    place = saved.save_pretrained(tmp_path / "net")
    with pytest.raises(BinarynetError, match="no recipe 'Tiny'"):
        Pretrained.from_pretrained(place)
    assert Pretrained.from_pretrained(place, Tiny()).recipe == Tiny(width=8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 25}, r"does not fit .*needed is"),
        ({"width": 10**9}, r"does not fit .*needed is"),
        ({"width": "x"}, r"settings do not fit"),
        ({"nothing": 1}, r"settings do not fit"),
        ({"width": -1}, r"width=-1: needs 1 or more"),
    ],
)
def test_settings_that_are_not_those_of_the_weights_are_refused(folder: Path, settings: dict, message: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["settings"] |= settings
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match=message):
        Pretrained.from_pretrained(folder)


def test_damaged_and_missing_files_are_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(TrainingError, match="SHA-256"):
        Pretrained.from_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    weights.write_bytes(b"\xff" * 40)
    config["sha256"] = hashlib.sha256(b"\xff" * 40).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match="is damaged"):
        Pretrained.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(TrainingError, match=r"model\.safetensors: No such file"):
        Pretrained.from_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(TrainingError, match=r"config\.json does not exist"):
        Pretrained.from_pretrained(folder)
