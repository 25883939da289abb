"""The C++ reader in a process of its own: files in, verdicts out. native/tests/reader_pipe.cpp is the other end."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np

from binarynet.graph import Encoding

IMAGES = 2


class Died(Exception):
    """The process ended; the text is what it said."""


class Pipe:
    """``verdict(file)`` is the kind of error, or "ok" and the answers to `images` as bytes, where those are cheap."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def verdict(self, file: bytes) -> tuple[str, bytes | None]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(struct.pack("<I", len(file)) + file)
            self.process.stdin.flush()
            line = self.process.stdout.readline().decode().split()
        except BrokenPipeError:
            line = []
        if not line:
            assert self.process.stderr is not None
            raise Died(self.process.stderr.read().decode(errors="replace")[-4000:])
        return line[0], bytes.fromhex(line[1]) if len(line) > 1 else None

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        for end in (self.process.stdout, self.process.stderr):
            assert end is not None
            end.close()


def images(shape: tuple[int, ...], encoding: str) -> np.ndarray:
    """The codes, or reals, that the other end runs."""
    code = Encoding.parse(encoding)
    drawn = (37 * np.arange(IMAGES * int(np.prod(shape)), dtype=np.int64) + 11) % 256
    if code.is_float:
        return (((drawn % 17) - 8) / 4).astype(np.float32).reshape(IMAGES, *shape)
    return (drawn & ((1 << code.bits) - 1)).astype(np.uint8).reshape(IMAGES, *shape)
