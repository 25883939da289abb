from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from binarynet.data import load, load_split
from binarynet.errors import DataError

from .written import random_images, write_svhn

TRAIN = np.concatenate([np.repeat(np.arange(1, 11), 402), [10, 10, 3]])  # 405 zeros… and 403 threes
EXTRA = np.tile(np.arange(1, 11), 201)
TEST = np.array([10, 1, 9, 10])


@pytest.fixture(scope="module")
def svhn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_svhn(root / "svhn", TRAIN, EXTRA, TEST)
    return root


def position(images: np.ndarray) -> np.ndarray:
    """Where in its file each image stood, by its first two pixels."""
    return np.asarray(images[:, 0, 0, 0].astype(int) + 256 * images[:, 0, 0, 1].astype(int))


def test_validation_takes_400_of_each_class_from_train_and_200_from_extra(svhn: Path) -> None:
    data = load("svhn", svhn)
    assert len(data.validation) == 6000
    assert np.bincount(data.validation.labels).tolist() == [600] * 10
    assert np.bincount(data.validation.labels[:4000]).tolist() == [400] * 10
    assert np.bincount(data.validation.labels[4000:]).tolist() == [200] * 10
    assert len(data.train) == len(TRAIN) + len(EXTRA) - 6000
    assert data.shape == (3, 32, 32)


def test_every_image_is_in_one_split_once_with_its_own_label(svhn: Path) -> None:
    data = load("svhn", svhn)
    from_train = len(TRAIN) - 4000
    for file, train, validation in (
        (TRAIN, slice(None, from_train), slice(None, 4000)),
        (EXTRA, slice(from_train, None), slice(4000, None)),
    ):
        where = np.concatenate([position(data.train.images[train]), position(data.validation.images[validation])])
        labels = np.concatenate([data.train.labels[train], data.validation.labels[validation]])
        assert sorted(where) == list(range(len(file)))
        np.testing.assert_array_equal(labels, file[where] % 10)


def test_the_validation_images_are_the_same_each_time(svhn: Path) -> None:
    first, second = load_split("svhn", "validation", svhn), load_split("svhn", "validation", svhn)
    np.testing.assert_array_equal(first.images, second.images)
    # Pinned: numpy's frozen generator must draw the same images on every machine, for ever.
    left_out = sorted(set(range(402)) - set(position(first.images[:4000])[first.labels[:4000] == 1].tolist()))
    assert left_out == [273, 389]


def test_ten_means_zero(svhn: Path) -> None:
    assert load_split("svhn", "test", svhn).labels.tolist() == [0, 1, 9, 0]


def test_height_and_width_are_not_exchanged(tmp_path: Path) -> None:
    (tmp_path / "svhn").mkdir()
    images = random_images(32, 32, 3, 5)
    savemat(tmp_path / "svhn" / "test_32x32.mat", {"X": images, "y": np.ones((5, 1), np.uint8)})
    test = load_split("svhn", "test", tmp_path)
    assert test.images.shape == (5, 3, 32, 32)
    assert all(
        test.images[n, c, h, w] == images[h, w, c, n] for n, c, h, w in [(0, 0, 0, 1), (4, 2, 31, 7), (2, 1, 9, 30)]
    )
    np.testing.assert_array_equal(test.images, np.moveaxis(images, (3, 2), (0, 1)))


def test_the_test_split_needs_no_training_file(tmp_path: Path) -> None:
    write_svhn(tmp_path / "svhn", TEST, TEST, TEST)
    for name in ("train_32x32.mat", "extra_32x32.mat"):
        (tmp_path / "svhn" / name).unlink()
    assert len(load_split("svhn", "test", tmp_path)) == 4


def test_too_few_images_of_a_class_are_an_error_that_names_it(tmp_path: Path) -> None:
    write_svhn(tmp_path / "svhn", np.repeat(np.arange(1, 11), 3), EXTRA, TEST)
    with pytest.raises(DataError, match=r"train_32x32\.mat holds 3 images of the digit 0; .* takes 400"):
        load("svhn", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": random_images(32, 32, 3, 2)}, "has no variable y"),
        ({"y": np.ones((2, 1))}, "has no variable X"),
        ({"X": random_images(32, 32, 3, 2), "y": np.ones((3, 1))}, "holds 2 images but 3 labels"),
        (
            {"X": random_images(32, 32, 3, 2), "y": np.array([[1], [11]])},
            "label 11 at index 1 is outside 1..10",
        ),
        (
            {"X": random_images(32, 32, 3, 2), "y": np.array([[0], [1]])},
            "label 0 at index 0 is outside 1..10",
        ),
        ({"X": random_images(32, 32, 3, 2), "y": np.array([[1.5], [1]])}, "label 1.5 at index 0"),
        ({"X": random_images(32, 32, 3, 2), "y": np.array([[1, 1]])}, r"y has shape \(1, 2\)"),
        ({"X": random_images(32, 32, 1, 2), "y": np.ones((2, 1))}, r"X has shape \(32, 32, 1, 2\)"),
        ({"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1))}, "type float64"),
    ],
)
def test_a_file_that_holds_something_else_is_an_error(tmp_path: Path, content: dict[str, object], message: str) -> None:
    (tmp_path / "svhn").mkdir()
    savemat(tmp_path / "svhn" / "test_32x32.mat", content)
    with pytest.raises(DataError, match=rf"test_32x32\.mat.*{message}"):
        load_split("svhn", "test", tmp_path)


@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_files_are_errors_that_name_the_file(tmp_path: Path, compressed: bool) -> None:
    (tmp_path / "svhn").mkdir()
    path = tmp_path / "svhn" / "test_32x32.mat"
    savemat(path, {"X": random_images(32, 32, 3, 2), "y": np.ones((2, 1))}, do_compression=compressed)
    whole = path.read_bytes()
    for length in [*range(0, 200, 3), *range(200, len(whole), 171), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"test_32x32\.mat"):
            load_split("svhn", "test", tmp_path)


def test_a_web_page_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "test_32x32.mat").write_text("<html>" + "moved " * 100)
    with pytest.raises(DataError, match="no MATLAB file"):
        load_split("svhn", "test", tmp_path)
