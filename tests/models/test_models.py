"""The models that come with the package: small, with a card, and as good as the card says."""

import re
import subprocess
import sys

import pytest

import binarynet
from binarynet import models
from binarynet.cli import main
from binarynet.data import load_split
from binarynet.errors import FormatError
from tests.real_data import present


@pytest.mark.parametrize("name", models.names())
def test_a_model_is_small_and_has_a_card(name):
    assert models.find(name).stat().st_size < 500_000
    for entry in ("data", "command", "test error"):
        assert f"| {entry} |" in models.card(name)


@pytest.mark.parametrize("name", models.zoo.entries())
def test_a_model_makes_as_many_mistakes_as_its_card_says(name):
    wrong, images = map(int, re.search(r"\((\d+) of ([\d,]+)\)", models.card(name).replace(",", "")).groups())
    data = binarynet.load_graph(name).meta["data"]
    test = load_split(data, "test", present(data))
    assert len(test) == images
    assert (binarynet.load(name).predict(test.images) != test.labels).sum() == wrong


def test_a_file_of_that_name_goes_before_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").write_bytes(b"not a model")
    with pytest.raises(FormatError):
        binarynet.load("digits")


def test_a_folder_of_that_name_hides_no_model_and_a_run_folder_is_its_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert binarynet.load("digits").input_shape == (64,)
    (tmp_path / "digits" / "model.bnn").write_bytes(models.find("mnist-small").read_bytes())
    assert binarynet.load("digits").input_shape == (28, 28, 1)
    assert binarynet.load_graph(tmp_path / "digits").meta["data"] == "mnist"


def test_a_run_folder_without_a_model_says_how_to_make_one(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"is a folder without a model\.bnn: `binarynet lower"):
        binarynet.load(tmp_path / "empty")


def test_an_unknown_name_is_answered_with_those_that_there_are():
    with pytest.raises(FormatError, match="digits"):
        binarynet.load("digit")


def test_the_command_line_takes_names(capsys):
    assert main(["verify", "digits"]) == 0
    assert "valid" in capsys.readouterr().out


def test_a_model_runs_without_torch():
    code = "import sys, numpy, binarynet; binarynet.load('digits').predict(numpy.zeros((1, 1, 8, 8), numpy.uint8)); "
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)
