"""Data of the user's own: what is read, what is drawn, and the one line for each thing that is wrong with it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from binarynet.data import DataSet, load, load_split
from binarynet.errors import BinarynetError


def pictures(folder: Path, counts: dict[str, int], mode: str = "L", size: tuple[int, int] = (9, 7)) -> None:
    """So many pictures a class; number k of class c is filled with 10 c + k."""
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            Image.new(mode, size, 10 * number + k if mode == "L" else (10 * number + k,) * 3).save(
                folder / name / f"{k:03}.png"
            )


def values(split: Any) -> list[int]:
    return sorted(split.images[:, 0, 0, 0].tolist())


def test_class_folders_are_read_whole_with_a_tenth_of_each_class_held_out_twice(tmp_path: Path) -> None:
    pictures(tmp_path / "own", {"b": 20, "a": 30})
    data = DataSet.from_folder(tmp_path / "own")
    assert data.classes == ("a", "b")  # in the order of texts, as torchvision's ImageFolder has them
    assert data.shape == (1, 7, 9)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 5, 5]
    assert [np.bincount(part.labels).tolist() for part in (data.validation, data.test)] == [[3, 2], [3, 2]]
    together = [*data.train.images, *data.validation.images, *data.test.images]
    labels = [*data.train.labels, *data.validation.labels, *data.test.labels]
    found = sorted((int(label), int(image[0, 0, 0])) for label, image in zip(labels, together, strict=True))
    assert found == sorted([(0, 10 + k) for k in range(30)] + [(1, k) for k in range(20)])


def test_the_draw_depends_on_the_seed_alone(tmp_path: Path) -> None:
    pictures(tmp_path, {"a": 20, "b": 20})
    first, again, other = (DataSet.from_folder(tmp_path, seed=seed) for seed in (0, 0, 1))
    assert values(first.test) == values(again.test) != values(other.test)


def test_split_folders_are_the_splits_and_what_is_missing_is_drawn_from_train(tmp_path: Path) -> None:
    pictures(tmp_path / "train", {"a": 20, "b": 20})
    pictures(tmp_path / "test", {"b": 3})
    data = DataSet.from_folder(tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [36, 4, 3]
    assert data.test.labels.tolist() == [1, 1, 1]
    assert len(load_split(tmp_path, "test")) == 3
    assert len(load_split(tmp_path, "all")) == 43
    pictures(tmp_path / "val", {"a": 2})
    assert len(DataSet.from_folder(tmp_path).train) == 40


def test_one_split_is_what_the_whole_set_has_of_it(tmp_path: Path) -> None:
    pictures(tmp_path, {"a": 20, "b": 20})
    data = load(tmp_path)
    for name in ("train", "validation", "test"):
        alone, beside = load_split(tmp_path, name), getattr(data, name)
        assert np.array_equal(alone.images, beside.images)
        assert np.array_equal(alone.labels, beside.labels)


def test_pictures_are_brought_to_the_shape_that_is_asked_for_and_it_is_said(tmp_path: Path) -> None:
    pictures(tmp_path, {"a": 12, "b": 12})
    Image.new("RGB", (30, 30), (1, 2, 3)).save(tmp_path / "a" / "colour.png")
    data = DataSet.from_folder(tmp_path, shape=(3, 8, 8))
    assert data.shape == (3, 8, 8)
    assert data.origin["notes"] == {
        "grey taken for red, green and blue": 24,
        "stretched to 8 × 8": 24,
        "resized to 8 × 8": 1,
    }


def test_a_models_classes_number_the_labels_also_of_a_folder_that_has_some_of_them(tmp_path: Path) -> None:
    pictures(tmp_path, {"cat": 3, "owl": 2})
    split = load_split(tmp_path, "all", classes=("ant", "cat", "dog", "owl"))
    assert split.labels.tolist() == [1, 1, 1, 3, 3]
    with pytest.raises(BinarynetError, match="label 'owl' at index 3 is no class"):
        load_split(tmp_path, "all", classes=("ant", "cat"))


def hidden_and_other_files(folder: Path) -> None:
    pictures(folder, {"a": 9, "b": 9})
    (folder / "a" / ".DS_Store").write_bytes(b"x")
    (folder / "a" / "notes.txt").write_text("x")
    (folder / ".git").mkdir()


def test_other_files_are_passed_over_and_listed(tmp_path: Path) -> None:
    hidden_and_other_files(tmp_path)
    data = DataSet.from_folder(tmp_path)
    assert data.origin["passed over"] == (str(tmp_path / "a" / "notes.txt"),)


def two(folder: Path) -> Path:
    pictures(folder, {"a": 5, "b": 5})
    return folder


def corrupt(folder: Path) -> None:
    file = two(folder) / "b" / "001.png"
    file.write_bytes(file.read_bytes()[:-30])


FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "sizes differ": (
        lambda folder: Image.new("L", (8, 8)).save(two(folder) / "b" / "9.png"),
        r"b/9.png is 8 × 8 pixels grey, but .*a/000.png is 9 × 7 pixels grey.*--shape 1x7x9",
    ),
    "grey and colour": (
        lambda folder: Image.new("RGB", (9, 7)).save(two(folder) / "b" / "9.png"),
        r"b/9.png is 9 × 7 pixels in colour, but .*a/000.png is 9 × 7 pixels grey",
    ),
    "corrupt": (corrupt, r"b/001.png is damaged"),
    "empty file": (lambda folder: (two(folder) / "a" / "9.png").write_bytes(b""), r"a/9.png is empty"),
    "no picture": (lambda folder: (two(folder) / "a" / "9.png").write_text("hello"), r"a/9.png: neither"),
    "one class": (lambda folder: pictures(folder, {"a": 9}), r"there is 'a' alone"),
    "an empty class": (lambda folder: (two(folder) / "c").mkdir(), r"c holds no pictures .*class 'c' would be empty"),
    "no class folder": (lambda folder: (folder / "1.png").write_bytes(b"x"), r"holds no folders"),
    "a class that train has not": (
        lambda folder: (two(folder / "train"), pictures(folder / "test", {"z": 1})),
        r"test/z: there is no class 'z'",
    ),
    "a folder beside the splits": (
        lambda folder: (two(folder / "train"), two(folder / "test"), pictures(folder / "samples", {".": 2})),
        r"beside train stands samples, which is no split",
    ),
    "splits without classes": (
        lambda folder: (pictures(folder / "train", {".": 2}), pictures(folder / "test", {".": 2})),
        r"train holds no folders",
    ),
    "one picture a class": (
        lambda folder: pictures(folder, {"a": 1, "b": 1}),
        r"none can be drawn for validation and test",
    ),
    "a name that steers terminals": (
        lambda folder: pictures(folder, {"a": 9, "b\x1b[31m": 9}),
        r"cannot be the name of a class",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_what_is_wrong_with_a_folder_is_one_line_that_names_the_file(case: str, tmp_path: Path) -> None:
    make, message = FOLDERS[case]
    make(tmp_path)
    with pytest.raises(BinarynetError, match=message) as caught:
        DataSet.from_folder(tmp_path)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def images(n: int = 40, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *(shape or (3, 5, 6))), np.uint8)


@pytest.mark.parametrize(
    ("given", "shape"),
    [((3, 5, 6), (3, 5, 6)), ((5, 6, 3), (3, 5, 6)), ((5, 6), (1, 5, 6)), ((36,), (1, 6, 6)), ((35,), (1, 1, 35))],
)
def test_arrays_of_any_usual_layout_become_channels_first(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    array = images(40, *given)
    data = DataSet.from_arrays(array, np.arange(40) % 2)
    assert data.shape == shape
    first = array[np.flatnonzero(np.arange(40) % 2 == 0)]
    wanted = np.moveaxis(first, -1, 1) if given == (5, 6, 3) else first.reshape(20, *shape)
    found = {
        image.tobytes()
        for split in (data.train, data.validation, data.test)
        for image in split.images[split.labels == 0]
    }
    assert found == {np.ascontiguousarray(one).tobytes() for one in wanted}


def test_reals_are_intensities_or_bytes_and_the_nearest_byte_is_taken() -> None:
    array, labels = images(), np.arange(40) % 2
    bytes_ = DataSet.from_arrays(array, labels)
    for same in (array.astype(np.float32) / np.float32(255), array.astype(np.float64), array.astype(np.int64)):
        assert np.array_equal(DataSet.from_arrays(same, labels).train.images, bytes_.train.images)


ARRAYS: dict[str, tuple[tuple[Any, ...], str]] = {
    "labels out of range": ((images(), np.arange(40)), r"label 39 at index 39|no class has more than"),
    "a label far away": ((images(), np.array([0, 10**9] * 20)), r"label 1000000000 at index 1, of 40 images"),
    "negative": ((images(), np.arange(40) % 2 - 1), r"label -1 at index 0 is outside 0..0|alone"),
    "a gap": ((images(), np.arange(40) % 2 * 2), r"class '1' has no images"),
    "one class": ((images(), np.zeros(40, int)), r"'0' alone"),
    "fewer labels": ((images(), np.zeros(39, int)), r"40 images and 39 labels"),
    "one-hot": ((images(), np.eye(2)[np.arange(40) % 2]), r"labels are an array of 40×2"),
    "normalised": ((images() / 100.0 - 1, np.arange(40) % 2), r"pixels from -1 to"),
    "NaN": ((np.full((40, 4, 4), np.nan), np.arange(40) % 2), r"not a finite number"),
    "0 and 1": ((np.tile(np.eye(4), (40, 1, 1)), np.arange(40) % 2), r"may be bytes or intensities"),
    "16 bits": ((images().astype(np.int32) * 256, np.arange(40) % 2), r"no bytes 0 … 255"),
    "texts": ((np.full((40, 4, 4), "x"), np.arange(40) % 2), r"are of type <U1"),
    "no layout": ((images(40, 5, 6, 7), np.arange(40) % 2), r"neither first nor last: give layout="),
    "two layouts": ((images(40, 3, 6, 3), np.arange(40) % 2), r"channels first or last: give layout="),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_what_is_wrong_with_arrays_is_one_line(case: str) -> None:
    arguments, message = ARRAYS[case]
    with pytest.raises(BinarynetError, match=message) as caught:
        DataSet.from_arrays(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(16, 16), (3, 16, 16), (16, 16, 3)])
def test_arrays_are_not_brought_to_a_shape(size: tuple[int, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=images(40, *size), y=np.arange(40) % 2)
    with pytest.raises(BinarynetError, match="where 1×8×8 is asked for: only pictures are resized"):
        load(tmp_path / "own.npz", shape=(1, 8, 8))
    with pytest.raises(BinarynetError, match="only pictures are resized"):
        load_split(tmp_path / "own.npz", "test", shape=(1, 8, 8))


@pytest.mark.parametrize(
    "names",
    [("x", "y"), ("images", "labels"), ("X_train", "y_train"), ("train_images", "train_labels"), ("arr_0", "arr_1")],
)
def test_npz_files_are_read_by_the_names_that_people_give(tmp_path: Path, names: tuple[str, str]) -> None:
    array, labels = images(), np.arange(40) % 2
    np.savez(tmp_path / "own.npz", **{names[0]: array, names[1]: labels})
    assert np.array_equal(load(tmp_path / "own.npz").train.images, DataSet.from_arrays(array, labels).train.images)


def test_the_splits_of_an_npz_and_of_a_folder_of_npz_files(tmp_path: Path) -> None:
    array, labels = images(40, 5, 6, 3), np.array(["no", "yes"])[np.arange(40) % 2]
    np.savez_compressed(
        tmp_path / "one.npz", x_train=array, y_train=labels[:, None], x_test=array[:4], y_test=labels[:4]
    )
    data = load(tmp_path / "one.npz")
    assert (data.classes, len(data.train), len(data.test)) == (("no", "yes"), 36, 4)
    assert np.array_equal(data.test.images, np.moveaxis(array[:4], -1, 1))
    (tmp_path / "own").mkdir()
    np.savez(tmp_path / "own" / "train.npz", X=array, y=labels)
    np.savez(tmp_path / "own" / "test.npz", X=array[:4], y=labels[:4])
    assert np.array_equal(load(tmp_path / "own").test.images, data.test.images)


def damaged(file: Path) -> None:
    np.savez(file, x=images(), y=np.arange(40) % 2)
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


NPZ: dict[str, tuple[Callable[[Path], Any], str]] = {
    "objects": (lambda file: np.savez(file, x=np.array([{}, {}]), y=[0, 1]), "array of objects, which is a program"),
    "damaged": (damaged, r"own.npz: x.npy is damaged: Bad CRC"),
    "no zip": (lambda file: file.write_bytes(b"PK not"), r"own.npz is damaged, or no .npz"),
    "no labels": (lambda file: np.savez(file, x=images()), r"holds 'x', in which no images with labels"),
    "too few labels": (lambda file: np.savez(file, x=images(), y=[0, 1]), r"40 images and 2 labels"),
    "two of a kind": (lambda file: np.savez(file, x=images(), images=images(), y=[0]), r"'x' and 'images' both name"),
}


@pytest.mark.parametrize("case", NPZ)
def test_what_is_wrong_with_an_npz_is_one_line_that_names_it(case: str, tmp_path: Path) -> None:
    make, message = NPZ[case]
    make(tmp_path / "own.npz")
    with pytest.raises(BinarynetError, match=message) as caught:
        load(tmp_path / "own.npz")
    assert "own.npz" in str(caught.value)


def test_a_table_of_bytes_and_a_table_of_pictures(tmp_path: Path) -> None:
    array, labels = images(40, 16), np.arange(40) % 2
    rows = [",".join(map(str, [label, *row])) for label, row in zip(labels, array, strict=True)]
    (tmp_path / "own.csv").write_text("\n".join(["label," + ",".join(f"p{k}" for k in range(16)), *rows]))
    data = load(tmp_path / "own.csv")
    assert data.shape == (1, 4, 4)
    assert np.array_equal(data.train.images, DataSet.from_arrays(array, labels).train.images)
    pictures(tmp_path, {"a": 9, "b": 9})
    listed = [f"{name}/{k:03}.png,{name}" for name in "ab" for k in range(9)]
    (tmp_path / "listed.csv").write_text("\n".join(["file,class", *listed]))
    assert values(load(tmp_path / "listed.csv").train) == values(load_split(tmp_path / "listed.csv", "train"))
    assert len(load_split(tmp_path / "listed.csv", "all")) == 18


TABLES = {
    "digit,a,b\n0,1,2\n1,0,2": r"own.csv: no column is called label, class, target, y",
    "label,a,b\n0,1,2\n1,300,2": r"own.csv, row 3: '300' is none of the bytes",
    "label,a,b\n0,1,2\n1,x,2": r"own.csv, row 3: could not convert",
    "label,a,b\n0,1": r"own.csv, row 2: 2 columns, where the header has 3",
    "0,1,2\n1,1,2": r"the first line holds numbers",
    "label,a": r"own.csv holds no images",
    "": r"own.csv",
    "file,label\n../x.png,a": r"row 2: '../x.png' is not below the folder",
    "file,label\n/etc/passwd,a": r"row 2: '/etc/passwd' is not below the folder",
}


@pytest.mark.parametrize("text", TABLES)
def test_what_is_wrong_with_a_table_names_its_row(text: str, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(BinarynetError, match=TABLES[text]):
        load(tmp_path / "own.csv")


class Items:
    """A map-style data set, as PyTorch's are."""

    def __init__(self, images: Any, labels: Any) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.images[index], self.labels[index]


