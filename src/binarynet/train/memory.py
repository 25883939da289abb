"""Freed memory stays with the process while it trains."""

from __future__ import annotations

import ctypes

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # of mallopt(3)


def keep_freed() -> bool:
    """Tell glibc to keep what tensors give back for the next tensors; False on another C library.

    By default it returns blocks above 32 MB to the system at once, and every step of a wide net faults its gradients
    in again, page by page: longer than computing them takes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
