"""Data and recipes of the user's own at the command line: from a folder of pictures to a proof, one command each."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from binarynet.cli import main
from binarynet.format import load

SMALL = ["--set", "width=32", "--epochs", "2", "--threads", "1"]


def shapes(folder: Path, each: int = 40) -> Path:
    rng = np.random.default_rng(0)
    for name in ("disc", "box"):
        (folder / name).mkdir(parents=True)
        for k in range(each):
            picture = Image.new("RGBA", (16, 14), (0, 0, 0, 0))
            x, y = rng.integers(1, 6, 2)
            draw = ImageDraw.Draw(picture)
            (draw.ellipse if name == "disc" else draw.rectangle)([x, y, x + 8, y + 7], fill=(200, 180, 30, 255))
            picture.save(folder / name / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with pictures, and a run on them."""
    folder = tmp_path_factory.mktemp("own")
    shapes(folder / "shapes")
    command = ["train", "bnn-digits", *SMALL, "--data", str(folder / "shapes"), "--background", "white", "--json"]
    assert main([*command, "--out", str(folder / "run")]) == 0
    return folder


def answer(capsys, *arguments):
    code = main([*map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def test_data_counts_what_is_there_and_draws_a_sheet(folder, tmp_path, capsys):
    found = answer(capsys, "data", folder / "shapes", "--sheet", tmp_path / "sheet.png")
    assert found["shape"] == [3, 14, 16]
    assert found["classes"] == ["box", "disc"]
    assert (found["train"], found["validation"], found["test"]) == ([32, 32], [4, 4], [4, 4])
    assert found["notes"] == {"transparent places made black": 80}
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 16)}
    assert (200, 180, 30) in colours
    assert main(["data", str(folder / "shapes"), "--shape", "1x8x8"]) == 0
    printed = capsys.readouterr().out
    assert "box" in printed
    assert "as 1x8x8" in printed
    assert "80 pictures: colour made grey" in printed


def test_a_model_remembers_shape_classes_and_background_and_no_path(folder):
    meta = load(folder / "run" / "model.bnn").meta
    assert meta["data"] == "shapes"
    assert meta["shape"] == "3x14x16"
    assert meta["background"] == "white"
    assert meta["classes"] == "box\ndisc"
    assert not [text for text in meta.values() if str(folder) in text]


def test_eval_finds_the_data_again_and_takes_other_pictures_in_the_shape_of_training(folder, tmp_path, capsys):
    assert answer(capsys, "eval", folder / "run")["images"] == 8
    assert answer(capsys, "eval", folder / "run", "--check", "oracle,torch")["agreement"]
    (tmp_path / "new" / "disc").mkdir(parents=True)
    Image.open(folder / "shapes" / "disc" / "0.png").resize((40, 30)).save(tmp_path / "new" / "disc" / "big.png")
    found = answer(capsys, "eval", folder / "run", "--data", tmp_path / "new", "--split", "all")
    assert found["images"] == 1


