"""Pieces of Verilog: sums, numbers of a width, patterns of flags."""

from __future__ import annotations


def added(parts: list[str]) -> str:
    """A balanced sum."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({added(parts[:middle])} + {added(parts[middle:])})"


def sized(number: tuple[str, int]) -> tuple[str, int]:
    return number[0], number[1].bit_length()


def widened(name: str, bits: int, wanted: int) -> str:
    return f"{{{wanted - bits}'d0, {name}}}" if wanted > bits else name


def literal(value: int, bits: int) -> str:
    return f"{bits}'d{value % (1 << bits)}"


def signed_literal(value: int, bits: int) -> str:
    return f"-{bits}'sd{-value}" if value < 0 else f"{bits}'sd{value}"


def pattern(key: tuple[bool, ...]) -> str:
    """Of a case: the first flag is the highest digit, as in a concatenation."""
    return "".join("1" if flag else "0" for flag in key)
