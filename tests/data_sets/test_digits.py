from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from binarynet.data import DataSet, load, load_split


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return load("digits")


def test_the_splits_have_the_documented_sizes(digits: DataSet) -> None:
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1204, 297, 296)
    assert digits.shape == (1, 8, 8)
    assert digits.classes == tuple("0123456789")


def test_values_0_to_16_become_0_to_255(digits: DataSet) -> None:
    levels = np.unique(digits.train.images)
    assert levels.tolist() == [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]


def test_together_the_splits_are_the_whole_set_once(digits: DataSet) -> None:
    parts = (digits.train, digits.validation, digits.test)
    images = np.concatenate([part.images for part in parts]).reshape(1797, 64)
    labels = np.concatenate([part.labels for part in parts])
    whole = load_digits()
    ours = sorted(zip(map(tuple, images.tolist()), labels.tolist(), strict=True))
    theirs = sorted(zip(map(tuple, np.rint(whole.data * 255 / 16).astype(int).tolist()), whole.target, strict=True))
    assert ours == theirs


def test_every_class_is_split_alike(digits: DataSet) -> None:
    totals = np.bincount(load_digits().target)
    for part, turns in ((digits.train, (0, 1, 2, 3)), (digits.validation, (4,)), (digits.test, (5,))):
        counts = [len([k for k in range(total) if k % 6 in turns]) for total in totals]
        assert np.bincount(part.labels).tolist() == counts


def test_the_split_is_pinned(digits: DataSet) -> None:
    assert digits.test.labels[:12].tolist() == [5, 9, 0, 7, 8, 2, 1, 3, 6, 4, 3, 1]
    assert int(digits.test.images.sum(dtype=np.int64)) == 1_479_493
    again = load("digits")
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(again, name).images, getattr(digits, name).images)


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_one_split_is_the_same_as_in_the_whole(digits: DataSet, name: str) -> None:
    split = load_split("digits", name)  # type: ignore[arg-type]
    np.testing.assert_array_equal(split.images, getattr(digits, name).images)
    np.testing.assert_array_equal(split.labels, getattr(digits, name).labels)


def test_no_scikit_learn_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert len(load("digits").test) == 296
