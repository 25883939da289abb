from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from binarynet.data import DataSet, Split
from binarynet.errors import DataError

from .written import random_images


def split(n: int = 2, *shape: int) -> Split:
    return Split(random_images(n, *(shape or (1, 4, 4))), np.zeros(n, np.int64))


def test_the_length_of_a_split_is_its_number_of_images() -> None:
    assert len(split(3)) == 3
    assert len(split(0)) == 0


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 1, 4, 4)), np.zeros(2, np.int64), "type uint8, not .* float64"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), r"not \(2, 4, 4\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.uint8), "type int64, not .* uint8"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros((2, 1), np.int64), r"not \(2, 1\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, np.int64), "one label an image, not 3 for 2"),
    ],
)
def test_arrays_of_the_wrong_kind_make_no_split(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Split(images, labels)


def test_the_splits_of_a_set_have_one_image_shape() -> None:
    assert DataSet("own", ("a",), split(3), split(1), split(2)).shape == (1, 4, 4)
    with pytest.raises(DataError, match="own: the splits differ in image shape"):
        DataSet("own", ("a",), split(3), split(1), split(2, 3, 4, 4))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_class_makes_no_set(label: int) -> None:
    wrong = split(3)
    wrong.labels[1] = label
    with pytest.raises(DataError, match=rf"own: validation label {label} at index 1 is outside 0..1 \(1 such labels\)"):
        DataSet("own", ("a", "b"), split(3), wrong, split(2))


def test_a_split_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        split().labels = np.zeros(2, np.int64)  # type: ignore[misc]
