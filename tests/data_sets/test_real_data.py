"""The official files, where the machine has them: `BINARYNET_DATA` names their directory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from binarynet.data import load
from binarynet.data.catalogue import SOURCES
from tests.real_data import present

SIZES = {
    "mnist": (50_000, 10_000, 10_000),
    "fashion-mnist": (50_000, 10_000, 10_000),
    "kmnist": (50_000, 10_000, 10_000),
    "cifar10": (45_000, 5_000, 10_000),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_official_files_give_the_papers_splits(name: str) -> None:
    data = load(name, present(name), download=False)
    assert (len(data.train), len(data.validation), len(data.test)) == SIZES[name]
    assert np.unique(data.train.labels).tolist() == list(range(10))
    assert np.bincount(data.test.labels).sum() == 10_000


def test_the_first_digits_of_mnist_are_the_well_known_ones() -> None:
    data = load("mnist", present("mnist"), download=False)
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_the_first_image_of_cifar10_is_the_frog() -> None:
    data = load("cifar10", present("cifar10"), download=False)
    assert data.classes[data.train.labels[0]] == "frog"
    assert data.train.images[0, :, 0, 0].tolist() == [59, 62, 63]


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
def test_the_files_have_the_published_digests(name: str) -> None:
    folder = Path(str(present(name))) / name
    (source,) = [source for source in SOURCES if source.name == name]
    files = [published for published in source.published if (folder / published.file).is_file()]
    if not files:
        pytest.skip(f"{folder} does not hold the compressed files")
    for published in files:
        assert hashlib.sha256((folder / published.file).read_bytes()).hexdigest() == published.sha256
