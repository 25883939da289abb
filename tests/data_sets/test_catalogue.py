from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from binarynet.data import Crops, load, load_split, names
from binarynet.errors import DataError

from .written import write_cifar10_binary, write_mnist


def test_the_names_are_these() -> None:
    assert names() == ("digits", "mnist", "fashion-mnist", "kmnist", "cifar10", "svhn")


@pytest.mark.parametrize("name", ["cifar10", "cifar-10", "CIFAR-10", "Cifar_10"])
def test_case_and_hyphens_do_not_matter(tmp_path: Path, name: str) -> None:
    write_cifar10_binary(tmp_path / "cifar-10-batches-bin")
    assert load(name, tmp_path).name == "cifar10"


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("mnits", "mnist"), ("fashionmnst", "fashion-mnist"), ("cifar100", "cifar10"), ("shvn", "svhn")],
)
def test_an_unknown_name_is_answered_with_the_closest_one(wrong: str, meant: str) -> None:
    with pytest.raises(DataError, match=f"unknown data set '{wrong}'. Did you mean '{meant}'\\? Known: digits, mnist"):
        load(wrong)


def test_a_name_like_no_other_is_answered_with_the_list() -> None:
    with pytest.raises(DataError, match=r"unknown data set .places365.\. Known: digits"):
        load_split("places365", "test")


@pytest.mark.parametrize("asked", [{"shape": (3, 32, 32)}, {"background": "white"}, {"layout": "nhwc"}])
def test_a_set_by_name_is_as_it_is(asked: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"digits is images of 1×8×8, as they are: .* is for data of your own"):
        load("digits", **asked)
    assert load("digits", shape=(1, 8, 8)).shape == (1, 8, 8)
    with pytest.raises(DataError, match="this recipe cuts photographs as it reads them"):
        load("digits", crops=Crops(8, 8))


def test_an_unknown_split_is_an_error(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist")
    with pytest.raises(DataError, match=r"unknown split 'valid'\. Did you mean 'validation'\? There are 'train',"):
        load_split("mnist", "valid", tmp_path)  # type: ignore[arg-type]


def test_importing_the_package_imports_none_of_the_heavy_ones() -> None:
    code = "import sys, binarynet.data; print(*{'torch', 'sklearn', 'scipy', 'pooch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
