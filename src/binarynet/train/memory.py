"""Memory of the process: freed memory stays with it while it trains; how much it has, and had at most."""

from __future__ import annotations

import ctypes
from pathlib import Path

from binarynet.nn.fused import arena

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # of mallopt(3)


def keep_freed() -> bool:
    """Tell glibc to keep what tensors give back for the next tensors; False on another C library.

    By default it returns blocks above 32 MB to the system at once, and every step of a wide net faults its gradients
    in again, page by page: longer than computing them takes. What lives no longer than a step lies in a place of its
    own (`nn/fused/arena.py`), so that it is not scattered between what stays.
    """
    arena.keep()
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))


def resident() -> int:
    """Bytes of memory the process has now; 0 where the system does not say (proc(5), Linux)."""
    return _status("VmRSS")


def peak_resident() -> int:
    """The most it has had."""
    return _status("VmHWM")


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
