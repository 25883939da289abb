from __future__ import annotations

import numpy as np
import pytest

from binarynet.data import LocalContrast, Preprocessing

from .written import random_images


def plain(image: np.ndarray, size: int, sigma: float, threshold: float) -> np.ndarray:
    """One channel (h, w), pixel by pixel, as the definition reads."""
    half, (height, width) = size // 2, image.shape
    reach = range(-half, half + 1)
    g = {(i, j): np.exp(-(i * i + j * j) / (2 * sigma**2)) for i in reach for j in reach}
    whole = sum(g.values())

    def blurred(x: np.ndarray) -> np.ndarray:
        made = np.zeros(x.shape)
        for y, z in np.ndindex(x.shape):
            inside = [(i, j) for i, j in g if 0 <= y + i < height and 0 <= z + j < width]
            made[y, z] = sum(g[i, j] * x[y + i, z + j] for i, j in inside) / whole
        return made

    v = image - blurred(image)
    s = np.sqrt(blurred(v * v))
    return v / np.maximum(np.maximum(s, s.mean()), threshold)


@pytest.mark.parametrize("settings", [(9, 2.0, 1e-4), (3, 1.0, 30.0), (1, 1.0, 1e-4)])
@pytest.mark.parametrize("shape", [(2, 6, 7), (1, 1, 1), (1, 12, 3)])
def test_it_is_what_the_definition_says(settings: tuple[int, float, float], shape: tuple[int, int, int]) -> None:
    images = random_images(2, *shape)
    made = LocalContrast(*settings).apply(images)
    assert made.dtype == np.float32
    for image, normed in zip(images, made, strict=True):
        for channel, mine in zip(image.astype(float), normed, strict=True):
            np.testing.assert_allclose(mine, plain(channel, *settings), atol=1e-5)  # float32 rounding of values near 1


def test_a_black_image_stays_black_and_no_image_is_none() -> None:
    assert (LocalContrast().apply(np.zeros((2, 3, 5, 5), np.uint8)) == 0).all()
    assert LocalContrast().apply(np.zeros((0, 3, 5, 5), np.uint8)).shape == (0, 3, 5, 5)


def test_a_factor_of_the_image_does_not_matter() -> None:
    images = random_images(2, 3, 9, 9)
    np.testing.assert_allclose(LocalContrast().apply(images * 7.0), LocalContrast().apply(images), atol=1e-5)


def test_it_is_a_step_that_can_be_kept() -> None:
    images = random_images(3, 3, 8, 8)
    steps = Preprocessing.fit(["gcn", LocalContrast(5, 1.5, 1e-3)], images)
    again = Preprocessing.from_arrays(steps.arrays())
    assert again == steps
    np.testing.assert_array_equal(again.apply(images), steps.apply(images))
