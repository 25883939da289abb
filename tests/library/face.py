"""The C face through ctypes, as native/library/binarynet.h declares it."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_int32, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np


class Options(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("isa", c_char_p),
        ("kernel", c_char_p),
        ("threads", c_int),
        ("sha256", c_char_p),
        ("most_ops", c_uint64),
        ("most_values", c_uint64),
        ("most_macs", c_uint64),
        ("most_memory", c_uint64),
        ("output", c_char_p),
    )

    def __init__(self, **given: Any) -> None:
        super().__init__(size=ctypes.sizeof(Options), **given)


class Value(ctypes.Structure):
    _fields_ = (
        ("type", c_int),
        ("encoding", c_char_p),
        ("rank", c_size_t),
        ("shape", c_size_t * 3),
        ("numbers", c_size_t),
        ("bytes", c_size_t),
        ("highest", c_int32),
    )


TYPES = (np.uint8, np.int32, np.float32)


class Refused(Exception):
    """A status that is not BNN_OK: its name and the line of bnn_error."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text


class Library:
    """libbinarynet.so."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        for name, result, arguments in (
            ("load", c_int, [c_char_p, POINTER(Options), POINTER(c_void_p)]),
            ("load_bytes", c_int, [c_void_p, c_size_t, POINTER(Options), POINTER(c_void_p)]),
            ("free", None, [c_void_p]),
            ("inputs", POINTER(Value), [c_void_p]),
            ("outputs", POINTER(Value), [c_void_p]),
            ("answers", c_size_t, [c_void_p]),
            ("answer_name", c_char_p, [c_void_p, c_size_t]),
            ("answer", POINTER(Value), [c_void_p, c_size_t]),
            ("run", c_int, [c_void_p, c_void_p, c_size_t, c_void_p]),
            ("classify", c_int, [c_void_p, c_void_p, c_size_t, c_void_p]),
            ("class_name", c_char_p, [c_void_p, c_size_t]),
            ("isa", c_char_p, [c_void_p]),
            ("threads", c_int, [c_void_p]),
            ("isas", c_char_p, [c_size_t]),
            ("error", c_char_p, []),
            ("status_name", c_char_p, [c_int]),
            ("version", c_char_p, []),
        ):
            function = getattr(self.c, f"bnn_{name}")
            function.restype, function.argtypes = result, arguments

    def check(self, status: int) -> None:
        if status:
            raise Refused(self.c.bnn_status_name(status).decode(), self.c.bnn_error().decode())

    @property
    def isas(self) -> list[str]:
        found = [self.c.bnn_isas(index) for index in range(100)]
        return [name.decode() for name in found[: found.index(None)]]

    def load(self, path: Path | str, options: Options | None = None) -> Model:
        made = c_void_p()
        self.check(self.c.bnn_load(str(path).encode(), options, made))
        return Model(self, made)

    def load_bytes(self, blob: bytes, **options: Any) -> Model:
        made = c_void_p()
        self.check(self.c.bnn_load_bytes(blob, len(blob), Options(**options), made))
        return Model(self, made)


class Model:
    def __init__(self, library: Library, handle: c_void_p) -> None:
        self.library, self.handle = library, handle
        self.input: Value = library.c.bnn_inputs(handle).contents
        self.output: Value = library.c.bnn_outputs(handle).contents

    def __del__(self) -> None:
        self.library.c.bnn_free(self.handle)

    @property
    def isa(self) -> str:
        name: bytes = self.library.c.bnn_isa(self.handle)
        return name.decode()

    def shape(self, value: Value) -> tuple[int, ...]:
        return tuple(value.shape[: value.rank])

    @property
    def answers(self) -> dict[str, tuple[int, ...]]:
        """Name → shape."""
        c = self.library.c
        assert not c.bnn_answer(self.handle, c.bnn_answers(self.handle))
        return {
            c.bnn_answer_name(self.handle, k).decode(): self.shape(c.bnn_answer(self.handle, k).contents)
            for k in range(c.bnn_answers(self.handle))
        }

    def run(self, images: np.ndarray) -> np.ndarray:
        answers = np.empty((len(images), *self.shape(self.output)), TYPES[self.output.type])
        images = np.ascontiguousarray(images)
        self.library.check(self.library.c.bnn_run(self.handle, images.ctypes.data, len(images), answers.ctypes.data))
        return answers

    def classify(self, images: np.ndarray) -> np.ndarray:
        classes = np.empty(len(images), np.uintp)
        images = np.ascontiguousarray(images)
        self.library.check(
            self.library.c.bnn_classify(self.handle, images.ctypes.data, len(images), classes.ctypes.data)
        )
        return classes
