from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from binarynet.data import GlobalContrast, Preprocessing, Zca, principal_components
from binarynet.data import preprocess as module
from binarynet.errors import DataError

from .written import random_images


def correlated_images(n: int, seed: int = 0) -> np.ndarray:
    """(n, 2, 3, 4) uint8 whose neighbouring pixels are alike, as in photographs."""
    values = np.random.default_rng(seed).normal(size=(n, 24)).cumsum(axis=1)
    return np.asarray(np.clip(128 + 12 * values, 0, 255), np.uint8).reshape(n, 2, 3, 4)


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


def test_contrast_normalization_gives_each_image_mean_zero_and_the_norm_asked_for() -> None:
    values = flat(GlobalContrast(scale=55).apply(random_images(9, 3, 8, 8)))
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-5)  # float32 rounding of values near 1
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 55, rtol=1e-6)


def test_with_use_std_and_no_bias_the_standard_deviation_is_the_scale() -> None:
    values = flat(GlobalContrast(scale=1, use_std=True).apply(random_images(9, 3, 8, 8)))
    np.testing.assert_allclose(values.std(axis=1, ddof=1), 1, rtol=1e-6)


def test_the_bias_is_under_the_root() -> None:
    images = np.array([0, 2], np.uint8).reshape(1, 1, 1, 2)
    result = GlobalContrast(scale=3, bias=7).apply(images)
    np.testing.assert_allclose(result.ravel(), [-3 / 3, 3 / 3])  # ∓1 · 3 / √(7 + 1 + 1)


def test_an_image_of_one_colour_becomes_zero_and_not_nan() -> None:
    assert (GlobalContrast().apply(np.full((2, 3, 4, 4), 200, np.uint8)) == 0).all()


def test_each_image_is_normalized_by_itself() -> None:
    images = random_images(5, 3, 8, 8)
    together = GlobalContrast().apply(images)
    np.testing.assert_array_equal(together[3:4], GlobalContrast().apply(images[3:4]))


def test_whitened_training_images_have_the_identity_as_covariance() -> None:
    images = correlated_images(4000)
    before = np.corrcoef(flat(images).T)
    assert np.abs(before - np.eye(24)).max() > 0.9
    white = flat(Zca.fit(images, bias=0).apply(images))
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(24), atol=1e-3)  # float32 whitener


def test_the_bias_shrinks_each_principal_axis_by_its_own_factor() -> None:
    images = correlated_images(4000)
    variances, axes = np.linalg.eigh(np.cov(flat(images).T, bias=True))
    white = flat(Zca.fit(images, bias=50.0).apply(images)) @ axes
    np.testing.assert_allclose(white.var(axis=0), variances / (variances + 50), rtol=1e-3)


def test_the_whitener_is_symmetric_so_that_images_stay_images() -> None:
    whitener = Zca.fit(correlated_images(500)).whitener
    np.testing.assert_allclose(whitener, whitener.T, atol=1e-6)


def test_whitening_fitted_on_train_is_applied_to_test_unchanged() -> None:
    train, test = correlated_images(500, seed=0), correlated_images(7, seed=1)
    zca = Zca.fit(train)
    np.testing.assert_allclose(flat(zca.apply(test)), (flat(test) - flat(train).mean(0)) @ zca.whitener, atol=1e-3)
    np.testing.assert_allclose(zca.apply(test[2:3]), zca.apply(test)[2:3], atol=1e-5)


def test_the_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    images = correlated_images(100)
    whole = Preprocessing.fit(["gcn", "zca"], images).apply(images)
    monkeypatch.setattr(module, "CHUNK", 33)
    np.testing.assert_allclose(Preprocessing.fit(["gcn", "zca"], images).apply(images), whole, atol=2e-3)


