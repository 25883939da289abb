"""Which arrays a model takes, what they become, and what is said about those it does not take."""

from __future__ import annotations

import numpy as np
import pytest

from binarynet.errors import InputError
from binarynet.graph import Encoding
from binarynet.runtime.images import adapt, is_ready

B1, B3, B8, U8, F32 = (Encoding.parse(name) for name in ("b1", "b3", "b8", "u8", "f32"))
SHAPE = (4, 5, 3)  # height, width, channels


@pytest.fixture
def nhwc() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, *SHAPE), np.uint8)


def test_both_layouts_and_flat_arrays_mean_the_same_image(nhwc):
    nchw = nhwc.transpose(0, 3, 1, 2)
    for images in (nhwc, nchw, np.ascontiguousarray(nchw), nchw.reshape(2, -1), nhwc[::-1][::-1]):
        codes = adapt(images, SHAPE, B8)
        assert codes.dtype == np.uint8
        assert codes.flags.c_contiguous
        np.testing.assert_array_equal(codes, nhwc)


def test_layout_decides_where_both_orders_fit():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 3), np.uint8)
    np.testing.assert_array_equal(adapt(images, (3, 3, 3), B8), images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(adapt(images, (3, 3, 3), B8, "nchw"), images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(adapt(images, (3, 3, 3), B8, "nhwc"), images)


def test_layout_decides_the_order_of_flat_images(nhwc):
    np.testing.assert_array_equal(adapt(nhwc.reshape(2, -1), SHAPE, B8, "nhwc"), nhwc)


def test_a_layout_that_does_not_fit_is_refused(nhwc):
    with pytest.raises(InputError, match="layout nchw"):
        adapt(nhwc, SHAPE, B8, "nchw")
    with pytest.raises(InputError, match="'nchw', 'nhwc' or None"):
        adapt(nhwc, SHAPE, B8, "hwc")  # type: ignore[arg-type]


def test_grey_images_need_no_channel_axis():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for given in (images, images[:, None], images[..., None], images.reshape(2, 12)):
        np.testing.assert_array_equal(adapt(given, (3, 4, 1), U8)[..., 0], images)


def test_a_flat_model_takes_images_of_any_shape_in_their_own_order(nhwc):
    np.testing.assert_array_equal(adapt(nhwc, (60,), B8), nhwc.reshape(2, 60))


@pytest.mark.parametrize("shape", [(60,), SHAPE])
def test_one_image_without_a_batch_axis_is_refused_with_the_way_out(nhwc, shape):
    for image in (nhwc[0], nhwc[0].ravel()):
        with pytest.raises(InputError, match=r"images\[None\]"):
            adapt(image, shape, B8)


@pytest.mark.parametrize("wrong", [(2, 4, 5), (2, 4, 5, 4), (2, 5, 4, 3), (2, 59), (), (60, 2)])
def test_other_shapes_are_refused_with_both_shapes_named(wrong):
    with pytest.raises(InputError, match=r"images have shape .*takes \(n, 3, 4, 5\) or \(n, 4, 5, 3\)"):
        adapt(np.zeros(wrong, np.uint8), SHAPE, B8)


def test_an_empty_batch_stays_empty():
    assert adapt(np.zeros((0, 3, 4, 5), np.uint8), SHAPE, B8).shape == (0, *SHAPE)
    assert adapt(np.zeros((0, 60), np.float32), SHAPE, B8).shape == (0, *SHAPE)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_intensities_become_the_bytes_they_came_from(dtype):
    codes = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(adapt(codes.astype(dtype) / dtype(255), (256,), B8), codes)


def test_intensities_between_codes_go_to_the_nearest_and_halves_to_even():
    np.testing.assert_array_equal(adapt([[0.5, 1.5 / 255, 2.5 / 255, 0.4 / 255]], (4,), B8), [[128, 2, 2, 0]])
    np.testing.assert_array_equal(adapt([[0.0, 0.5, 1.0]], (3,), B3), [[0, 4, 7]])


@pytest.mark.parametrize("value", [-0.001, 1.001, 255.0, np.inf])
def test_reals_outside_the_unit_interval_are_refused_at_their_place(value):
    images = np.full((2, 60), 0.25)
    images[1, 7] = value
    with pytest.raises(InputError, match=r"\(1, 7\) is outside \[0, 1\]; pass intensities, or bytes as uint8"):
        adapt(images, (60,), B8)


@pytest.mark.parametrize("encoding", [B1, B8, F32])
def test_nan_is_refused_at_its_first_place(encoding):
    images = np.ones((3, *SHAPE), np.float32)
    images[1, 2, 3, 0] = images[2, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"nan at \(1, 2, 3, 0\)"):
        adapt(images, SHAPE, encoding)


def test_whole_numbers_of_other_types_are_codes_if_they_fit():
    np.testing.assert_array_equal(adapt([[0, 7, 255]], (3,), B8), [[0, 7, 255]])
    for bad in (-1, 256):
        with pytest.raises(InputError, match=rf"the value {bad} at \(0, 1\) is not a code 0 … 255 of b8"):
            adapt([[0, bad, 3]], (3,), B8)
    with pytest.raises(InputError, match=r"8 at .* is not a code 0 … 7 of b3"):
        adapt(np.array([[8]], np.uint8), (1,), B3)


def test_bits_are_given_as_bool_codes_or_signs():
    for given in ([[True, False]], np.array([[1, 0]], np.uint8), [[1, -1]], [[1.0, -1.0]]):
        np.testing.assert_array_equal(adapt(given, (2,), B1), [[1, 0]])
    for bad in ([[1, 0]], [[0.5, 1.0]], [[1, 2]]):
        with pytest.raises(InputError, match="neither −1 nor \\+1"):
            adapt(bad, (2,), B1)
    with pytest.raises(InputError, match="not a code 0 … 1"):
        adapt(np.array([[2, 0]], np.uint8), (2,), B1)


def test_bool_images_are_ambiguous_for_bytes():
    with pytest.raises(InputError, match="images are bool"):
        adapt([[True]], (1,), B8)


def test_reals_pass_unchanged_into_a_model_of_reals():
    images = np.array([[-3.5, 1e30]], np.float64)
    assert adapt(images, (2,), F32).dtype == np.float32
    np.testing.assert_array_equal(adapt(images, (2,), F32), images.astype(np.float32))
    with pytest.raises(InputError, match="real numbers"):
        adapt([[1, 2]], (2,), F32)
    with pytest.raises(InputError, match="not a finite number"):
        adapt([[1.0, np.inf]], (2,), F32)


@pytest.mark.parametrize("images", [[["a"]], [[1j]], [[None]]])
def test_arrays_of_other_things_are_refused(images):
    with pytest.raises(InputError, match="pass an array of uint8 or floats"):
        adapt(np.array(images), (1,), B8)


def test_an_array_like_of_another_library_is_taken_without_importing_it():
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array([[1, 2, 3]], np.uint8)

    np.testing.assert_array_equal(adapt(Tensor(), (3,), U8), [[1, 2, 3]])


def test_what_is_ready_would_not_be_copied(nhwc):
    ready = [(nhwc, SHAPE, B8, "nhwc"), (nhwc[:, 0, 0].copy(), (3,), B8, None), (nhwc[:0], SHAPE, B8, "nhwc")]
    others = [
        (nhwc, SHAPE, B8, None),  # it might be in the other order
        (nhwc[:, ::-1], SHAPE, B8, "nhwc"),
        (nhwc, (60,), B8, None),
        (nhwc.tolist(), SHAPE, B8, "nhwc"),
        (nhwc.astype(np.float32), SHAPE, F32, "nhwc"),
        (nhwc.astype(np.int8), SHAPE, B8, "nhwc"),
        (nhwc[0], SHAPE, B8, "nhwc"),
    ]
    for given in ready:
        assert is_ready(*given)
        assert adapt(*given).ctypes.data == given[0].ctypes.data
    for given in others:
        assert not is_ready(*given)


def test_whole_reals_are_codes_where_one_is_above_one():
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_array_equal(adapt(np.array([[0, 1, 255]], dtype), (3,), B8), [[0, 1, 255]])
    np.testing.assert_array_equal(adapt([[0.0, 1.0, 7.0]], (3,), B3), [[0, 1, 7]])
    with pytest.raises(InputError, match=r"8.0 at \(0, 1\) is outside"):
        adapt([[0.0, 8.0]], (2,), B3)


def test_reals_that_are_zero_and_one_alone_may_be_codes_or_intensities():
    np.testing.assert_array_equal(adapt(np.zeros((2, 3)), (3,), B8), np.zeros((2, 3)))
    np.testing.assert_array_equal(adapt([[0.0, 1.0]], (2,), Encoding.parse("u1")), [[0, 1]])
    for ones in ([[1.0, 1.0]], [[0.0, 1.0]]):
        with pytest.raises(InputError, match="bytes or intensities"):
            adapt(ones, (2,), B8)
        np.testing.assert_array_equal(adapt(255 * np.array(ones), (2,), B8), 255 * np.array(ones))  # the way out
    with pytest.raises(InputError, match=r"as 7 \* x"):
        adapt([[1.0]], (1,), B3)


def test_one_dimensional_images_need_no_height():
    ncl = np.random.default_rng(0).integers(0, 256, (2, 3, 7), np.uint8)
    expected = ncl.transpose(0, 2, 1)[:, None]
    for given in (ncl, ncl[:, :, None], ncl.transpose(0, 2, 1), ncl.reshape(2, 21)):
        np.testing.assert_array_equal(adapt(given, (1, 7, 3), B8), expected)
    np.testing.assert_array_equal(adapt(ncl.transpose(0, 2, 1), (1, 7, 3), B8, "nhwc"), expected)
    square = np.random.default_rng(0).integers(0, 256, (2, 5, 5), np.uint8)
    np.testing.assert_array_equal(adapt(square, (1, 5, 5), B8), square.transpose(0, 2, 1)[:, None])
    np.testing.assert_array_equal(adapt(square, (1, 5, 5), B8, "nhwc"), square[:, None])
    with pytest.raises(InputError, match=r"takes \(n, 3, 7\), \(n, 3, 1, 7\) or \(n, 1, 7, 3\)"):
        adapt(ncl[:, :2], (1, 7, 3), B8)
    with pytest.raises(InputError, match=r"images\[None\]"):
        adapt(ncl[0], (1, 7, 3), B8)
