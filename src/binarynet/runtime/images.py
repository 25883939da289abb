"""What a caller hands in → the codes that a graph's Input reads: all about shapes and types of images."""

from __future__ import annotations

from math import prod
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from binarynet.errors import InputError
from binarynet.graph.encoding import Encoding
from binarynet.pixels import either, meaning

Layout = Literal["nchw", "nhwc"]
Array = NDArray[Any]
_BYTE = np.dtype(np.uint8)


def adapt(images: ArrayLike, shape: tuple[int, ...], encoding: Encoding, layout: Layout | None = None) -> Array:
    """Images → contiguous codes (n, *shape): uint8, or float32 where the input is f32.

    ``shape`` is (features,) or (height, width, channels). A flat input takes any (n, …) of that many numbers, in the
    order they have. An image input takes (n, channels, height, width), (n, height, width, channels), flat
    (n, channels · height · width) in the first order, (n, height, width) if it has one channel, and if it has one row,
    as one-dimensional networks have, (n, channels, width) or (n, width, channels). ``layout`` decides where both
    orders fit; without it, that is "nchw".

    Values: integers are codes. Reals are codes if all are whole, or intensities in [0, 1]: 1 is the highest code, and
    between codes the nearest is taken (halves to even); docs/data.md has the table. ±1 inputs (b1) take 0 / 1 in bool
    or unsigned, or ±1 in a signed or real type. f32 inputs take reals as they are.

    Raises:
        InputError: the shape does not fit, or a value is none of these; the text names the first one.
    """
    array = as_array(images)
    return _codes(_arrange(array, shape, layout), encoding)


def as_array(images: ArrayLike) -> Array:
    """What numpy makes of ``images``, if that is an array of numbers.

    Raises:
        InputError: it is a file's name, None, a list of lists of different lengths, a tensor of a GPU …
    """
    try:
        array = np.asarray(images)
    except Exception as error:  # of numpy, or of the object that should become an array
        kind = f"{type(images).__module__}.{type(images).__name__}".removeprefix("builtins.")
        raise InputError(f"images are a {kind} that is no array: {' '.join(str(error).split())}") from None
    if array.dtype.kind not in "buif":
        what = f"{images!r:.60}" if array.ndim == 0 else f"of type {array.dtype}"
        raise InputError(f"images are {what}; pass an array of uint8 or floats")
    return array


def is_ready(
    images: ArrayLike, shape: tuple[int, ...], encoding: Encoding, layout: Layout | None = None
) -> TypeGuard[Array]:
    """Would `adapt` return this very memory, if only its bytes are codes of the encoding? That is soon known."""
    return (
        type(images) is np.ndarray
        and images.dtype is _BYTE
        and images.shape[1:] == shape
        and (layout == "nhwc" or (layout is None and len(shape) == 1))
        and images.flags.c_contiguous
        and not encoding.is_float
    )


def _arrange(array: Array, shape: tuple[int, ...], layout: Layout | None) -> Array:
    """Any accepted shape → (n, *shape)."""
    if layout not in (None, "nchw", "nhwc"):
        raise InputError(f"layout is {layout!r}; it may be 'nchw', 'nhwc' or None")
    inner = array.shape[1:]
    if len(shape) == 1:
        if array.ndim > 1 and prod(inner) == shape[0]:
            return array.reshape(len(array), shape[0])
        raise _misfit(array, shape, f"(n, …) with {shape[0]} numbers for each image")
    height, width, channels = shape
    nchw, nhwc = (channels, height, width), (height, width, channels)
    if height == 1 and array.ndim == 3:  # a row of pixels is an image of height 1
        if layout != "nhwc" and inner == (channels, width):
            return array.transpose(0, 2, 1)[:, None]
        if layout != "nchw" and inner == (width, channels):
            return array[:, None]
    if layout != "nhwc" and inner == nchw:
        return array.transpose(0, 2, 3, 1)
    if layout != "nchw" and inner == nhwc:
        return array
    if channels == 1 and inner == (height, width):
        return array[..., None]
    if inner == (prod(shape),):
        return array.reshape(-1, *nhwc) if layout == "nhwc" else array.reshape(-1, *nchw).transpose(0, 2, 3, 1)
    rows = f"(n, {channels}, {width}), " if height == 1 else ""
    both = f"{rows}(n, {channels}, {height}, {width}) or (n, {height}, {width}, {channels})"
    raise _misfit(array, shape, f"the layout {layout} of {both}" if layout else both)


def _misfit(array: Array, shape: tuple[int, ...], wanted: str) -> InputError:
    text = f"images have shape {array.shape}; the model takes {wanted}"
    if array.size == prod(shape):
        text += ". This is one image without a batch axis: pass images[None]"
    return InputError(text)


def _codes(array: Array, encoding: Encoding) -> Array:
    kind = array.dtype.kind
    if encoding.is_float:
        if kind != "f":
            raise InputError(f"images are {array.dtype}; the model takes real numbers: pass float32")
        _refuse(array, ~np.isfinite(array), "is not a finite number")
        return np.ascontiguousarray(array, np.float32)
    if kind == "f":
        _refuse(array, np.isnan(array), "is not a number")
    if encoding.kind == "b" and encoding.bits == 1 and kind in "if":
        _refuse(array, (array != 1) & (array != -1), "is neither −1 nor +1")
        return np.ascontiguousarray(array > 0, np.uint8)
    highest = (1 << encoding.bits) - 1
    if kind == "f":
        return _from_reals(array if array.dtype.itemsize > 2 else array.astype(np.float32), highest)
    if kind == "b" and highest > 1:
        raise InputError(f"images are bool; the model takes {encoding} codes 0 … {highest} or intensities in [0, 1]")
    if array.dtype == np.uint8:
        if highest < 255 and array.max(initial=0) > highest:  # one fast pass in the common case that all is well
            _refuse(array, array > highest, f"is not a code 0 … {highest} of {encoding}")
    else:
        _refuse(array, (array < 0) | (array > highest), f"is not a code 0 … {highest} of {encoding}")
    return np.ascontiguousarray(array, np.uint8)


def _from_reals(array: Array, highest: int) -> Array:
    low, high = (float(end) for end in (array.min(initial=np.inf), array.max(initial=-np.inf)))
    means = meaning(low, high, bool(np.all(array == np.rint(array))), highest) if array.size else "bytes"
    if means == "bytes":
        return np.ascontiguousarray(array, np.uint8)
    if means == "intensities":
        return np.ascontiguousarray(np.rint(array * array.dtype.type(highest)), np.uint8)
    if means == "either":
        raise InputError(f"images: {either(highest)}")
    way = "pass intensities, or bytes as uint8"
    if low < 0:
        way += ", without the mean and std of a normalisation"
    elif high <= highest:
        odd = array[array != np.rint(array)].flat[0]
        way += f", of which {odd:g} is none"
    _refuse(array, (array < 0) | (array > 1), f"is outside [0, 1]; {way}")
    raise AssertionError


def _refuse(array: Array, bad: NDArray[np.bool_], why: str) -> None:
    """Raise for the first bad value; its index counts (image, row, column, channel) or (image, feature)."""
    if bad.any():
        index = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        raise InputError(f"images: the value {array[index]} at {index} {why}")
