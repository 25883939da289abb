"""Reading the pickles of CIFAR-10's Python version without executing them."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from binarynet.errors import DataError


class BatchUnpickler(pickle._Unpickler):
    """Reads the pickle of a CIFAR-10 batch without calling, or even importing, anything that it names.

    A pickle is a program: it names functions and has them called. These files need five names, for numpy
    arrays of bytes; each is answered with a stand-in below, and any other name is a `DataError`.

    This is Python's own implementation of the format. The one in C, for a damaged entry number, sets aside
    many gigabytes of memory.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="bytes")  # the official files were written by Python 2

    def find_class(self, module: str, name: str) -> Any:
        try:  # numpy 2 moved numpy.core to numpy._core
            return STAND_INS[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise DataError(
                f"the pickle asks for {module}.{name}, which no CIFAR-10 batch does: it is damaged, "
                f"or not to be trusted. Fetch it again."
            ) from None


class StandIn:
    """A function that a pickle may call and do nothing else with: pickles can set attributes, too."""

    __slots__ = ("function",)
    function: Callable[..., object]

    def __init__(self, function: Callable[..., object]) -> None:
        object.__setattr__(self, "function", function)

    def __call__(self, *arguments: object) -> object:
        return self.function(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"the pickle sets {name}")


class PickledArray:
    """An array of bytes on its way out of a pickle: made empty, then given its state."""

    __slots__ = ("array",)
    array: np.ndarray

    def __setstate__(self, state: tuple[int, tuple[int, ...], object, bool, bytes]) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, PickledByteType):
            raise DataError("the pickle holds an array of unknown type")
        self.array = np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


class PickledByteType:
    """The type "unsigned byte" on its way out of a pickle; its state (byte order, alignment) adds nothing."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


def _reconstruct(kind: object, shape: object, typecode: object) -> PickledArray:
    return PickledArray()


def _frombuffer(data: bytes, dtype: object, shape: tuple[int, ...], order: str) -> PickledArray:
    filled = PickledArray()
    filled.__setstate__((1, shape, dtype, order == "F", data))
    return filled


def _dtype(text: str | bytes, *flags: object) -> PickledByteType:
    if text not in ("u1", b"u1"):
        raise DataError(f"the pickle holds values of type {text!r}, expected bytes (u1)")
    return PickledByteType()


def _encode(text: str, encoding: str | bytes) -> bytes:
    return text.encode("latin1")  # how Python 3 writes bytes in protocol 2


STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): StandIn(_reconstruct),
    ("numpy.core.numeric", "_frombuffer"): StandIn(_frombuffer),
    ("numpy", "ndarray"): "ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): StandIn(_dtype),
    ("_codecs", "encode"): StandIn(_encode),
}
