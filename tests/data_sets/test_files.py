from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pooch
import pytest

from binarynet.data import load, load_split
from binarynet.data.files import read_bytes
from binarynet.errors import DataError
from tests import memory

from .written import write_cifar10_binary, write_mnist


def test_the_directory_given_comes_before_the_environment_and_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n_test, root in ((1, tmp_path / "given"), (2, tmp_path / "variable"), (3, cache)):
        write_mnist(root / "mnist", n_test=n_test)
    monkeypatch.setenv("BINARYNET_DATA", str(tmp_path / "variable"))
    assert len(load_split("mnist", "test", tmp_path / "given", download=False)) == 1
    assert len(load_split("mnist", "test", str(tmp_path / "given"), download=False)) == 1
    assert len(load_split("mnist", "test", download=False)) == 2
    monkeypatch.delenv("BINARYNET_DATA")
    assert len(load_split("mnist", "test", download=False)) == 3


def test_a_directory_without_the_set_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "given" / "kmnist")
    write_mnist(tmp_path / "variable" / "mnist", n_test=2)
    monkeypatch.setenv("BINARYNET_DATA", str(tmp_path / "variable"))
    assert len(load_split("mnist", "test", tmp_path / "given")) == 2


def test_a_file_missing_beside_the_others_is_an_error_and_not_taken_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mnist(tmp_path / "given" / "mnist")
    write_mnist(tmp_path / "variable" / "mnist")
    monkeypatch.setenv("BINARYNET_DATA", str(tmp_path / "variable"))
    (tmp_path / "given" / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"given/mnist holds train-images.* but not train-labels-idx1-ubyte\. Put"):
        load("mnist", tmp_path / "given")


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    write_cifar10_binary(tmp_path / "cifar-10-batches-bin")
    (tmp_path / "cifar-10-batches-bin" / "data_batch_4.bin").unlink()
    with pytest.raises(DataError, match=r"but not data_batch_4\.bin"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist", "cifar10", "svhn"])
def test_offline_without_data_the_error_says_which_files_to_put_where(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    files = {
        "cifar10": [
            "data_batch_1.bin",
            "data_batch_5.bin",
            "test_batch.bin",
            "DIR/cifar-10/cifar-10-batches-bin",
        ],
        "svhn": ["train_32x32.mat", "extra_32x32.mat", "test_32x32.mat", "DIR/svhn"],
    }.get(name, ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", ".gz", f"DIR/{name}"])
    for part in (*files, str(tmp_path), "--data-dir", "BINARYNET_DATA is not set", "no route to http"):
        assert part in message
    assert "\n" not in message


def test_only_the_test_files_are_asked_for_when_only_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_split("svhn", "test", tmp_path)
    assert "test_32x32.mat" in str(caught.value)
    assert "train_32x32.mat" not in str(caught.value)


def test_with_downloading_switched_off_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooch, "retrieve", lambda *_, **__: pytest.fail("the network was asked"))
    with pytest.raises(DataError, match="Not downloaded: downloading is switched off"):
        load("mnist", tmp_path, download=False)


def test_without_pooch_local_files_are_read_and_its_absence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    write_mnist(tmp_path / "mnist")
    assert len(load("mnist", tmp_path).test) == 5
    with pytest.raises(DataError, match="pooch, which downloads, is not installed"):
        load("kmnist", tmp_path)


def test_a_data_directory_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist")
    for wrong in (tmp_path / "mnits", tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"):
        with pytest.raises(DataError, match="does not exist or is not a directory"):
            load("mnist", wrong)


def test_a_home_directory_is_written_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_mnist(tmp_path / "data" / "mnist")
    assert len(load("mnist", "~/data").test) == 5


def test_a_file_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent cannot be read: No such file"):
        read_bytes(tmp_path / "absent")


def test_no_more_is_made_of_a_compressed_file_than_a_file_of_its_kind_holds(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(bytes(2**26)))
    with memory.at_most(2**23), pytest.raises(DataError, match=r"bomb\.gz holds more than 1,048,576 bytes"):
        read_bytes(bomb, 2**20)
    assert read_bytes(bomb, 2**26) == bytes(2**26)
    plain = tmp_path / "plain"
    plain.write_bytes(bytes(2**20 + 1))
    with pytest.raises(DataError, match=r"plain holds more than 1,048,576 bytes"):
        read_bytes(plain, 2**20)
    plain.write_bytes(b"short")
    with memory.at_most(2**22):  # nor is the most set aside for a short one
        assert read_bytes(plain) == b"short"
