"""A circuit of gates of two and three inputs: constants folded, equal gates shared, inversions where they are free.

A **wire** is an integer, twice the number of its gate, plus 1 if it is inverted; 0 and 1 are the constants. A full
adder is two gates, `xor3` and `majority`. Both are their own duals: with inverted inputs they are the same gates of the
plain inputs, inverted behind. So a weight of −1, which inverts an input, costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Wire = int
ZERO, ONE = 0, 1


def inverted(a: Wire) -> Wire:
    return a ^ 1


class Circuit:
    """Gates in the order in which they are made, which is one in which they can be computed."""

    def __init__(self) -> None:
        self.gates: list[tuple[str, tuple[Wire | str, ...]]] = [("zero", ())]
        self._known: dict[tuple[str, tuple[Wire | str, ...]], Wire] = {}

    def _gate(self, kind: str, *inputs: Wire | str) -> Wire:
        key = kind, inputs
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = 2 * len(self.gates)
            self.gates.append(key)
        return found

    def input(self, text: str) -> Wire:
        """What an expression of C reads."""
        return self._gate("in", text)

    def xor(self, a: Wire, b: Wire) -> Wire:
        flip, a, b = (a ^ b) & 1, a & ~1, b & ~1
        if a == b:
            return flip
        a, b = sorted((a, b))
        return (self._gate("xor", a, b) if a else b) ^ flip

    def both(self, a: Wire, b: Wire) -> Wire:
        """a and b."""
        a, b = sorted((a, b))
        if a <= ONE:
            return b if a == ONE else ZERO
        if a >> 1 == b >> 1:
            return a if a == b else ZERO
        if a & b & 1:
            return inverted(self._gate("or", a ^ 1, b ^ 1))
        if a & 1:
            return self._gate("andn", a ^ 1, b)
        return self._gate("andn", b ^ 1, a) if b & 1 else self._gate("and", a, b)

    def either(self, a: Wire, b: Wire) -> Wire:
        """a or b."""
        return inverted(self.both(a ^ 1, b ^ 1))

    def xor3(self, a: Wire, b: Wire, c: Wire) -> Wire:
        flip = (a ^ b ^ c) & 1
        a, b, c = sorted((a & ~1, b & ~1, c & ~1))
        if a == b:
            return c ^ flip
        if b == c:
            return a ^ flip
        return (self._gate("xor3", a, b, c) if a else self.xor(b, c)) ^ flip

    def majority(self, a: Wire, b: Wire, c: Wire) -> Wire:
        """At least two of three."""
        for one, other, third in ((a, b, c), (a, c, b), (b, c, a)):
            if one >> 1 == other >> 1:
                return one if one == other else third
        a, b, c = sorted((a, b, c))
        if a <= ONE:
            return self.either(b, c) if a == ONE else self.both(b, c)
        flip = (a & 1) + (b & 1) + (c & 1) >= 2
        wires = [wire ^ flip for wire in (a, b, c)]
        odd = [wire ^ 1 for wire in wires if wire & 1]
        plain = [wire for wire in wires if not wire & 1]
        return (self._gate("majn", *plain, *odd) if odd else self._gate("maj", *plain)) ^ flip

    def needed(self, wires: Iterable[Wire]) -> list[int]:
        """The gates that these wires are made of, in order."""
        marked, waiting = set(), [wire >> 1 for wire in wires]
        while waiting:
            gate = waiting.pop()
            if gate not in marked:
                marked.add(gate)
                waiting += [wire >> 1 for wire in self.gates[gate][1] if isinstance(wire, int)]
        return sorted(marked - {0})

    def cost(self, wires: Iterable[Wire]) -> int:
        """How many instructions these wires are, where any gate of three inputs is one."""
        return sum(self.gates[gate][0] != "in" for gate in self.needed(wires))

    def statements(self, wires: Sequence[Wire]) -> tuple[list[str], list[str]]:
        """Lines of C that compute the wires, and the expression of each."""
        names: dict[int, str] = {}
        lines: list[str] = []
        for gate in self.needed(wires):
            kind, inputs = self.gates[gate]
            if kind == "in":
                names[gate] = str(inputs[0])
                continue
            at = [names[wire >> 1] for wire in inputs if isinstance(wire, int)]
            names[gate] = f"t{len(lines)}"
            lines.append(f"const reg {names[gate]} = {_FORMS[kind].format(*at)};")
        return lines, [_expression(names, wire) for wire in wires]


_FORMS = {
    "xor": "{0} ^ {1}",
    "and": "{0} & {1}",
    "andn": "~{0} & {1}",
    "or": "{0} | {1}",
    "xor3": "XOR3({0}, {1}, {2})",
    "maj": "MAJ({0}, {1}, {2})",
    "majn": "MAJN({0}, {1}, {2})",
}


def _expression(names: dict[int, str], wire: Wire) -> str:
    if wire <= ONE:
        return "ONES" if wire else "ZEROS"
    return f"~{names[wire >> 1]}" if wire & 1 else names[wire >> 1]