def test_any_map_style_data_set_of_pytorch_is_taken() -> None:
    import torch

    array, labels = images(), np.arange(40) % 2
    wanted = DataSet.from_arrays(array, labels).train.images
    floats = torch.from_numpy(array).float() / 255
    shown = [Image.fromarray(np.moveaxis(image, 0, -1)) for image in array]
    for given in (array, torch.from_numpy(array), floats, shown):
        assert np.array_equal(DataSet.from_torch(Items(given, labels)).train.images, wanted)
    with pytest.raises(BinarynetError, match=r"image 0 is float32 from .*leave Normalize out"):
        DataSet.from_torch(Items(floats - 0.5, labels))
    with pytest.raises(BinarynetError, match="may be bytes or intensities"):
        DataSet.from_torch(Items((floats > 0.5).float(), labels))
    with pytest.raises(BinarynetError, match="image 1 is of shape"):
        DataSet.from_torch(Items([array[0], array[1, :, :4]], labels))


def test_pictures_take_the_memory_of_their_pixels_and_no_more(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for k in range(30):
            Image.effect_noise((256, 256), 50).save(tmp_path / name / f"{k}.png")
    DataSet.from_folder(tmp_path)  # modules are imported
    tracemalloc.start()
    data = DataSet.from_folder(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pixels = sum(part.images.nbytes for part in (data.train, data.validation, data.test))
    assert pixels == 60 * 256 * 256
    assert peak < 1.2 * pixels


def test_a_set_that_no_memory_holds_is_refused_before_it_is_read(tmp_path: Path) -> None:
    pictures(tmp_path, {"a": 9, "b": 9})
    with pytest.raises(BinarynetError, match=r"take [\d,.]+ GB, and this machine has"):
        DataSet.from_folder(tmp_path, shape=(3, 99999, 99999))


def test_an_order_of_axes_that_there_is_not_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=np.zeros((6, 3, 4, 4), np.uint8), labels=np.arange(6) % 2)
    with pytest.raises(BinarynetError, match="layout='chwn': choose 'nchw'"):
        DataSet.from_folder(tmp_path / "own.npz", layout="chwn")  # type: ignore[arg-type]
