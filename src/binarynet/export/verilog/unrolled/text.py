"""The module of an unrolled layer: its window, then counts, sums and comparisons, each behind a register."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binarynet.export.verilog import tables
from binarynet.export.verilog.unrolled.classes import Group, best, depth, groups, shared, wanted
from binarynet.export.verilog.unrolled.head import head
from binarynet.export.verilog.unrolled.literals import added, literal, pattern, signed_literal, sized, widened
from binarynet.export.verilog.unrolled.thresholds import Borders, borders, offsets, reached, table
from binarynet.export.verilog.unrolled.timing import Registers, clocks
from binarynet.export.verilog.unrolled.unit import Unrolled

TABLE_INPUTS = 6  # bits that an output may look at to become one look-up table


class Layer:
    """Collects the module's text. Counts, sums and comparisons stand behind a register each; in a deep layer so does
    every addition. ``size`` outputs share sign classes; None: as many as are cheapest."""

    def __init__(self, unit: Unrolled, name: str, size: int | None = None) -> None:
        self.unit, self.name = unit, name
        self.digits = unit.reads.digits
        self.high = (1 << self.digits) - 1
        self.rows = unit.weight.reshape(len(unit.weight), -1)
        self.kinds = borders(unit)
        self.levels = reached(unit, self.kinds) if unit.threshold else None
        self.each = unit.makes.digits if unit.makes else tables.sum_bits(unit)  # bits of an output
        self.registers = Registers()
        self.made = self.registers.made
        looks = (self.rows != 0).sum(axis=1)
        small = (looks * self.digits <= TABLE_INPUTS) | (looks == 1)
        small &= self.levels is not None and len(self.kinds.keys) == 1
        self.small, self.large = np.flatnonzero(small).tolist(), np.flatnonzero(~small).tolist()
        cheapest = best(self.rows[self.large], self.digits, unit.lut) if self.large and size is None else 1
        self.size = cheapest if size is None else size
        self.groups = groups(self.rows, self.large, self.size, self.high)
        self.counting, self.adding, self.apart = 1, 1, 0  # clocks: of a count, of sums of counts, of a difference
        if unit.deep and self.large:
            most = max((len(inputs) for group in self.groups for inputs in group.classes), default=1)
            self.counting = clocks(most, unit.lut) if self.digits == 1 else 1
            self.adding = max(depth(group) for group in self.groups)
            self.apart = 1
        self.stages = self.counting + self.adding + self.apart if self.large else 0

    @property
    def latency(self) -> int:
        """Clocks from a window to its outputs."""
        return self.stages + 1

    def text(self) -> str:
        outs: dict[int, str] = {output: self._small(output) for output in self.small}
        if self.large and len(self.kinds.keys) > 1:
            self._borders()
        for number, group in enumerate(self.groups):
            outs |= self._group(f"g{number}", group)
        codes = ", ".join(outs[output] for output in reversed(range(len(outs))))
        valid = ["there", *(f"valid_{stage}" for stage in range(self.stages))]
        return head(self) + "".join(self.made) + self.registers.text(valid, codes) + "endmodule\n"

    # ---- what goes on between registers ----

    def input(self, index: int, inverted: bool) -> str:
        part = f"x[{index}]" if self.digits == 1 else f"x[{self.digits * index}+:{self.digits}]"
        return f"~{part}" if inverted else part

    def _alone(self, output: int) -> str:
        """An output that looks at one code: what that is compared with."""
        assert self.levels is not None
        assert self.unit.threshold is not None
        index = int(np.flatnonzero(self.rows[output])[0])
        code, falling = self.input(index, False), not bool(self.unit.threshold.rising[output])
        told = []
        for level in map(int, self.levels[0, output]):
            # −code ≥ level is code < 1 − level
            least, turned = (level, falling) if self.rows[output, index] > 0 else (1 - level, not falling)
            inside = 0 < least <= self.high
            reached = f"({code} >= {literal(least, self.digits)})" if inside else f"1'b{int(least <= 0)}"
            told.append(f"!{reached}" if turned else reached)
        return told[0] if self.each == 1 else added([f"{{{self.each - 1}'d0, {bit}}}" for bit in told])

    def _small(self, output: int) -> str:
        looks = int(np.count_nonzero(self.rows[output])) * self.digits
        word = self._table(output) if looks <= TABLE_INPUTS else self._alone(output)
        if not self.stages:
            return word
        first = self.registers.keep(f"t{output}_kept", self.each, word)
        return self.registers.later(first, self.each, self.stages - 1)

    def _table(self, output: int) -> str:
        """An output as one look-up table for each of its digits."""
        unit = self.unit
        assert self.levels is not None
        assert unit.threshold is not None
        row = self.rows[output]
        inputs = [self.input(int(index), False) for index in np.flatnonzero(row)]
        falling = not bool(unit.threshold.rising[output])
        digits = table(unit, row, self.levels[0, output], falling)
        size = 1 << (len(inputs) * self.digits)
        found = []
        for digit, numbers in enumerate(digits):
            name = f"t{output}_{digit}"
            self.made.append(f"    localparam [{size - 1}:0] {name.upper()} = {size}'h{numbers:x};\n")
            chosen = f"{name.upper()}[{{{', '.join(reversed(inputs))}}}]" if inputs else name.upper()
            self.made.append(f"    wire {name} = {chosen};\n")
            found.append(name)
        return f"{{{', '.join(reversed(found))}}}" if len(found) > 1 else found[0]

    def _borders(self) -> None:
        kinds = self.kinds
        flags = [f"outside_y[{y}]" for y in kinds.rows] + [f"outside_x[{x}]" for x in kinds.columns]
        for stage, source in enumerate((f"{{{', '.join(flags)}}}", "border0")):
            self.registers.keep(f"border{stage}", len(flags), source)

    def _count(self, name: str, inputs: tuple[tuple[int, bool], ...]) -> int:
        """A class's sum of codes as NAME, `counting` clocks behind its inputs; its largest value."""
        top = len(inputs) * self.high
        bits = top.bit_length()
        parts = [self.input(index, inverted) for index, inverted in inputs]
        if self.digits > 1:
            wide = [f"{{{bits - self.digits}'d0, {part}}}" if bits > self.digits else part for part in parts]
            self.registers.keep(name, bits, added(wide))
            return top
        vector = ", ".join(parts)
        sizes = f".INPUTS({len(parts)}), .LUT({self.unit.lut})"
        if self.unit.deep:
            self.made.append(f"    wire [{bits - 1}:0] {name};\n")
            self.made.append(f"    binarynet_tally #({sizes}, .CLOCKS({self.counting})) {name}_count (\n")
            self.made.append(f"        .clk(clk), .advance(advance), .bits({{{vector}}}), .count({name})\n    );\n")
        else:
            self.made.append(f"    wire [{bits - 1}:0] {name}_next;\n")
            self.made.append(f"    binarynet_count #({sizes}) {name}_count (\n")
            self.made.append(f"        .bits({{{vector}}}), .count({name}_next)\n    );\n")
            self.registers.keep(name, bits)
        return top

    def _group(self, name: str, group: Group) -> dict[int, str]:
        """Outputs with common classes; what goes into the last register, for each of them."""
        self.made.append(f"\n    // outputs {', '.join(map(str, group.outputs))}: {len(group.classes)} classes\n")
        terms = [f"{name}_c{number}" for number in range(len(group.classes))]
        tops = [self._count(term, inputs) for term, inputs in zip(terms, group.classes, strict=True)]
        levels = [0] * len(terms)  # additions behind the counts
        sums, full = wanted(group)
        steps, places = shared(len(terms), sums)
        for made, left, right in steps:
            terms.append(f"{name}_s{made}")
            tops.append(tops[left] + tops[right])
            levels.append(max(levels[left], levels[right]) + 1)
            bits = tops[made].bit_length()
            deep = self.unit.deep
            a, b = (
                widened(self._term(terms[n], tops[n], since if deep else 0), tops[n].bit_length(), bits)
                for n in (left, right)
                for since in [levels[made] - 1 - levels[n]]
            )
            if deep:
                self.registers.keep(terms[made], bits, f"{a} + {b}")
            else:
                self.made.append(f"    wire [{bits - 1}:0] {terms[made]} = {a} + {b};\n")
        held: dict[int, str] = {}
        for place in sorted({place for place in places if place is not None}):
            if self.unit.deep:
                held[place] = self._term(terms[place], tops[place], self.adding - levels[place])
            else:
                held[place] = self.registers.keep(f"{name}_k{place}", tops[place].bit_length(), terms[place])
        found = {}
        for number, output in enumerate(group.outputs):
            plus, minus = (places[0], places[1 + number]) if full else places[2 * number : 2 * number + 2]
            numbers = [(held[one], tops[one]) if one is not None else None for one in (plus, minus)]
            found[output] = self._output(output, numbers[0], numbers[1], group.k[number], full)
        return found

    def _term(self, name: str, top: int, clocks: int) -> str:
        return self.registers.later(name, top.bit_length(), clocks)

    def _output(
        self, output: int, plus: tuple[str, int] | None, minus: tuple[str, int] | None, k: int, full: bool
    ) -> str:
        """D of an output (less k) out of its two sums, and what follows from it."""
        highest = plus[1] if plus else 0
        lowest = -minus[1] if minus else 0
        wide = max(highest, -lowest).bit_length() + 2  # all − 2 · minus is no less than −minus
        wanted = None if self.levels is None else np.clip(self.levels[:, output] - k, lowest, highest + 1)
        same = wanted is not None and np.all(wanted == wanted[:1])
        decided = wanted is not None and same and np.all((wanted == lowest) | (wanted == highest + 1))
        name = f"d{output}_unused" if decided else f"d{output}"  # no sum changes such an output
        a = widened(*sized(plus), wide) if plus else f"{wide}'d0"
        if full and minus and plus:
            # The lowest digit is that of `all`.
            half = f"{widened(f'{plus[0]}[{plus[1].bit_length() - 1}:1]', plus[1].bit_length() - 1, wide - 1)}"
            half = half if plus[1].bit_length() > 1 else f"{wide - 1}'d0"
            less = widened(*sized(minus), wide - 1)
            self.made.append(f"    wire [{wide - 2}:0] {name}_half = {half} - {less};\n")
            value = f"{{{name}_half, {plus[0]}[0]}}"
        elif minus:
            value = f"{a} - {widened(*sized(minus), wide)}"
        else:
            value = a
        if self.apart and not decided:
            value = self.registers.keep(f"{name}_apart", wide, value)
        self.made.append(f"    wire signed [{wide - 1}:0] {name} = $signed({value});\n")
        if wanted is None:
            return self._sum(output, name, wide, k)
        return self._code(output, name, wide, wanted, (lowest, highest))

    def _sum(self, output: int, name: str, wide: int, k: int) -> str:
        """The S of an output without a threshold, which is never negative."""
        size = max(self.each, wide) + 1
        base = int(offsets(self.unit)[output]) + k
        sign = f"{{{{{size - wide}{{{name}[{wide - 1}]}}}}, {name}}}"
        self.made.append(f"    wire [{size - 1}:0] {name}_unused = {sign} + {literal(base, size)};\n")
        return f"{name}_unused[{self.each - 1}:0]"

    def _code(self, output: int, name: str, wide: int, wanted: NDArray[np.int64], ends: tuple[int, int]) -> str:
        """The code of an output: how many of its levels, ``wanted`` (kinds, levels), D reaches."""
        assert self.unit.threshold is not None
        falling = not bool(self.unit.threshold.rising[output])
        bits = []
        for level in range(wanted.shape[1]):
            column = [int(value) for value in wanted[:, level]]
            if len(set(column)) == 1:
                told = self._always(name, column[0], wide, ends)
            else:
                told = f"({name} >= {self._threshold(f'{name}_t{level}', column, wide)})"
            bits.append(f"!{told}" if falling else told)
        if self.each == 1:
            self.made.append(f"    wire {name}_code = {bits[0]};\n")
        else:
            pads = [f"{{{self.each - 1}'d0, {bit}}}" for bit in bits]
            self.made.append(f"    wire [{self.each - 1}:0] {name}_code = {added(pads)};\n")
        return f"{name}_code"

    @staticmethod
    def _always(name: str, value: int, wide: int, ends: tuple[int, int]) -> str:
        if ends[0] < value <= ends[1]:
            return f"({name} >= {signed_literal(value, wide)})"
        return "1'b1" if value <= ends[0] else "1'b0"

    def _threshold(self, name: str, column: list[int], wide: int) -> str:
        """A threshold that depends on the kind of the place."""
        kinds: Borders = self.kinds
        width = len(kinds.rows) + len(kinds.columns)
        lines = [
            f"            {width}'b{pattern(key)}: {name} = {signed_literal(value, wide)};\n"
            for key, value in zip(kinds.keys, column, strict=True)
        ]
        lines.append(f"            default: {name} = {{{wide}{{1'bx}}}};\n")
        self.made.append(f"    reg signed [{wide - 1}:0] {name};\n    always @*\n        case (border1)\n")
        self.made.extend([*lines, "        endcase\n"])
        return name
