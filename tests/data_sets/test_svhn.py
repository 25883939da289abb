from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from binarynet.data import load, load_split
from binarynet.errors import DataError
from tests import memory

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


def fresh(folder: Path, images: int = 2, **how: bool) -> tuple[Path, bytes, np.ndarray]:
    (folder / "svhn").mkdir(exist_ok=True)
    path = folder / "svhn" / "test_32x32.mat"
    pixels = np.repeat(random_images(32, 1, 1, images), 32, axis=1).repeat(3, axis=2)  # compresses well
    savemat(path, {"X": pixels, "y": np.full((images, 1), 7, np.uint8)}, **how)
    return path, path.read_bytes(), pixels


@pytest.mark.parametrize("compressed", [True, False])
def test_a_changed_byte_is_an_error_or_changes_nothing_and_never_ends_the_process(
    tmp_path: Path, compressed: bool
) -> None:
    """scipy.io.loadmat ended it with SIGSEGV. Compressed files, which SVHN's are, carry a checksum of the values."""
    path, whole, pixels = fresh(tmp_path, do_compression=compressed)
    generator = np.random.default_rng(0)
    places = range(len(whole)) if compressed else [*range(400), *range(len(whole) - 100, len(whole))]
    refused = 0
    for place in places:
        for mask in (0xFF, 1 << generator.integers(8)):
            damaged = bytearray(whole)
            damaged[place] ^= mask
            path.write_bytes(damaged)
            try:
                split = load_split("svhn", "test", tmp_path)
            except DataError as error:
                assert "test_32x32.mat" in str(error)  # noqa: PT017  which of the two happens is not the point
                refused += 1
                continue
            assert split.images.shape == (2, 3, 32, 32)
            if compressed:
                assert np.array_equal(split.images, np.moveaxis(pixels, (3, 2), (0, 1)))
                assert split.labels.tolist() == [7, 7]
    assert refused > (len(places) if compressed else 150)


def test_what_a_file_claims_takes_no_memory_before_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "svhn").mkdir()
    path = tmp_path / "svhn" / "test_32x32.mat"
    for sizes, count in (((32, 32, 3, 2**20), 2**32 - 8), ((32, 32, 3, 599_000), 32 * 32 * 3 * 599_000)):
        labels = matrix(b"y", (1, 1), 1, b"\1")
        claimed = matrix(b"X", sizes, count, b"")
        for content in (labels + claimed, labels + packed(claimed)):
            path.write_bytes(HEADER + content)
            message = r"test_32x32\.mat .*(has the shape|an element of|ends early)"
            with memory.at_most(2**24), pytest.raises(DataError, match=message):
                load_split("svhn", "test", tmp_path)


HEADER = b"MATLAB 5.0".ljust(124) + b"\0\1IM"


def matrix(
    name: bytes, sizes: tuple[int, ...], count: int, content: bytes, order: str = "<", kind: tuple[int, int] = (9, 2)
) -> bytes:
    """A matrix that claims to hold ``count`` bytes of values, written from the specification. ``kind``: class, type."""
    dimensions = struct.pack(f"{order}{len(sizes)}i", *sizes)
    inside = struct.pack(f"{order}6I", 6, 8, kind[0], 0, 5, len(dimensions)) + dimensions
    inside += b"\0" * (-len(inside) % 8) + struct.pack(f"{order}II", 1, len(name)) + name.ljust(8, b"\0")
    inside += struct.pack(f"{order}II", kind[1], count) + content + b"\0" * (-len(content) % 8)
    return struct.pack(f"{order}II", 14, min(len(inside) - len(content) + count, 2**32 - 1)) + inside


def packed(element: bytes) -> bytes:
    content = zlib.compress(element)
    return struct.pack("<II", 15, len(content)) + content


def test_a_file_as_the_specification_has_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "svhn").mkdir()
    pixels = random_images(32, 32, 3, 1)
    content = matrix(b"y", (1, 1), 1, b"\3") + packed(matrix(b"X", (32, 32, 3, 1), 3072, pixels.tobytes(order="F")))
    (tmp_path / "svhn" / "test_32x32.mat").write_bytes(HEADER + content)
    split = load_split("svhn", "test", tmp_path)
    assert split.labels.tolist() == [3]
    assert np.array_equal(split.images[0], np.moveaxis(pixels[..., 0], 2, 0))


def test_a_file_of_the_other_byte_order_is_read(tmp_path: Path) -> None:
    (tmp_path / "svhn").mkdir()
    pixels = random_images(32, 32, 3, 2)
    labels = matrix(b"y", (2, 1), 4, struct.pack(">2H", 5, 10), ">", (11, 4))
    images = matrix(b"X", (32, 32, 3, 2), 6144, pixels.tobytes(order="F"), ">")
    (tmp_path / "svhn" / "test_32x32.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\1\0MI" + labels + images)
    split = load_split("svhn", "test", tmp_path)
    assert split.labels.tolist() == [5, 0]
    assert np.array_equal(split.images, np.moveaxis(pixels, (3, 2), (0, 1)))
