"""Memory of the large tensors that live no longer than a step, apart from all that stays.

The C library puts gradients and the optimizer's state where an activation has just been, and then the next step's
activation fits there no more: after a few steps of `bnn-cifar10` at batch 200 a third of the memory lay idle between
them. Here everything is free again at the end of a step, so the lowest place that fits is nearly always a good one.

It is in use once `keep` was called: what is freed stays with the process, for the next step. Until then, and where the
system does not lend addresses (`MAP_NORESERVE`, Linux), these are torch's own tensors.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGE = 1 << 20  # bytes; smaller tensors are the C library's
_PAGE = 4096


class Arena:
    """`size` bytes of addresses; only what is written takes memory."""

    def __init__(self, size: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
        self.memory = mmap.mmap(-1, size, flags=flags)
        self.gaps = [(0, size)]  # (begin, end), in order, none beside another
        self.freed: deque[tuple[int, int]] = deque()  # what no tensor holds any more, not yet among the gaps
        self.lock = threading.Lock()

    def storage(self, size: int) -> Any | None:
        """So many bytes, until nobody holds them; None: there is no room."""
        size = -(-size // _PAGE) * _PAGE
        with self.lock:
            while self.freed:
                self._add(*self.freed.popleft())
            found = next((at for at, (begin, end) in enumerate(self.gaps) if end - begin >= size), None)
            if found is None:
                return None
            begin, end = self.gaps[found]
            self.gaps[found : found + 1] = [(begin + size, end)] if end - begin > size else []
        held = np.frombuffer(self.memory, np.uint8, size, begin)
        # This may be called amid anything, by the collector of cycles: so it only takes a note.
        weakref.finalize(held, self.freed.append, (begin, begin + size)).atexit = False
        return torch.from_numpy(held).untyped_storage()  # it holds `held` as long as a tensor lives

    def _add(self, begin: int, end: int) -> None:
        at = next((at for at, gap in enumerate(self.gaps) if gap[0] >= end), len(self.gaps))
        self.gaps.insert(at, (begin, end))
        for first in (at, at - 1):
            if 0 <= first < len(self.gaps) - 1 and self.gaps[first][1] == self.gaps[first + 1][0]:
                self.gaps[first : first + 2] = [(self.gaps[first][0], self.gaps[first + 1][1])]


_arena: Arena | None = None


def keep() -> None:
    """From here on large tensors of a step come from an arena as large as this machine's memory."""
    global _arena
    if _arena is None:
        try:
            _arena = Arena(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (AttributeError, OSError, ValueError, OverflowError):
            return  # no such system, or one that does not lend so many addresses


def like(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """`torch.empty_like` of a tensor without gaps."""
    found = _room(x.shape, x.stride(), x.numel(), dtype or x.dtype)
    return torch.empty_like(x, dtype=dtype) if found is None else found


def images(n: int, c: int, h: int, w: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """An empty (n, c, h, w) with the channels last."""
    shape = torch.Size((n, c, h, w))
    found = _room(shape, (h * w * c, 1, w * c, c), shape.numel(), dtype)
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last) if found is None else found


def _room(shape: torch.Size, strides: tuple[int, ...], count: int, dtype: torch.dtype) -> Tensor | None:
    size = count * dtype.itemsize
    if _arena is None or size < LARGE:
        return None
    storage = _arena.storage(size)
    return None if storage is None else torch.empty(0, dtype=dtype).set_(storage, 0, shape, strides)