def test_the_pictures_that_were_learnt_are_what_run_sees(folder, capsys):
    """The flat input of an MLP does not say that 672 numbers are 3 × 14 × 16, and white is remembered, too."""
    from binarynet.data import load_split
    from binarynet.runtime import load as session

    assert main(["run", str(folder / "run"), str(folder / "shapes" / "box" / "0.png"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    images = load_split(folder / "shapes", "all", background="white").images
    assert found["logits"] == session(folder / "run" / "model.bnn").logits(images[:1])[0].tolist()


def test_export_checks_on_data_of_ones_own(folder, tmp_path, capsys):
    command = ["export", folder / "run", "--to", "c", "--out", tmp_path, "--check", folder / "shapes", "--split", "all"]
    assert answer(capsys, *command)["check"]["images"] == 80


def test_a_config_is_accepted_again(folder, tmp_path, capsys):
    found = answer(
        capsys, "train", "--config", folder / "run" / "config.json", "--out", tmp_path / "again", "--threads", "1"
    )
    first, again = (json.loads((path / "config.json").read_text()) for path in (folder / "run", tmp_path / "again"))
    assert {**first, "sessions": 0} == {**again, "sessions": 0}
    assert found["test_error"] == json.loads((folder / "run" / "result.json").read_text())["test_error"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 2.5}, "setting width=2.5: needs a whole number"),
        ({"width": [64]}, "setting width=64: needs a whole number"),
        ({"width": 0}, "width=0: needs 1 or more"),
        ({"dropout": None}, "setting dropout=None: needs a number"),
        ({"widht": 64}, "no setting 'widht'. Did you mean 'width'"),
    ],
)
def test_a_config_whose_setting_is_none_is_named_with_it(settings, message, folder, tmp_path, capsys):
    config = json.loads((folder / "run" / "config.json").read_text())
    config["settings"] |= settings
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["train", "--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "config.json" in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_recipes_schema_is_printed_and_needs_its_name(capsys):
    assert answer(capsys, "recipes", "bnn-digits", "--schema")["properties"]["width"] == {
        "type": "integer",
        "description": "1 or more",
        "minimum": 1,
        "default": 512,
    }
    assert main(["recipes", "--schema"]) == 2
    assert "NAME" in capsys.readouterr().err


def test_a_folder_that_moved_is_the_same_data_to_a_resume(folder, tmp_path, capsys):
    run = tmp_path / "run"
    command = ["train", "bnn-digits", *SMALL, "--data", tmp_path / "shapes", "--out", run, "--resume"]
    (folder / "shapes").rename(tmp_path / "shapes")
    (folder / "run").rename(run)
    try:
        assert "best_epoch" in answer(capsys, *command, "--background", "white")
        assert main(["eval", str(run)]) == 2
        assert "--data" in capsys.readouterr().err
    finally:
        (tmp_path / "shapes").rename(folder / "shapes")
        run.rename(folder / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("data nowhere/at/all", r"nowhere/at/all does not exist"),
        ("data shapes --shape 32", r"--shape 32: write it as CHANNELSxHEIGHTxWIDTH"),
        ("train", r"give a RECIPE, or --config"),
        ("train nowhere.py:Net", r"nowhere.py does not exist"),
        ("train bnn-digits --resume --overwrite", r"give one of them"),
        ("train bnn-digits --data digts", r"unknown data set 'digts'. Did you mean 'digits'"),
        ("new recipe 3x", r"cannot be the name of a recipe"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_recipe_of_ones_own_trains_resumes_lowers_and_evaluates_from_anywhere(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["new", "recipe", "first-net-of-a-test"]) == 0
    assert main(["new", "recipe", "first-net-of-a-test"]) == 2
    assert "is there already" in capsys.readouterr().err
    train = [
        "train",
        "first_net_of_a_test.py:FirstNetOfATest",
        *SMALL,
        "--data",
        str(folder / "shapes"),
        "--out",
        "run",
    ]
    answer(capsys, *train)
    answer(capsys, *train, "--resume")
    monkeypatch.chdir(folder)
    assert main(["lower", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert answer(capsys, "eval", tmp_path / "run", "--check", "torch")["images"] == 8
    assert load(tmp_path / "run" / "model.bnn").meta["recipe"] == "first_net_of_a_test.py:FirstNetOfATest"
    sys.modules.pop("first_net_of_a_test", None)


@pytest.fixture(scope="module")
def dealt(tmp_path_factory):
    """A run on a set that was dealt by another seed than the command line's, channels last."""
    from binarynet import recipes
    from binarynet.data import DataSet
    from binarynet.train import fit

    root = tmp_path_factory.mktemp("dealt")
    images = np.random.default_rng(0).integers(0, 256, (200, 3, 9, 3), np.uint8)
    np.savez(root / "own.npz", x=images, y=np.arange(200) % 2)
    data = DataSet.from_folder(root / "own.npz", seed=5, layout="nhwc")
    recipe = recipes.get("bnn-digits").with_settings({"epochs": 1, "width": 8, "layers": 1})
    fit(recipe, data, root / "run", progress=False, threads=1)
    assert main(["lower", str(root / "run")]) == 0
    return root, data


def test_eval_of_a_set_that_was_dealt_by_a_seed_shows_no_image_of_training(dealt):
    from binarynet.cli.images import data_of, split_of

    root, data = dealt
    graph = load(root / "run" / "model.bnn")
    test = split_of(graph, data_of(graph, root / "run" / "model.bnn", None), "test", None)
    assert np.array_equal(test.images, data.test.images)


def test_a_config_deals_its_data_as_it_was_dealt(dealt, tmp_path, capsys):
    root, _ = dealt
    answer(capsys, "train", "--config", root / "run", "--out", tmp_path / "again", "--threads", "1")
    first, again = (json.loads((path / "config.json").read_text()) for path in (root / "run", tmp_path / "again"))
    assert first["data"] == again["data"]


@pytest.mark.parametrize("how", ["--data=digits", "--set=data=digits"])
def test_data_that_is_asked_for_goes_before_that_of_a_config(how, folder, tmp_path, capsys):
    command = ["train", "--config", folder / "run", how, "--epochs", "1", "--out", tmp_path / "run", "--threads", "1"]
    answer(capsys, *command)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["name"] == config["settings"]["data"] == "digits"


def test_another_recipe_than_that_of_a_config_is_told_that_the_settings_are_not_its_own(folder, tmp_path, capsys):
    config = json.loads((folder / "run" / "config.json").read_text())
    config |= {"recipe": "bnn-mnist", "sessions": [], "seed": 7}
    config["settings"] |= {"data": "digits"}
    config["data"] |= {"name": "digits"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = ["train", "dorefa-mnist", "--config", tmp_path / "config.json", "--set", "width=8", "--epochs", "1"]
    assert main([*map(str, command), "--out", str(tmp_path / "run"), "--threads", "1", "--json"]) == 0
    assert "its settings are those of bnn-mnist, and dorefa-mnist starts with its own" in capsys.readouterr().err
    found = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (found["data"]["name"], found["seed"]) == ("digits", 7)


def test_a_model_of_ones_own_data_is_not_measured_on_a_known_set_of_its_name(folder, tmp_path, capsys):
    from dataclasses import replace

    from binarynet.format import save

    graph = load(folder / "run" / "model.bnn")
    save(replace(graph, meta={**graph.meta, "data": "digits"}), tmp_path / "away.bnn")
    assert main(["eval", str(tmp_path / "away.bnn")]) == 2
    assert (
        "but has other classes than the digits that is known here, such as 'box': give --data"
        in capsys.readouterr().err
    )
