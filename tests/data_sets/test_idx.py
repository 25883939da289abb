from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from binarynet.data import load, load_split, read_idx, write_idx
from binarynet.errors import DataError

from .written import random_images, write_mnist

FAMILY = ("mnist", "fashion-mnist", "kmnist")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("gz", [True, False])
def test_the_last_sixth_of_the_training_images_is_held_out(tmp_path: Path, name: str, gz: bool) -> None:
    write_mnist(tmp_path / name, n_train=12, n_test=5, gz=gz)
    data = load(name, tmp_path)
    assert (data.name, data.shape, len(data.classes)) == (name, (1, 28, 28), 10)
    assert data.train.images[:, 0, 0, 0].tolist() == list(range(10))
    assert data.validation.images[:, 0, 27, 27].tolist() == [10, 11]
    assert data.validation.labels.tolist() == [0, 1]
    assert data.test.labels.tolist() == [0, 1, 2, 3, 4]
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int64


def test_images_are_writable_so_that_torch_takes_them_without_a_warning(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist")
    data = load("mnist", tmp_path)
    assert all(split.images.flags.writeable for split in (data.train, data.validation, data.test))


def test_torchvisions_folder_is_found(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw", gz=False)
    assert len(load("mnist", tmp_path).test) == 5


def test_a_plain_file_is_preferred_to_its_compressed_twin(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", n_test=5, gz=True)
    write_mnist(tmp_path / "mnist", n_test=7, gz=False)
    assert len(load_split("mnist", "test", tmp_path)) == 7


def test_a_gz_name_on_an_unpacked_file_does_not_matter(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", gz=True)
    for path in (tmp_path / "mnist").iterdir():
        path.write_bytes(gzip.decompress(path.read_bytes()))
    assert len(load("mnist", tmp_path).train) == 10


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8", ">i2", "<f4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 1, 3, 2)])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_what_is_written_is_read_back(tmp_path: Path, dtype: str, shape: tuple[int, ...], ending: str) -> None:
    values = np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)
    write_idx(tmp_path / f"file{ending}", values)
    back = read_idx(tmp_path / f"file{ending}")
    assert back.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, values)


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    write_idx(tmp_path / "file", np.array([[1, -2, 3]], np.int16))
    assert (tmp_path / "file").read_bytes().hex(" ") == "00 00 0b 02 00 00 00 01 00 00 00 03 00 01 ff fe 00 03"


def test_the_same_array_gives_the_same_compressed_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        write_idx(tmp_path / name, random_images(3, 4))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("values", [np.zeros(2, np.int64), np.zeros(2, complex), np.zeros(2, bool)])
def test_a_type_that_idx_lacks_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(DataError, match="IDX has no type for"):
        write_idx(tmp_path / "file", values)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_every_truncation_is_an_error_that_names_the_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"images{ending}"
    write_idx(path, random_images(2, 3, 3))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=f"images{ending} is truncated"):
            read_idx(path)


def test_bytes_after_the_last_value_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "images"
    write_idx(path, random_images(2, 3))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match="too long: 19 bytes, its header says 18"):
        read_idx(path)


def test_a_damaged_gzip_stream_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    write_idx(path, random_images(20, 28, 28) // 64)  # compressible: a stored block has a few bits without a meaning
    whole = bytearray(path.read_bytes())
    for position in range(10, len(whole), 23):  # after the gzip header
        damaged = whole.copy()
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"images\.gz is (damaged|truncated)"):
            read_idx(path)


@pytest.mark.parametrize(
    "content", [b"<html><body>404</body></html>", b"\0\0\x07\x01\0\0\0\0", b"\x01\0\x08\x01\0\0\0\0"]
)
def test_a_wrong_magic_number_is_an_error(tmp_path: Path, content: bytes) -> None:
    write_mnist(tmp_path / "mnist", gz=False)
    path = tmp_path / "mnist" / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: wrong magic number 0x.*expected 0x00000803"):
        load("mnist", tmp_path)


def test_labels_in_place_of_images_are_a_wrong_magic_number(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", gz=False)
    labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte"
    labels.with_name("t10k-images-idx3-ubyte").write_bytes(labels.read_bytes())
    with pytest.raises(DataError, match="wrong magic number 0x00000801, expected 0x00000803"):
        load_split("mnist", "test", tmp_path)


def test_a_header_that_promises_more_than_memory_holds_is_only_a_truncated_file(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
    with pytest.raises(DataError, match="truncated"):
        read_idx(tmp_path / "huge")


def test_images_and_labels_of_different_length_are_an_error_that_names_both(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", gz=False)
    write_idx(tmp_path / "mnist" / "train-labels-idx1-ubyte", np.zeros(11, np.uint8))
    with pytest.raises(DataError, match=r"images-idx3-ubyte holds 12 images but .*labels-idx1-ubyte holds 11 labels"):
        load("mnist", tmp_path)


def test_a_label_of_ten_is_an_error_that_names_its_index(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", gz=False)
    write_idx(tmp_path / "mnist" / "t10k-labels-idx1-ubyte", np.array([9, 9, 10, 9, 10], np.uint8))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: label 10 at index 2 .*\(2 such labels\)"):
        load("mnist", tmp_path)


def test_images_of_another_size_are_an_error(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", gz=False)
    write_idx(tmp_path / "mnist" / "t10k-images-idx3-ubyte", random_images(5, 28, 27))
    with pytest.raises(DataError, match="holds images of 28×27"):
        load("mnist", tmp_path)


def test_too_few_images_to_hold_any_out_are_an_error(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", n_train=5)
    with pytest.raises(DataError, match="holds 5 images; a validation split of 1/6 needs at least 6"):
        load("mnist", tmp_path)


def test_no_images_at_all_are_an_error(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", n_test=0)
    with pytest.raises(DataError, match="holds no images"):
        load("mnist", tmp_path)


@pytest.mark.parametrize(
    "shape", [(0, 2**32 - 1, 2**32 - 1), (2**32 - 1, 0, 2**32 - 1, 2**32 - 1), (1,) * 33, (1,) * 65, (0,) * 255]
)
def test_a_header_that_numpy_cannot_hold_is_an_error(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "idx"
    count = 0 if 0 in shape else 1
    path.write_bytes(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(count))
    with pytest.raises(DataError, match=r"idx: (the shape .* holds no values|\d+ dimensions, at most 32)"):
        read_idx(path)


@pytest.mark.parametrize("code", [0x08, 0x0E])
def test_a_header_that_says_more_than_the_file_holds_takes_no_memory(tmp_path: Path, code: int) -> None:
    path = tmp_path / "idx"
    path.write_bytes(struct.pack(">HBB3I", 0, code, 3, *(2**32 - 1,) * 3) + bytes(100))
    with pytest.raises(DataError, match="is truncated"):
        read_idx(path)
