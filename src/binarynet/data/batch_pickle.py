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
    many gigabytes of memory. Only the instructions that batches are made of are taken, and so many of them that a
    small file cannot keep a machine busy.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="bytes")  # the official files were written by Python 2
        self.dispatch = Instructions()  # type: ignore[misc]  # of this one alone: it counts

    def find_class(self, module: str, name: str) -> Any:
        try:  # numpy 2 moved numpy.core to numpy._core
            return STAND_INS[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise DataError(
                f"the pickle asks for {module}.{name}, which no CIFAR-10 batch does: it is damaged, "
                f"or not to be trusted. Fetch it again."
            ) from None


class Instructions(dict[int, Callable[[Any], None]]):
    """What a pickle may do, by its code; every look-up is one step of a reading."""

    def __init__(self) -> None:
        every = pickle._Unpickler.dispatch
        codes = [getattr(pickle, name)[0] for name in TAKEN]
        super().__init__({code: every[code] for code in codes})
        self[pickle.EMPTY_DICT[0]] = lambda reader: reader.append(Fields())
        self[pickle.DICT[0]] = _fields
        self.left = MOST_STEPS

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise DataError(f"the pickle takes more than {MOST_STEPS:,} steps, which no CIFAR-10 batch does")
        if code not in self:
            raise DataError(f"the pickle holds the instruction {code:#x}, which no CIFAR-10 batch does")
        return super().__getitem__(code)


# As `pickle` calls them, a kind a line: marks, numbers, texts, bytes, tuples, lists and dictionaries, entries, calls.
TAKEN = (
    *("PROTO", "FRAME", "MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"),
    *("STRING", "SHORT_BINSTRING", "BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
)
MOST_STEPS = 1 << 19  # an official batch of 10,000 images takes some 30,000


class Fields(dict[str | bytes, object]):
    """A dictionary out of a pickle. Its keys are names: the hash of nested tuples can take for ever."""

    __slots__ = ()

    def __setitem__(self, key: object, value: object) -> None:
        if not isinstance(key, str | bytes):
            raise DataError(f"the pickle has a {type(key).__name__} for the name of a field")
        super().__setitem__(key, value)


def _fields(reader: Any) -> None:
    fields, items = Fields(), reader.pop_mark()
    for key, value in zip(items[::2], items[1::2], strict=True):
        fields[key] = value
    reader.append(fields)


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
    if not isinstance(text, str | bytes) or text not in ("u1", b"u1"):
        named = repr(text) if isinstance(text, str | bytes) else type(text).__name__
        raise DataError(f"the pickle holds values of type {named}, expected bytes (u1)")
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
