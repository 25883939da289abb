from __future__ import annotations

import numpy as np
import pytest

from binarynet.data import pad_crop_flip
from binarynet.errors import DataError

from .written import random_images


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "shape", [(5, 3, 32, 32), (7, 1, 28, 28), (3, 2, 1, 1), (2, 3, 5, 9), (0, 3, 8, 8), (1, 1, 8, 8)]
)
def test_shape_and_type_stay_and_the_batch_given_is_left_alone(shape: tuple[int, ...]) -> None:
    images = random_images(*shape)
    before = images.copy()
    moved = pad_crop_flip(images, rng())
    assert moved.shape == shape
    assert moved.dtype == np.uint8
    assert moved.flags.c_contiguous
    assert not np.shares_memory(moved, images)
    np.testing.assert_array_equal(images, before)


def test_the_same_seed_gives_the_same_batch_and_another_seed_another() -> None:
    images = random_images(16, 3, 8, 8)
    np.testing.assert_array_equal(pad_crop_flip(images, rng(1)), pad_crop_flip(images, rng(1)))
    assert (pad_crop_flip(images, rng(1)) != pad_crop_flip(images, rng(2))).any()


def test_without_padding_and_mirroring_nothing_happens() -> None:
    images = random_images(4, 3, 8, 8)
    np.testing.assert_array_equal(pad_crop_flip(images, rng(), pad=0, flip=0), images)


def test_mirroring_alone_with_certainty_mirrors_left_and_right() -> None:
    images = random_images(4, 3, 8, 6)
    np.testing.assert_array_equal(pad_crop_flip(images, rng(), pad=0, flip=1), images[..., ::-1])


def test_every_image_is_one_of_the_crops_of_itself_and_all_crops_occur() -> None:
    images = random_images(1, 2, 6, 5)
    padded = np.pad(images[0], ((0, 0), (2, 2), (2, 2)), constant_values=7)
    crops = {
        (top, left, mirror): padded[:, top : top + 6, left : left + 5][..., :: -1 if mirror else 1].tobytes()
        for top in range(5)
        for left in range(5)
        for mirror in (False, True)
    }
    assert len(set(crops.values())) == 50
    moved = pad_crop_flip(np.repeat(images, 1000, axis=0), rng(), pad=2, fill=7)
    assert {image.tobytes() for image in moved} == set(crops.values())


def test_half_of_the_images_are_mirrored() -> None:
    images = np.tile(np.array([0, 1], np.uint8), (4000, 1, 1, 1))
    share = pad_crop_flip(images, rng(), pad=0)[:, 0, 0, 0].mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(4000)  # four standard deviations of a fair coin


def test_each_image_moves_by_itself() -> None:
    images = np.repeat(random_images(1, 1, 8, 8), 64, axis=0)
    assert len({image.tobytes() for image in pad_crop_flip(images, rng(), flip=0)}) > 20


@pytest.mark.parametrize("settings", [{"pad": -1}, {"flip": -0.1}, {"flip": 1.5}, {"flip": float("nan")}])
def test_settings_out_of_range_are_errors(settings: dict[str, float]) -> None:
    with pytest.raises(DataError, match="pad >= 0 and 0 <= flip <= 1"):
        pad_crop_flip(random_images(1, 1, 4, 4), rng(), **settings)  # type: ignore[arg-type]


def test_a_single_image_without_its_batch_axis_is_an_error() -> None:
    with pytest.raises(DataError, match=r"shape \(n, c, h, w\), not \(3, 8, 8\)"):
        pad_crop_flip(random_images(3, 8, 8), rng())
