"""The module of an unrolled layer: its window, then counts, sums and comparisons, each behind a register."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binarynet.export.emit import line_comments
from binarynet.export.verilog import tables
from binarynet.export.verilog.unrolled.classes import Group, best, groups, shared, wanted
from binarynet.export.verilog.unrolled.literals import added, literal, pattern, signed_literal, sized, widened
from binarynet.export.verilog.unrolled.thresholds import Borders, borders, offsets, reached, table
from binarynet.export.verilog.unrolled.unit import Unrolled

TABLE_INPUTS = 6  # bits that an output may look at to become one look-up table


class Layer:
    """Collects the module's text: declarations, and what is kept at each of the three registers."""

    def __init__(self, unit: Unrolled, name: str) -> None:
        self.unit, self.name = unit, name
        self.digits = unit.reads.digits
        self.high = (1 << self.digits) - 1
        self.rows = unit.weight.reshape(len(unit.weight), -1)
        self.kinds = borders(unit)
        self.levels = reached(unit, self.kinds) if unit.threshold else None
        self.each = unit.makes.digits if unit.makes else tables.sum_bits(unit)  # bits of an output
        self.made: list[str] = []
        self.kept: list[tuple[str, int]] = []  # NAME_next is kept as NAME
        looks = (self.rows != 0).sum(axis=1) * self.digits
        small = (looks <= TABLE_INPUTS) & (self.levels is not None and len(self.kinds.keys) == 1)
        self.small, self.large = np.flatnonzero(small).tolist(), np.flatnonzero(~small).tolist()
        self.size = best(self.rows[self.large], self.digits, unit.lut) if self.large else 1
        self.stages = 2 if self.large else 0

    def text(self) -> str:
        outs: dict[int, str] = {output: self._table(output) for output in self.small}
        if self.large and len(self.kinds.keys) > 1:
            self._borders()
        for number, group in enumerate(groups(self.rows, self.large, self.size, self.high)):
            outs |= self._group(f"g{number}", group)
        codes = ", ".join(outs[output] for output in reversed(range(len(outs))))
        return self._head() + "".join(self.made) + self._registers(codes) + "endmodule\n"

    # ---- what goes on between registers ----

    def _keep(self, name: str, bits: int) -> str:
        self.kept.append((name, bits))
        self.made.append(f"    reg [{bits - 1}:0] {name};\n")
        return name

    def _input(self, index: int, inverted: bool) -> str:
        part = f"x[{index}]" if self.digits == 1 else f"x[{self.digits * index}+:{self.digits}]"
        return f"~{part}" if inverted else part

    def _table(self, output: int) -> str:
        """An output as one look-up table for each of its digits."""
        unit = self.unit
        assert self.levels is not None
        assert unit.threshold is not None
        row = self.rows[output]
        inputs = [self._input(int(index), False) for index in np.flatnonzero(row)]
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
        word = f"{{{', '.join(reversed(found))}}}" if len(found) > 1 else found[0]
        for stage in range(self.stages):
            later = self._keep(f"t{output}_stage{stage}", self.each)
            self.made.append(f"    wire [{self.each - 1}:0] {later}_next = {word};\n")
            word = later
        return word

    def _borders(self) -> None:
        kinds = self.kinds
        flags = [f"outside_y[{y}]" for y in kinds.rows] + [f"outside_x[{x}]" for x in kinds.columns]
        for stage, source in enumerate((f"{{{', '.join(flags)}}}", "border0")):
            self._keep(f"border{stage}", len(flags))
            self.made.append(f"    wire [{len(flags) - 1}:0] border{stage}_next = {source};\n")

    def _count(self, name: str, inputs: tuple[tuple[int, bool], ...]) -> int:
        """A class's sum of codes as NAME_next; its largest value."""
        top = len(inputs) * self.high
        bits = top.bit_length()
        parts = [self._input(index, inverted) for index, inverted in inputs]
        if self.digits == 1:
            vector = ", ".join(parts)
            self.made.append(f"    wire [{bits - 1}:0] {name}_next;\n")
            self.made.append(f"    binarynet_count #(.INPUTS({len(parts)}), .LUT({self.unit.lut})) {name}_count (\n")
            self.made.append(f"        .bits({{{vector}}}), .count({name}_next)\n    );\n")
        else:
            wide = [f"{{{bits - self.digits}'d0, {part}}}" if bits > self.digits else part for part in parts]
            self.made.append(f"    wire [{bits - 1}:0] {name}_next = {added(wide)};\n")
        self._keep(name, bits)
        return top

    def _group(self, name: str, group: Group) -> dict[int, str]:
        """Outputs with common classes; what goes into the last register, for each of them."""
        self.made.append(f"\n    // outputs {', '.join(map(str, group.outputs))}: {len(group.classes)} classes\n")
        terms = [f"{name}_c{number}" for number in range(len(group.classes))]
        tops = [self._count(term, inputs) for term, inputs in zip(terms, group.classes, strict=True)]
        sums, full = wanted(group)
        steps, places = shared(len(terms), sums)
        for made, left, right in steps:
            terms.append(f"{name}_s{made}")
            tops.append(tops[left] + tops[right])
            bits = tops[made].bit_length()
            a, b = (widened(terms[term], tops[term].bit_length(), bits) for term in (left, right))
            self.made.append(f"    wire [{bits - 1}:0] {terms[made]} = {a} + {b};\n")
        held: dict[int, str] = {}
        for place in sorted({place for place in places if place is not None}):
            held[place] = self._keep(f"{name}_k{place}", tops[place].bit_length())
            self.made.append(f"    wire [{tops[place].bit_length() - 1}:0] {held[place]}_next = {terms[place]};\n")
        found = {}
        for number, output in enumerate(group.outputs):
            plus, minus = (places[0], places[1 + number]) if full else places[2 * number : 2 * number + 2]
            numbers = [(held[one], tops[one]) if one is not None else None for one in (plus, minus)]
            found[output] = self._output(output, numbers[0], numbers[1], group.k[number], full)
        return found

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
            self.made.append(f"    wire signed [{wide - 1}:0] {name} = $signed({{{name}_half, {plus[0]}[0]}});\n")
        elif minus:
            less = widened(*sized(minus), wide)
            self.made.append(f"    wire signed [{wide - 1}:0] {name} = $signed({a} - {less});\n")
        else:
            self.made.append(f"    wire signed [{wide - 1}:0] {name} = $signed({a});\n")
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

    # ---- around it ----

    def _head(self) -> str:
        unit, window = self.unit, self.unit.window
        width = unit.reads.lanes * unit.reads.digits
        taps = window.kernel[0] * window.kernel[1]
        about = [
            f"Layer {unit.name} with constant weights: {taps * unit.reads.lanes} inputs, {unit.channels} outputs,",
            f"of which {len(self.small)} are look-up tables; {len(self.large)} share sign classes, {self.size} each.",
        ]
        flags = (
            "outside_y" if self.kinds.rows else "outside_y_unused",
            ("outside_x" if self.kinds.columns else "outside_x_unused"),
        )
        lines = [
            line_comments(about),
            f"module {self.name} (\n    input wire clk,\n    input wire reset,\n    input wire in_valid,\n"
            f"    output wire in_ready,\n    input wire [{width - 1}:0] in_data,\n    output reg out_valid,\n"
            f"    input wire out_ready,\n    output reg [{unit.channels * self.each - 1}:0] out_data\n);\n"
            "    wire advance = !out_valid | out_ready;\n"
            f"    wire there;\n    wire [{taps * width - 1}:0] x;\n",
        ]
        if window.trivial:
            return "".join(
                [
                    *lines,
                    "    assign there = in_valid;\n    assign in_ready = advance;\n    assign x = in_data;\n",
                    self._unused(),
                ]
            )
        fill = sum(tables.fill(unit) << (self.digits * value) for value in range(unit.reads.lanes))
        parameters = {
            "WIDTH": width, "HEIGHT": window.size[0], "COLUMNS": window.size[1], "KERNEL_Y": window.kernel[0],
            "KERNEL_X": window.kernel[1], "STRIDE_Y": window.stride[0], "STRIDE_X": window.stride[1],
            "DILATION_Y": window.dilation[0], "DILATION_X": window.dilation[1], "TOP": window.padding[0][0],
            "BOTTOM": window.padding[0][1], "LEFT": window.padding[1][0], "RIGHT": window.padding[1][1],
            "OUT_HEIGHT": window.places[0], "OUT_COLUMNS": window.places[1], "ROWS": window.rows,
            "FEEDS": window.feeds,
        }  # fmt: skip
        given = ", ".join(f".{key}({value})" for key, value in parameters.items())
        lines += [
            f"    wire [{window.kernel[0] - 1}:0] {flags[0]};\n    wire [{window.kernel[1] - 1}:0] {flags[1]};\n",
            f"    binarynet_columns #(\n        {given},\n        .FILL({width}'h{fill:x})\n    ) columns (\n",
            "        .clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),\n",
            f"        .advance(advance), .valid(there), .data(x), .outside_y({flags[0]}), .outside_x({flags[1]})\n",
            "    );\n",
            self._unused(),
        ]
        return "".join(lines)

    def _unused(self) -> str:
        """Inputs that no output looks at, told to whoever asks."""
        blind = np.flatnonzero(~self.rows.any(axis=0)).tolist()
        text = (
            f"    wire x_unused = &{{1'b0, {', '.join(self._input(one, False) for one in blind)}}};\n" if blind else ""
        )
        for side, used, count in (("y", self.kinds.rows, self.unit.window.kernel[0]),
                                  ("x", self.kinds.columns, self.unit.window.kernel[1])):  # fmt: skip
            rest = [f"outside_{side}[{n}]" for n in range(count) if n not in used]
            if used and rest:
                text += f"    wire {side}_unused = &{{1'b0, {', '.join(rest)}}};\n"
        return text

    def _registers(self, codes: str) -> str:
        """The three registers, which stand still while the reader is not ready."""
        valid = ["there", *(f"valid_{stage}" for stage in range(self.stages))]
        text = "".join(f"    reg {name};\n" for name in valid[1:]) + "\n    always @(posedge clk) begin\n"
        text += "        if (advance) begin\n"
        text += "".join(f"            {name} <= {name}_next;\n" for name, _ in self.kept)
        text += f"            out_data <= {{{codes}}};\n        end\n        if (reset) begin\n"
        text += "".join(f"            {name} <= 1'b0;\n" for name in (*valid[1:], "out_valid"))
        text += "        end else if (advance) begin\n"
        text += "".join(
            f"            {later} <= {now};\n" for now, later in zip(valid, [*valid[1:], "out_valid"], strict=True)
        )
        return text + "        end\n    end\n"
