from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from binarynet.data import cifar10, load, load_split
from binarynet.errors import DataError
from tests import memory

from .written import (
    cifar_python2_pickle,
    cifar_records,
    random_images,
    write_cifar10_binary,
    write_cifar10_python,
)


@pytest.mark.parametrize("folder", ["cifar-10/cifar-10-batches-bin", "cifar-10-batches-bin"])
def test_the_last_tenth_of_the_binary_training_batches_is_held_out(tmp_path: Path, folder: str) -> None:
    images, labels = write_cifar10_binary(tmp_path / folder, per_batch=4)
    data = load("cifar10", tmp_path)
    assert (data.shape, data.classes[0], data.classes[9]) == ((3, 32, 32), "airplane", "truck")
    np.testing.assert_array_equal(data.train.images, images[:18])
    np.testing.assert_array_equal(data.train.labels, labels[:18])
    np.testing.assert_array_equal(data.validation.images, images[18:20])
    np.testing.assert_array_equal(data.test.images, images[20:])
    np.testing.assert_array_equal(data.test.labels, labels[20:])
    assert all(split.images.flags.writeable for split in (data.train, data.validation, data.test))


@pytest.mark.parametrize("folder", ["cifar-10/cifar-10-batches-py", "cifar-10-batches-py"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_python_batches_of_every_protocol_give_the_same_splits(tmp_path: Path, folder: str, protocol: int) -> None:
    images, labels = write_cifar10_python(tmp_path / folder, protocol=protocol)
    data = load("cifar10", tmp_path)
    np.testing.assert_array_equal(data.train.images, images[:18])
    np.testing.assert_array_equal(data.validation.labels, labels[18:20])
    np.testing.assert_array_equal(data.test.images, images[20:])


def test_a_batch_as_python_2_wrote_it_is_read(tmp_path: Path) -> None:
    images, labels = random_images(3, 3, 32, 32), np.array([6, 9, 0])
    (tmp_path / "data_batch_1").write_bytes(cifar_python2_pickle(images, labels))
    batch = cifar10.read_batch(tmp_path / "data_batch_1")
    np.testing.assert_array_equal(batch.images, images)
    np.testing.assert_array_equal(batch.labels, labels)


def test_a_hand_written_batch_means_to_python_what_it_means_to_us() -> None:
    images = random_images(2, 3, 32, 32)
    batch = pickle.loads(cifar_python2_pickle(images, np.array([1, 2])), encoding="bytes")
    assert sorted(batch) == [b"batch_label", b"data", b"filenames", b"labels"]
    np.testing.assert_array_equal(batch[b"data"], images.reshape(2, 3072))


def test_an_array_in_column_order_is_read(tmp_path: Path) -> None:
    images = random_images(3, 3, 32, 32)
    batch = {"data": np.asfortranarray(images.reshape(3, 3072)), "labels": [1, 2, 3]}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch))
    np.testing.assert_array_equal(cifar10.read_batch(tmp_path / "test_batch").images, images)


class _Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_calls_something_else_is_refused_and_not_executed(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "executed"
    content = pickle.dumps({"data": _Call(os.mkdir, str(trace)), "labels": []}, protocol=protocol)
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match=r"test_batch: the pickle asks for \w+\.mkdir.*not to be trusted"):
        cifar10.read_batch(tmp_path / "test_batch")
    assert not trace.exists()


@pytest.mark.parametrize("function", [eval, getattr, np.load, np.frombuffer, pickle.loads])
def test_no_function_but_the_five_is_to_be_had_from_a_pickle(tmp_path: Path, function: Callable[..., object]) -> None:
    (tmp_path / "test_batch").write_bytes(pickle.dumps(_Call(function, "1")))
    with pytest.raises(DataError, match="not to be trusted"):
        cifar10.read_batch(tmp_path / "test_batch")


@pytest.mark.parametrize(
    "target",
    [
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"cnumpy\ndtype\n",
        b"cnumpy\nndarray\n",
        b"c_codecs\nencode\n",
    ],
)
@pytest.mark.parametrize("state", [b"}%ss", b"N}%ss\x86"], ids=["by dictionary", "by slot"])
def test_a_pickle_cannot_set_attributes_of_what_it_is_given(tmp_path: Path, target: bytes, state: bytes) -> None:
    evil = state % b"X\x08\x00\x00\x00functionK\x01"
    (tmp_path / "test_batch").write_bytes(b"\x80\x02" + target + evil + b"b.")
    with pytest.raises(DataError, match="AttributeError"):
        cifar10.read_batch(tmp_path / "test_batch")


def test_an_entry_number_in_the_thousand_millions_takes_no_memory(tmp_path: Path) -> None:
    content = cifar_python2_pickle(random_images(1, 3, 32, 32), np.array([3]))
    (tmp_path / "test_batch").write_bytes(content.replace(b"q\x00(", b"r\xff\xff\xff\x7f(", 1))
    assert len(cifar10.read_batch(tmp_path / "test_batch")) == 1


def test_values_of_another_type_are_refused(tmp_path: Path) -> None:
    batch = {"data": np.zeros((1, 3072), np.float32), "labels": [0]}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match="type 'f4', expected bytes"):
        cifar10.read_batch(tmp_path / "test_batch")


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"data": np.zeros((1, 3071), np.uint8), "labels": [0]}, r"shape \(1, 3071\)"),
        ({"data": np.zeros(3072, np.uint8), "labels": [0]}, r"shape \(3072,\)"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]}, "not a list of integers"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [[0]]}, "not a list of integers"),
        ({"data": np.zeros((1, 3072), np.uint8), "fine_labels": [0]}, "KeyError: 'labels'"),
        ({"data": [0] * 3072, "labels": [0]}, "no CIFAR-10 batch"),
        (["data", "labels"], "no CIFAR-10 batch"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}, "holds 2 images but .* holds 1 labels"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0, -1]}, "label -1 at index 1"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [10, 0]}, "label 10 at index 0"),
    ],
)
def test_a_pickle_of_something_else_is_an_error(tmp_path: Path, batch: object, message: str) -> None:
    (tmp_path / "test_batch").write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match=f"test_batch.*{message}"):
        cifar10.read_batch(tmp_path / "test_batch")