def test_without_bias_too_few_images_are_an_error() -> None:
    with pytest.raises(DataError, match="10 images leave some of the 24 directions without variance"):
        Zca.fit(correlated_images(10), bias=0)
    assert np.isfinite(Zca.fit(correlated_images(10), bias=0.1).whitener).all()


@pytest.mark.parametrize("n", [0, 1])
def test_one_image_cannot_be_whitened(n: int) -> None:
    with pytest.raises(DataError, match=f"at least 2 images to whiten, not {n}"):
        Zca.fit(correlated_images(n))


def test_images_of_another_size_than_fitted_are_an_error() -> None:
    zca = Zca.fit(correlated_images(30))
    with pytest.raises(DataError, match=r"fitted on images of 24 values, not of shape \(3, 3, 3\)"):
        zca.apply(random_images(2, 3, 3, 3))


def test_no_steps_leave_the_bytes_as_they_are() -> None:
    images = random_images(3, 1, 4, 4)
    result = Preprocessing().apply(images)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, images)
    assert Preprocessing().arrays() == {}
    assert Preprocessing.from_arrays({"layer.weight": np.zeros(3)}) == Preprocessing()


def test_an_empty_batch_stays_one() -> None:
    steps = Preprocessing.fit(["gcn", "zca"], correlated_images(50))
    assert steps.apply(correlated_images(50)[:0]).shape == (0, 2, 3, 4)


def test_what_is_saved_beside_a_model_gives_the_same_values_when_loaded(tmp_path: Path) -> None:
    images = correlated_images(200)
    fitted = Preprocessing.fit([GlobalContrast(scale=2, bias=10, use_std=True), "zca"], images)
    save_file({**fitted.arrays(), "layer.weight": np.ones(3)}, tmp_path / "model.safetensors")
    loaded = Preprocessing.from_arrays(load_file(tmp_path / "model.safetensors"))
    assert loaded.steps[0] == GlobalContrast(scale=2, bias=10, use_std=True)
    np.testing.assert_array_equal(loaded.apply(images), fitted.apply(images))


def test_more_than_ten_steps_keep_their_order() -> None:
    steps = tuple(GlobalContrast(scale=float(scale)) for scale in range(1, 13))
    assert Preprocessing.from_arrays(Preprocessing(steps).arrays()) == Preprocessing(steps)


def test_an_unknown_step_is_an_error() -> None:
    with pytest.raises(DataError, match=r"unknown pre-processing step 'pca'. Known: gcn, zca, lcn"):
        Preprocessing.fit(["pca"], correlated_images(5))


@pytest.mark.parametrize(
    "key",
    ["preprocessing.0.pca.kernel", "preprocessing.0.lcn.kernel", "preprocessing.0.zca.mean", "preprocessing.zca"],
)
def test_saved_arrays_of_an_unknown_or_incomplete_step_are_an_error(key: str) -> None:
    with pytest.raises(DataError, match="saved pre-processing"):
        Preprocessing.from_arrays({key: np.zeros(3)})


def test_principal_components_are_those_of_the_covariance_most_variance_first() -> None:
    images = correlated_images(3000)
    mean, axes = principal_components(images, 5)
    np.testing.assert_allclose(mean, flat(images).mean(axis=0))
    np.testing.assert_allclose(axes @ axes.T, np.eye(5), atol=1e-12)
    covariance = np.cov(flat(images).T, bias=True)
    variances = np.linalg.eigvalsh(covariance)[::-1][:5]
    np.testing.assert_allclose(covariance @ axes.T, variances * axes.T, rtol=1e-8, atol=1e-8 * variances[0])
    assert (np.abs(axes).max(axis=1) == axes.max(axis=1)).all()


@pytest.mark.parametrize("count", [0, 25])
def test_as_many_components_as_values_and_no_more(count: int) -> None:
    assert principal_components(correlated_images(100), 24)[1].shape == (24, 24)
    with pytest.raises(DataError, match=f"1 to 24 principal components, not {count}"):
        principal_components(correlated_images(100), count)
