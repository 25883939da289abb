"""Neurons: products of constant weights with codes, two of them counted together where that is cheaper.

A neuron adds up Σ w · c over codes c of K bits. With U = Σ of the bits of c where w > 0 and of the inverted bits where
w < 0, worth |w| · 2^k each, Σ w c = U − N, where N = Σ (2^K − 1) |w| over w < 0 is a constant. U is a sum of bits.

Of two neurons that read the same inputs, about half of the weights agree. E = the sum over those, D over the others,
is all that both need: the one is E + D, and the other E + (most of D) − D. So n inputs are counted once for two
neurons. Which way is cheaper is found by building both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from binarynet.export.bitslice.circuit import Circuit, Wire, inverted
from binarynet.export.bitslice.sums import Columns, columns_of, joined, largest, number, total

_WINDOW = 24  # how many neurons further on a partner is looked for


@dataclass(frozen=True)
class Neuron:
    """``weights``: place of an input → its weight, not 0. ``places`` names the K wires of that input."""

    index: int
    weights: dict[int, int]


@dataclass(frozen=True)
class Sum:
    """U + ``constant`` is the sum of the columns."""

    columns: Columns
    constant: int = 0


Finish = Callable[[Circuit, Neuron, Sum], list[Wire]]
Read = Callable[[Circuit, int], Sequence[Wire]]


@dataclass
class Group:
    """Neurons of one circuit. Index of the neuron → its outputs, and what its `Sum` leaves to be added."""

    circuit: Circuit
    wires: dict[int, list[Wire]] = field(default_factory=dict)
    constants: dict[int, int] = field(default_factory=dict)

    @cached_property
    def cost(self) -> int:
        """How many gates."""
        return self.circuit.cost(wire for wires in self.wires.values() for wire in wires)

    def add(self, one: Neuron, made: Sum, finish: Finish) -> None:
        self.wires[one.index] = finish(self.circuit, one, made)
        self.constants[one.index] = made.constant


def literals(circuit: Circuit, read: Read, weights: dict[int, int], sign: int = 0) -> list[tuple[Wire, int]]:
    """The wires that a neuron adds up, inverted where its weight is negative, and what each is worth; ``sign`` = 1
    inverts them all."""
    made = []
    for place, weight in weights.items():
        flip = (weight < 0) ^ sign
        for k, wire in enumerate(read(circuit, place)):
            made += [(wire ^ flip, k + e) for e in range(abs(weight).bit_length()) if abs(weight) >> e & 1]
    return made


def alone(circuit: Circuit, read: Read, one: Neuron) -> Sum:
    return Sum(columns_of(literals(circuit, read, one.weights)))


def together(circuit: Circuit, read: Read, one: Neuron, other: Neuron) -> tuple[Sum, Sum]:
    """Both sums from E, D and what one alone reads."""
    same, turned = {}, {}
    for place, weight in one.weights.items():
        if other.weights.get(place) == weight:
            same[place] = weight
        elif other.weights.get(place) == -weight:
            turned[place] = weight
    shared = same.keys() | turned.keys()
    rest = [{place: w for place, w in each.weights.items() if place not in shared} for each in (one, other)]
    alike = number(total(circuit, columns_of(literals(circuit, read, same))))
    differ_columns = columns_of(literals(circuit, read, turned))
    most, differ = largest(differ_columns), total(circuit, differ_columns)
    own = [columns_of(literals(circuit, read, each)) for each in rest]
    flipped: Columns = {exponent: [inverted(wire)] for exponent, wire in enumerate(differ)}
    excess = (1 << len(differ)) - 1 - most  # of the inverted number over most − D
    return Sum(joined(alike, number(differ), own[0])), Sum(joined(alike, flipped, own[1]), excess)


def pairs(neurons: Sequence[Neuron]) -> list[tuple[Neuron, ...]]:
    """Neurons that share the most inputs, two by two; those that share fewer than half stay alone."""
    left = list(neurons)
    made: list[tuple[Neuron, ...]] = []
    while left:
        one = left.pop(0)
        near = left[:_WINDOW]
        overlaps = [
            sum(abs(other.weights.get(place, 0)) == abs(weight) for place, weight in one.weights.items())
            for other in near
        ]
        best = max(range(len(near)), key=lambda k: overlaps[k], default=0)
        if near and 2 * overlaps[best] > max(len(one.weights), len(near[best].weights)):
            made.append((one, left.pop(best)))
        else:
            made.append((one,))
    return made


def built(neurons: tuple[Neuron, ...], read: Read, finish: Finish) -> Group:
    """One neuron, or two in the cheaper of both ways."""

    apart = Group(Circuit())
    for one in neurons:
        apart.add(one, alone(apart.circuit, read, one), finish)
    if len(neurons) == 1:
        return apart
    shared = Group(Circuit())
    for one, made in zip(neurons, together(shared.circuit, read, *neurons), strict=True):
        shared.add(one, made, finish)
    return min(shared, apart, key=lambda group: group.cost)
