"""Contrast normalization and whitening as layers: what `binarynet.data` makes of the same bytes, in float32."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from binarynet.data import GlobalContrast, LocalContrast, Zca
from binarynet.errors import InputError
from binarynet.nn import GlobalContrastNorm, LocalContrastNorm, Whitening

ROUNDING = 3e-6  # float32 rounds each of a few steps by 6e-8 of values that reach 10 or so


def images(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Neighbouring pixels are alike, as in photographs."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(n, *shape)).cumsum(-1).cumsum(-2)
    return np.clip(128 + 8 * values, 0, 255).astype(np.uint8)


def made(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    answer: Tensor = layer(torch.from_numpy(x))
    assert answer.dtype == torch.float32
    assert answer.shape == x.shape
    return answer.detach().numpy()


@pytest.mark.parametrize(
    "settings", [(55.0, 0.0, False), (1.0, 10.0, True), (3.0, 7.0, False), (2.0, 0.0, True), (1.0, 1e-60, False)]
)
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 28, 28), (3, 104, 105), (5,), (1,)])
def test_global_contrast_is_the_rule_of_the_data_package(
    settings: tuple[float, float, bool], shape: tuple[int, ...]
) -> None:
    x = images(4, *(1,) * (3 - len(shape)), *shape).reshape(4, *shape)
    x[1], x[2] = 200, 0  # of one colour
    x[3].flat[0] = 7
    rule = GlobalContrast(*settings).apply(x)
    norm = GlobalContrastNorm(*settings)
    np.testing.assert_allclose(made(norm, x), rule, rtol=ROUNDING, atol=1e-30)
    assert (made(norm, x)[1:3] == 0).all()
    np.testing.assert_array_equal(made(norm, x[:1]), made(norm, x)[:1])


def test_global_contrast_by_hand() -> None:
    x = np.array([10, 20, 60], np.uint8).reshape(1, 3, 1, 1)  # mean 30, squares 400 + 100 + 900
    np.testing.assert_allclose(
        made(GlobalContrastNorm(55), x).ravel(), 55 * np.array([-20, -10, 30]) / np.sqrt(1400), rtol=1e-6
    )


def test_global_contrast_of_images_that_differ_in_one_step_of_one_value() -> None:
    x = np.full((1, 3, 104, 105), 255, np.uint8)  # the largest images, the largest sums
    x[0, 1, 3, 4] = 254
    away = np.full(x.size, 1 / x.size)
    away[104 * 105 + 3 * 105 + 4] -= 1
    true = 55 * away / np.sqrt((away**2).sum())
    np.testing.assert_allclose(made(GlobalContrastNorm(), x).ravel(), true, rtol=ROUNDING)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_global_contrast_refuses_settings_and_images_in_one_line(scale: float) -> None:
    with pytest.raises(InputError, match=r"needs 0 < scale"):
        GlobalContrastNorm(scale)
    with pytest.raises(InputError, match="bias"):
        GlobalContrastNorm(1, -1)
    with pytest.raises(InputError, match=r"images of 33,075 values; sums of more than 32,896 are not exact"):
        GlobalContrastNorm()(torch.zeros(1, 3, 105, 105, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(3, 12, 11), (1, 8, 8), (2, 1, 1), (1, 3, 20)])
def test_local_contrast_is_the_rule_of_the_data_package(shape: tuple[int, int, int]) -> None:
    x = images(3, *shape)
    before = GlobalContrastNorm(1, 10, use_std=True)
    rule = LocalContrast().apply(GlobalContrast(1, 10, True).apply(x))
    both = nn.Sequential(before, LocalContrastNorm())
    np.testing.assert_allclose(made(both, x), rule, atol=ROUNDING)
    np.testing.assert_allclose(made(both, x[:1]), rule[:1], atol=ROUNDING)
    x[0] = 99
    assert (made(both, x)[0] == 0).all()


def test_local_contrast_refuses_what_it_does_not_take() -> None:
    for settings in ({"size": 8}, {"sigma": 0}, {"threshold": -1}, {"sigma": float("nan")}):
        with pytest.raises(InputError, match="needs an odd size"):
            LocalContrastNorm(**settings)
    with pytest.raises(InputError, match=r"reads images \(n, c, h, w\)"):
        LocalContrastNorm()(torch.zeros(2, 9))
    assert not LocalContrastNorm().state_dict()


def whitening(x: np.ndarray) -> tuple[Zca, Whitening]:
    zca, layer = Zca.fit(x), Whitening(x[0].size)
    layer.fill(zca.mean, zca.whitener)
    return zca, layer


def test_whitening_is_the_rule_of_the_data_package_and_makes_the_covariance_one() -> None:
    x = images(500, 2, 4, 3)
    zca, layer = whitening(x)
    y = made(layer, x.astype(np.float32))
    np.testing.assert_allclose(y, zca.apply(x), atol=1e-4)  # sums of numbers up to 255, in another order
    flat = y.reshape(500, -1)
    np.testing.assert_allclose(flat.T @ flat / 500, np.eye(24), atol=0.02)  # bias 0.1 beside variances from 4 on
    one = made(layer, x[:1].astype(np.float32))
    np.testing.assert_allclose(one, y[:1], atol=1e-4)


def test_a_net_that_has_seen_no_images_says_so() -> None:
    with pytest.raises(InputError, match=r"has seen no images yet: train its recipe, load a state dict, or call fill"):
        Whitening(4)(torch.zeros(1, 4))


def test_whitening_travels_in_the_state_dict_in_copies_and_in_pickles() -> None:
    x = images(50, 1, 3, 3).astype(np.float32)
    _, layer = whitening(x)
    empty = Whitening(9)
    untouched = copy.deepcopy(empty.state_dict())
    empty.load_state_dict(layer.state_dict())
    for one in (empty, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(made(one, x), made(layer, x))
    with torch.device("meta"):
        later = Whitening(9)
    later.load_state_dict(layer.state_dict(), assign=True)
    np.testing.assert_array_equal(made(later, x), made(layer, x))
    empty.load_state_dict(untouched)  # of one that has seen nothing
    with pytest.raises(InputError, match="has seen no images"):
        empty(torch.zeros(1, 9))


def test_whitening_refuses_other_shapes_and_numbers() -> None:
    _, layer = whitening(images(50, 1, 3, 3))
    with pytest.raises(InputError, match=r"is for 9 values, not for images of \(1, 2, 2\)"):
        layer(torch.zeros(1, 1, 2, 2))
    with pytest.raises(InputError, match=r"of \(9,\) and \(9, 8\), for 9 features"):
        layer.fill(np.zeros(9), np.zeros((9, 8)))
    with pytest.raises(InputError, match="not finite"):
        layer.fill(np.zeros(9), np.full((9, 9), np.inf))
    with pytest.raises(InputError, match="needs 1 or more"):
        Whitening(0)


def test_mixed_precision_does_not_reach_them() -> None:
    x = images(60, 1, 4, 4)
    net = nn.Sequential(GlobalContrastNorm(), Whitening(16), LocalContrastNorm(3))
    fitted = Zca.fit(GlobalContrast().apply(x))
    net[1].fill(fitted.mean, fitted.whitener)  # type: ignore[operator]
    plain = made(net, x)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(made(net, x), plain)
    double = copy.deepcopy(net).double()(torch.from_numpy(x))
    assert double.dtype == torch.float64
    half = copy.deepcopy(net).bfloat16()(torch.from_numpy(x))
    assert half.dtype == torch.bfloat16
    assert half.isfinite().all()
    np.testing.assert_allclose(plain, double.numpy(), atol=2e-4)  # whitened differences of neighbours, in float32
