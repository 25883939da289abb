"""Sign classes: what several outputs with constant weights have in common.

Over G outputs each input has a pattern of G weights. Inputs of one pattern are counted once, for all of them; so are
those of the opposite pattern, after inverting the input: −w · c = w · (high − c) − w · high. With ±1 that leaves
2^(G−1) classes, whose counts C_p give every output::

    D_g = Σ_p p_g · C_p + k_g = plus_g − minus_g + k_g

and without zeros plus_g = all − minus_g. Sums of classes that several outputs need are made once (`shared`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Group:
    """Some outputs: ``classes`` has for each pattern its inputs, as (index, inverted); ``k`` one for each output."""

    outputs: tuple[int, ...]
    patterns: tuple[tuple[int, ...], ...]
    classes: tuple[tuple[tuple[int, bool], ...], ...]
    k: tuple[int, ...]

    def plus(self, output: int) -> frozenset[int]:
        return frozenset(c for c, pattern in enumerate(self.patterns) if pattern[output] > 0)

    def minus(self, output: int) -> frozenset[int]:
        return frozenset(c for c, pattern in enumerate(self.patterns) if pattern[output] < 0)

    @property
    def all(self) -> frozenset[int]:
        return frozenset(range(len(self.patterns)))


def group(rows: NDArray[Any], outputs: tuple[int, ...], high: int) -> Group:
    """The classes of ``rows`` (outputs, inputs) of −1, 0, +1; codes of the inputs are 0 … high."""
    found: dict[tuple[int, ...], list[tuple[int, bool]]] = {}
    k = np.zeros(len(rows), np.int64)
    for index, column in enumerate(rows.T):
        signs = np.flatnonzero(column)
        if not len(signs):
            continue
        inverted = bool(column[signs[0]] < 0)
        pattern = -column if inverted else column
        if inverted:
            k -= pattern.astype(np.int64) * high
        found.setdefault(tuple(pattern.tolist()), []).append((index, inverted))
    order = sorted(found)
    return Group(outputs, tuple(order), tuple(tuple(found[pattern]) for pattern in order), tuple(k.tolist()))


def groups(rows: NDArray[Any], outputs: list[int], size: int, high: int) -> list[Group]:
    """``outputs`` of all rows, ``size`` at a time."""
    parts = [tuple(outputs[start : start + size]) for start in range(0, len(outputs), size)]
    return [group(rows[list(part)], part, high) for part in parts]


Step = tuple[int, int, int]  # made = left + right, each a number: those below the count of terms are the terms


def shared(terms: int, wanted: list[frozenset[int]]) -> tuple[list[Step], list[int | None]]:
    """Additions that make all wanted sums of terms, pairs that most of them need first; where each sum is, None for 0.

    Greedy, as in the design of constant multipliers (Hartley, "Subexpression sharing in filters using canonic signed
    digit multipliers", 1996).
    """
    sums = [set(one) for one in wanted]
    steps: list[Step] = []
    made = terms
    while any(len(one) > 1 for one in sums):
        pairs = Counter(pair for one in sums for pair in combinations(sorted(one), 2))
        # The earliest of the most frequent: numbers that are made late are wide and deep.
        (left, right), _ = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        steps.append((made, left, right))
        for one in sums:
            if left in one and right in one:
                one -= {left, right}
                one.add(made)
        made += 1
    return steps, [next(iter(one)) if one else None for one in sums]


def wanted(group: Group) -> tuple[list[frozenset[int]], bool]:
    """The sums that the outputs of a group are made of, and whether all of them share ``all`` (the first sum).

    With it output g is all − 2 · minus_g; without, plus_g − minus_g, in this order.
    """
    count = len(group.k)
    full = all(value for pattern in group.patterns for value in pattern)
    if full:
        return [group.all, *(group.minus(g) for g in range(count))], True
    return [one for g in range(count) for one in (group.plus(g), group.minus(g))], False


def depth(group: Group) -> int:
    """Additions, one behind the other, from the counts of a group to its sums."""
    terms = [0] * len(group.classes)
    for _, left, right in shared(len(terms), wanted(group)[0])[0]:
        terms.append(max(terms[left], terms[right]) + 1)
    return max(terms, default=0)


def cost(rows: NDArray[Any], size: int, digits: int, lut: int) -> float:
    """About how many look-up tables the outputs take, in groups of ``size``."""
    total = 0.0
    for one in groups(rows, list(range(len(rows))), size, (1 << digits) - 1):
        tops = [len(inputs) * ((1 << digits) - 1) for inputs in one.classes]
        for inputs, top in zip(one.classes, tops, strict=True):
            n, bits = len(inputs), top.bit_length()
            each = 1.15 if lut >= 6 else 2.0  # for each digit that a counter of bits does away with
            total += each * (n - bits) if digits == 1 else (n - 1) * (digits + 1)
        sums, _ = wanted(one)
        for _, left, right in shared(len(tops), sums)[0]:
            tops.append(tops[left] + tops[right])
            total += tops[-1].bit_length()
        total += sum(max(tops, default=1).bit_length() * 1.4 for _ in one.k)
    return total


def best(rows: NDArray[Any], digits: int, lut: int, most: int = 4) -> int:
    """How many outputs a group takes so that the layer is cheapest.

    Four at most: the sums of more have so many terms that yosys makes trees of full adders of them, which the estimate
    does not see (conv3 of mnist-small, 16 outputs: 2,957 look-up tables in groups of six).
    """
    sample = rows[:48]  # groups are alike; a wide layer needs no more to choose by
    return min(range(1, min(most, len(rows)) + 1), key=lambda size: (cost(sample, size, digits, lut), size))
