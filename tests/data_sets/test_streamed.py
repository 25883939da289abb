"""Photographs that stay on disk: cut by their rules, the same from folders and from shards, and named where broken."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from binarynet import recipes
from binarynet.data import Crops, DataSet, load, load_split
from binarynet.errors import BinarynetError, DataError, InputError, TrainingError
from binarynet.train.check import check
from binarynet.train.loader import EvaluationBatches, TrainingBatches

CROPS = Crops(16, 18)


def photograph(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    rng = np.random.default_rng(seed)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


def folder(root: Path, counts: dict[str, int], classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for split, count in counts.items():
        for number, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for k in range(count):
                (root / split / name / f"{k:03}.png").write_bytes(photograph(100 * number + k, (40 + k, 30)))
    return root


def shard(path: Path, members: list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def pairs(root: Path, split: str) -> list[tuple[str, bytes]]:
    found = []
    for number, name in enumerate(("cat", "dog")):
        for file in sorted((root / split / name).iterdir()):
            found += [(f"{name}/{file.stem}.png", file.read_bytes()), (f"{name}/{file.stem}.cls", str(number).encode())]
    return found


def test_the_middle_is_what_evaluation_sees() -> None:
    picture = Image.new("RGB", (60, 30), "black")
    picture.paste("white", (16, 1, 44, 29))  # the middle 28 × 28 of 30 × 30 is white
    assert Crops(28, 30, None).evaluation(picture).min() == 255
    assert Crops(30, 30, None).evaluation(picture).min() == 0


@pytest.mark.parametrize("crops", [CROPS, Crops(16, 18, None), Crops(16, 18, jitter=0.4, lighting=0.1)])
def test_a_generator_decides_all_that_is_random(crops: Crops) -> None:
    picture = Image.open(io.BytesIO(photograph(1)))
    first, again, other = (crops.training(picture, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (3, 16, 16)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(1, 1), (500, 3), (3, 500), (40, 40)])
def test_photographs_of_any_size_are_cut(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, (9, 90, 200))
    for seed in range(20):
        cut = Crops(8, 9, flip=1.0).training(picture, np.random.default_rng(seed))
        assert np.array_equal(cut[:, 0, 0], (9, 90, 200))
        assert (cut == cut[:, :1, :1]).all()


def test_cuts_have_the_areas_and_sides_that_were_asked_for() -> None:
    crops, rng = Crops(8, 9), np.random.default_rng(0)
    boxes = np.array([crops._box(200, 100, rng) for _ in range(500)])
    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= 200).all()
    assert (boxes[:, 3] <= 100).all()
    ratios = wide / tall
    assert ratios.min() > 0.7
    assert ratios.max() < 1.4
    assert 0.07 < (wide * tall).min() / 20000 < 0.12


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"resize": 8}, {"area": (0.0, 1.0)}, {"area": (0.5, 2.0)}, {"flip": 2.0}]
)
def test_cuts_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="needed are 1 <= size <= resize"):
        Crops(**{"size": 16, "resize": 18, **wrong})


def test_val_is_the_test_and_a_fiftieth_of_train_validates(tmp_path: Path) -> None:
    data = load(folder(tmp_path, {"train": 100, "val": 2}), crops=CROPS)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [196, 4, 4]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert isinstance(data, DataSet)
    assert data.shape == (3, 16, 16)
    drawn, learnt = set(data.validation.images.rows.tolist()), set(data.train.images.rows.tolist())
    assert not drawn & learnt
    test = load_split(tmp_path, "test", crops=CROPS)
    assert np.array_equal(test.images[:], data.test.images[:])


def test_a_recipe_that_would_change_images_on_disk_is_refused(tmp_path: Path) -> None:
    data = load(folder(tmp_path, {"train": 10, "val": 2}), crops=CROPS)
    recipe = recipes.get("bnn-cifar10").with_settings({"augmented": "true"})
    with pytest.raises(TrainingError, match=r"bnn-cifar10 changes its training images .* only its `Crops` change them"):
        check(recipe, data, 0, "32", 1, None)


def test_all_photographs_are_cut_as_each_split_is(tmp_path: Path) -> None:
    data = load(folder(tmp_path, {"train": 10, "val": 2}), crops=CROPS)
    whole = load_split(tmp_path, "all", crops=CROPS)
    parts = [image.tobytes() for part in (data.train, data.validation, data.test) for image in part.images[:]]
    assert sorted(parts) == sorted(image.tobytes() for image in whole.images)
    assert np.array_equal(
        load_split(tmp_path / "val", "all", classes=data.classes, crops=CROPS).images, data.test.images
    )


def test_an_epoch_is_a_function_of_seed_and_epoch_whatever_the_processes(tmp_path: Path) -> None:
    data = load(folder(tmp_path, {"train": 10, "val": 2}), crops=CROPS)

    def epoch(number: int, rank: int = 0, world: int = 1) -> list[np.ndarray]:
        batches = TrainingBatches(data.train, 4, seed=3, rank=rank, world=world)
        batches.epoch = number
        return [images.numpy() for images, _ in batches]

    first = epoch(0)
    assert len(first) == 4
    assert all(np.array_equal(one, other) for one, other in zip(first, epoch(0), strict=True))
    assert not np.array_equal(first[0], epoch(1)[0])
    both = zip(epoch(0, 0, 2), epoch(0, 1, 2), strict=True)
    assert all(np.array_equal(one, np.concatenate(two)) for one, two in zip(first, both, strict=True))
    parts = [images.numpy() for rank in (0, 1) for images, _ in EvaluationBatches(data.test, 3, rank=rank, world=2)]
    assert np.array_equal(np.concatenate(parts), np.asarray(data.test.images))


def test_a_data_set_travels_to_other_processes_without_its_pixels(tmp_path: Path) -> None:
    data = load(folder(tmp_path, {"train": 10, "val": 2}), crops=CROPS)
    sent = pickle.dumps(data)
    assert len(sent) < 20_000
    assert np.array_equal(pickle.loads(sent).test.images[:], data.test.images[:])


def test_shards_hold_what_folders_hold(tmp_path: Path) -> None:
    plain = folder(tmp_path / "plain", {"train": 10, "val": 2})
    shard(tmp_path / "shards" / "set-train-000.tar", pairs(plain, "train")[:20])
    shard(tmp_path / "shards" / "set-train-001.tar", pairs(plain, "train")[20:])
    shard(tmp_path / "shards" / "val" / "0.tar", pairs(plain, "val")[::-1])  # the class before the picture, too
    one, other = load(plain, crops=CROPS), load(tmp_path / "shards", crops=CROPS)
    assert np.array_equal(one.train.images[:], other.train.images[:])
    assert np.array_equal(one.train.labels, other.train.labels)
    assert np.array_equal(np.sort(one.test.images[:], axis=0), np.sort(other.test.images[:], axis=0))
    assert np.array_equal(load(tmp_path / "shards", shape=(3, 8, 8)).train.images[0].shape, (3, 8, 8))
    assert np.array_equal(pickle.loads(pickle.dumps(other)).train.images[0], other.train.images[0])


GOOD = [("a.png", photograph(1)), ("a.cls", b"0"), ("b.png", photograph(2)), ("b.cls", b"1")]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.png", photograph(1))], r"t\.tar: 'a\.png' has no class: 'a\.cls' is not there"),
        ([("a.txt", b"x")], "holds no pictures: its members are to be named KEY.jpg and KEY.cls"),
        ([*GOOD, ("b.jpg", b"x")], "'b.jpg' is a second picture of the key 'b'"),
        ([("a.png", photograph(1)), ("a.cls", b"")], "'a.cls' holds 0 bytes; a class is a number or a name"),
        ([("a.png", photograph(1)), ("a.cls", b"9" * 500)], "holds 500 bytes"),
        ([("a.png", photograph(1)), ("a.cls", b"\xff\xfe")], "'a.cls' is no text"),
    ],
)
def test_a_shard_that_is_none_is_named(tmp_path: Path, members: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(shard(tmp_path / "t.tar", members), crops=CROPS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:700], "is cut short"),
        (lambda content: content[:100], "is no plain tar file"),
        (lambda content: b"\x1f\x8b" + content, "is no plain tar file.*A compressed one has to be unpacked first"),
        (lambda content: content.replace(b"b.png" + bytes(95), b"b.png" + bytes(94) + b"x"), "is damaged at byte"),
    ],
)
def test_a_damaged_shard_is_named(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    file = shard(tmp_path / "t.tar", GOOD)
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DataError, match=rf"t\.tar {message}"):
        load(file, crops=CROPS)


def test_a_broken_photograph_is_named_when_it_is_read_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", {"train": 4, "val": 2})
    for file in (root / "train" / "cat").iterdir():
        file.write_bytes(b"no picture")
    (root / "train" / "dog" / "001.png").write_bytes(photograph(3)[:200])
    (root / "val" / "cat" / "0000.png").symlink_to("nowhere.png")
    os.mkfifo(root / "val" / "dog" / "pipe.png")
    data = load(root, crops=CROPS)
    places = {
        str(split.images.files.where(place)): (split, row)
        for split in (data.train, data.validation, data.test)
        for row, place in enumerate(split.images.rows)
    }
    for name, message in {
        "train/cat/000.png": "neither a .npy array nor a picture",
        "train/dog/001.png": "is damaged",
        "val/dog/pipe.png": "is no file",
    }.items():
        split, row = places[str(root / name)]
        with pytest.raises(InputError, match=f"{name}.*{message}"):
            split.images[row]
    with pytest.raises((OSError, BinarynetError), match=r"0000\.png"):
        data.test.images[:2]
    with pytest.raises(InputError, match=r"cat/00\d.png: neither|dog/001.png is damaged"):
        list(TrainingBatches(data.train, 6, seed=0))


def test_arrays_are_not_cut(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((40, 3, 8, 8), np.uint8), y=np.arange(40) % 2)
    with pytest.raises(DataError, match="holds arrays, and this recipe cuts photographs"):
        load(tmp_path / "x.npz", crops=CROPS)


def test_imagenet_is_looked_for_where_data_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BINARYNET_DATA", raising=False)
    with pytest.raises(DataError, match="imagenet cannot be downloaded from here: give your copy by --data PATH"):
        load("imagenet", crops=CROPS)
    folder(tmp_path / "imagenet", {"train": 4, "val": 2})
    assert len(load("imagenet", tmp_path, crops=CROPS).test) == 4
    monkeypatch.setenv("BINARYNET_DATA", str(tmp_path))
    assert len(load("imagenet", crops=CROPS).test) == 4


def test_members_of_a_shard_that_are_not_understood_are_named(tmp_path: Path) -> None:
    good = [("a.png", photograph(0)), ("a.cls", b"0"), ("b.png", photograph(1)), ("b.cls", b"1")]
    file = shard(tmp_path / "shards" / "train-0.tar", [*good, ("a.cls", b"1")])
    with pytest.raises(DataError, match=r"'a\.cls' is a second class of the key 'a'"):
        load(str(file.parent), crops=CROPS)
    with tarfile.open(shard(file, good), "a") as archive:
        info = tarfile.TarInfo("c.png")
        info.type, info.linkname = tarfile.SYMTYPE, "a.png"
        archive.addfile(info)
    with pytest.raises(DataError, match=r"'c\.png' is a link, a device or"):
        load(str(file.parent), crops=CROPS)
    shard(file, [*good, ("c.png", photograph(2)), ("c.cls", b"9" * 30)])
    with pytest.raises(DataError):  # a name, beside numbers, of which there is one image
        load(str(file.parent), crops=CROPS)
