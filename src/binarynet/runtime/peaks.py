"""What this machine can do at most, measured: arithmetic on registers alone, and reading. Speed is judged by it."""

from __future__ import annotations

from binarynet._native import arithmetic_rate, arithmetic_units, naive_conv3x3, read_rate

__all__ = ["arithmetic_rate", "arithmetic_units", "naive_conv3x3", "read_rate"]
