"""Sums of bits that stand for 1, 2, 4 …, as binary numbers, and whether a sum reaches a bound.

**Columns** map an exponent e to wires that are worth 2^e each. Three wires of one column are a full adder, which leaves
one there and one in the next, so n bits cost about n full adders. A bound T costs no subtraction: with 2^m above any
sum, Σ ≥ T says that Σ + (2^m − T) carries out of bit m, and the constant's bits make gates cheaper.
"""

from __future__ import annotations

from collections.abc import Iterable

from binarynet.export.bitslice.circuit import ONE, ZERO, Circuit, Wire

Columns = dict[int, list[Wire]]
Bits = list[Wire]  # of a binary number, the lowest first


def largest(columns: Columns) -> int:
    """What the sum is where every wire is 1."""
    return sum(len(wires) << exponent for exponent, wires in columns.items())


def columns_of(bits: Iterable[tuple[Wire, int]]) -> Columns:
    """(wire, exponent) … → columns."""
    made: Columns = {}
    for wire, exponent in bits:
        made.setdefault(exponent, []).append(wire)
    return made


def joined(*parts: Columns) -> Columns:
    return columns_of((wire, exponent) for part in parts for exponent, wires in part.items() for wire in wires)


def number(bits: Bits) -> Columns:
    """A binary number as columns."""
    return {exponent: [wire] for exponent, wire in enumerate(bits) if wire != ZERO}


def reduced(circuit: Circuit, columns: Columns) -> Columns:
    """The same sum with at most two wires in a column. One wire after the other is added, so few live at a time."""
    left: Columns = {}

    def push(exponent: int, wire: Wire) -> None:
        while wire != ZERO:
            here = left.setdefault(exponent, [])
            here.append(wire)
            if len(here) < 3:
                return
            here[:], wire = [circuit.xor3(*here)], circuit.majority(*here)
            exponent += 1

    for exponent in sorted(columns):
        for wire in columns[exponent]:
            push(exponent, wire)
    return {exponent: [one for one in wires if one != ZERO] for exponent, wires in sorted(left.items())}


def total(circuit: Circuit, columns: Columns) -> Bits:
    """The sum as a binary number of as many bits as its largest value has."""
    left, carries, bits = reduced(circuit, columns), [ZERO], []
    for exponent in range(largest(columns).bit_length()):
        here = [*left.get(exponent, []), carries[-1], ZERO, ZERO][:3]
        bits.append(circuit.xor3(*here))
        carries.append(circuit.majority(*here))
    return bits


def at_least(circuit: Circuit, columns: Columns, bound: int) -> Wire:
    """Whether the sum is ``bound`` or more."""
    if bound <= 0:
        return ONE
    most = largest(columns)
    if bound > most:
        return ZERO
    left, width = reduced(circuit, columns), most.bit_length()
    constant = (1 << width) - bound
    carried: list[Wire] = []
    for exponent in range(width):
        here = [wire for wire in (*left.get(exponent, []), *carried) if wire != ZERO]
        carried = []
        if constant >> exponent & 1 and len(here) > 2:
            carried.append(circuit.either(here[0], here[1]))
            here = [circuit.xor(here[0], here[1]) ^ 1, *here[2:]]
        elif constant >> exponent & 1:
            here.append(ONE)
        while len(here) > 3:
            carried.append(circuit.majority(*here[:3]))
            here = [circuit.xor3(*here[:3]), *here[3:]]
        carried.append(circuit.majority(*here) if len(here) == 3 else circuit.both(*here) if len(here) == 2 else ZERO)
    found = ZERO
    for wire in carried:  # of which one alone can be 1, as the sum is below 2 · 2^width
        found = circuit.either(found, wire)
    return found