def test_truncated_pickles_are_errors_that_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "test_batch"
    whole = cifar_python2_pickle(random_images(1, 3, 32, 32), np.array([3]))
    for length in [*range(240), *range(240, len(whole), 83), *range(len(whole) - 80, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"test_batch(: the pickle asks for .*| is (truncated|damaged))"):
            cifar10.read_batch(path)


def test_damaged_pickles_are_read_or_refused_but_never_crash(tmp_path: Path) -> None:
    path = tmp_path / "test_batch"
    whole = cifar_python2_pickle(random_images(1, 3, 32, 32), np.array([3]))
    generator = np.random.default_rng(1)
    refused = 0
    for position in range(230):  # the opcodes before the pixels
        damaged = bytearray(whole)
        damaged[position] ^= 1 << generator.integers(8)
        path.write_bytes(damaged)
        try:
            assert cifar10.read_batch(path).images.shape == (1, 3, 32, 32)
        except DataError as error:
            assert "test_batch" in str(error)  # noqa: PT017  which of the two happens is not the point
            refused += 1
    assert refused > 100


def nested(kind: bytes, times: int = 40) -> bytes:
    """A list, or tuple, of two of the same, each of two of the same …: 2^times of them in a few bytes."""
    empty, begin = (b"]", b"](") if kind == b"e" else (b")", b"(")
    return begin * times + empty + (b"q\x01h\x01" + kind) * times


BOMBS = {
    "labels are not a list of integers": b"U\x06labels" + nested(b"e"),
    "has a tuple for the name of a field": nested(b"t") + b"K\x01",
    "has a NoneType for the name": b"NK\x01",
    "instruction 0x32": b"U\x06labels]" + b"2" * 100,
    "instruction 0x8f": b"U\x06labels\x8f",
    "instruction 0x51": b"U\x06labelsK\x01Q",
    "instruction 0x8b": b"U\x06labels\x8b\xff\xff\xff\x7f",
    "more than 524,288 steps": b"U\x06labels]" + b"N" * 2**19,
    "values of type list": b"U\x06labels" + b"cnumpy\ndtype\n" + nested(b"e") + b"\x85R",
}


@pytest.mark.parametrize("message", BOMBS)
def test_a_pickle_that_would_fill_the_machine_is_refused(tmp_path: Path, message: str) -> None:
    whole = cifar_python2_pickle(random_images(1, 3, 32, 32), np.array([3]))
    (tmp_path / "test_batch").write_bytes(whole[:-2] + BOMBS[message] + b"u.")
    with memory.at_most(2**26), pytest.raises(DataError, match=f"test_batch.*{message}"):
        cifar10.read_batch(tmp_path / "test_batch")


def test_labels_that_no_integer_of_64_bits_holds_are_refused(tmp_path: Path) -> None:
    for label in (2**31, -(2**63), 2**200, True, 1.0):
        batch = {"data": np.zeros((1, 3072), np.uint8), "labels": [label]}
        (tmp_path / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
        with pytest.raises(DataError, match=r"not a list of integers|the instruction 0x47"):
            cifar10.read_batch(tmp_path / "test_batch")


@pytest.mark.parametrize("missing", [1, 3072])
def test_a_binary_batch_cut_inside_a_record_is_an_error(tmp_path: Path, missing: int) -> None:
    write_cifar10_binary(tmp_path / "cifar-10-batches-bin")
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(DataError, match=r"data_batch_3\.bin is truncated"):
        load("cifar10", tmp_path)


def test_a_binary_batch_cut_between_records_is_an_error(tmp_path: Path) -> None:
    write_cifar10_binary(tmp_path / "cifar-10-batches-bin")
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-3073])
    with pytest.raises(DataError, match=r"data_batch_3\.bin holds 3 images but .*data_batch_1\.bin holds 4"):
        load("cifar10", tmp_path)


def test_an_empty_binary_batch_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_batch.bin").write_bytes(b"")
    with pytest.raises(DataError, match="holds no images"):
        cifar10.read_batch(tmp_path / "test_batch.bin")


def test_a_label_above_nine_in_a_binary_batch_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_batch.bin").write_bytes(cifar_records(random_images(3, 3, 32, 32), np.array([1, 10, 2])))
    with pytest.raises(DataError, match=r"test_batch\.bin: label 10 at index 1 is outside 0..9"):
        cifar10.read_batch(tmp_path / "test_batch.bin")


def test_the_test_split_needs_no_training_batch(tmp_path: Path) -> None:
    write_cifar10_binary(tmp_path / "cifar-10-batches-bin")
    for path in (tmp_path / "cifar-10-batches-bin").glob("data_batch_*"):
        path.unlink()
    assert len(load_split("cifar10", "test", tmp_path)) == 4


def test_with_both_versions_there_a_complete_one_is_taken(tmp_path: Path) -> None:
    write_cifar10_binary(tmp_path / "cifar-10-batches-bin")
    write_cifar10_python(tmp_path / "cifar-10-batches-py", per_batch=6)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin").unlink()
    assert len(load("cifar10", tmp_path).test) == 6
