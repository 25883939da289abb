"""The text of NAME.v: what the design is, and one instance for each unit, from the input to the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from binarynet.export.emit import Names, line_comments, provenance
from binarynet.export.verilog import tables
from binarynet.export.verilog.about import about, folding
from binarynet.export.verilog.keywords import KEYWORDS
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.roms import Expression, header, place
from binarynet.export.verilog.units import Design, Pool, Product, Stream, Window, gear
from binarynet.export.verilog.unrolled.text import Layer
from binarynet.export.verilog.unrolled.unit import Unrolled
from binarynet.graph import Encoding

_PORTS = "clk reset in_valid in_ready in_data logit_valid logit out_valid out_ready out_class"
_INPUT = ("input_valid", "input_ready", "input_data")


@dataclass(frozen=True)
class Link:
    """The wires of a stream: PREFIX_valid, PREFIX_ready, PREFIX_data of ``bits`` bits."""

    prefix: str
    bits: int

    def declared(self) -> str:
        return f"    wire {self.prefix}_valid, {self.prefix}_ready;\n    wire [{self.bits - 1}:0] {self.prefix}_data;\n"

    def port(self, side: str) -> str:
        return (
            f".{side}_valid({self.prefix}_valid), .{side}_ready({self.prefix}_ready), .{side}_data({self.prefix}_data)"
        )


def class_bits(design: Design) -> int:
    return max(1, (design.last.channels - 1).bit_length())


def instance(module: str, name: str, parameters: dict[str, Any], *ports: str) -> str:
    """One instance, parameters and ports a few to a line."""
    given = [f".{key}({_value(value)})" for key, value in parameters.items()]
    body = _wrapped(given)
    wires = _wrapped([".clk(clk), .reset(reset)", *ports])
    parameters_text = f" #(\n{body}\n    )" if given else ""
    return f"    {module}{parameters_text} {name} (\n{wires}\n    );\n"


def _value(value: Any) -> str:
    if isinstance(value, Expression):
        return value
    return f'"{value}"' if isinstance(value, str) else str(int(value))


def _wrapped(parts: list[str]) -> str:
    lines = [""]
    for part in parts:
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > 104:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(f"        {line}" for line in lines)


def _window(window: Window) -> dict[str, int]:
    (top, bottom), (left, right) = window.padding
    parameters = {
        "WORDS": window.words,
        "HEIGHT": window.size[0],
        "COLUMNS": window.size[1],
        "KERNEL_Y": window.kernel[0],
        "KERNEL_X": window.kernel[1],
        "STRIDE_Y": window.stride[0],
        "STRIDE_X": window.stride[1],
        "DILATION_Y": window.dilation[0],
        "DILATION_X": window.dilation[1],
        "TOP": top,
        "BOTTOM": bottom,
        "LEFT": left,
        "RIGHT": right,
        "OUT_HEIGHT": window.places[0],
        "OUT_COLUMNS": window.places[1],
        "ROWS": window.rows,
        "TILES": window.tiles,
    }
    if window.along:
        for absent in ("DILATION_Y", "DILATION_X", "TILES"):
            del parameters[absent]
    return parameters


class Top:
    """Collects wires, instances and the contents of the ROMs while it walks along the design."""

    def __init__(self, design: Design, options: Options) -> None:
        self.design, self.api, self.options = design, options.api, options
        self.names = Names([*KEYWORDS, *_PORTS.split(), *_INPUT, *(options.api + end for end in ("", "_tb", "_axis"))])
        self.roms: dict[str, list[str]] = {}
        self.modules: dict[str, str] = {}  # of unrolled layers
        self.body: list[str] = []
        self._put("    // In reset nothing is taken.\n    wire input_valid, input_ready;\n")
        self._put(f"    wire [{design.input.lanes * design.input.digits - 1}:0] input_data;\n")
        self._put("    assign input_valid = in_valid & !reset;\n    assign in_ready = input_ready & !reset;\n")
        self._put("    assign input_data = in_data;\n")
        link = Link("input", design.input.lanes * design.input.digits)
        stream = design.input
        for unit in design.units:
            self.body.append(f"\n    {line_comments([about(unit)])}")
            if unit.reads.shape != stream.shape:  # an image is one vector: whole pixels, one behind the other
                if stream.shape[2] % stream.lanes:
                    link = self._words(f"{unit.name}_pixel", link, stream, stream.shape[2])
                    stream = Stream(stream.shape, stream.shape[2], stream.encoding)
                stream = Stream(unit.reads.shape, stream.lanes, stream.encoding)
            link = self._words(unit.name, link, stream, unit.reads.lanes)
            if isinstance(unit, Unrolled):
                link = self._unrolled(unit, link)
            else:
                link = self._pool(unit, link) if isinstance(unit, Pool) else self._product(unit, link)
            stream = unit.makes or stream
        self._classes(link)

    def _rom(self, name: str, words: list[str]) -> str:
        file = f"{self.api}_{name}.hex"
        self.roms[file] = words
        return place(file, self.options.rom_path)

    def _put(self, *text: str) -> None:
        self.body.extend(text)

    def _words(self, name: str, link: Link, stream: Stream, lanes: int, bits: int | None = None) -> Link:
        """Words of another width: first the greatest common divisor, then as many of those as are wanted."""
        common = gear(stream, lanes)
        bits = bits or stream.digits
        total = stream.shape[2]
        if stream.lanes != common:
            narrow = Link(self.names.unique(f"{name}_narrow"), common * bits)
            sizes = {"BITS": bits, "IN": stream.lanes, "OUT": common, "TOTAL": total}
            made = self.names.unique(f"{name}_narrower")
            self._put(narrow.declared(), instance("binarynet_narrow", made, sizes, link.port("in"), narrow.port("out")))
            link = narrow
        if lanes != common:
            wide = Link(self.names.unique(f"{name}_wide"), lanes * bits)
            sizes = {"BITS": bits, "IN": common, "OUT": lanes, "TOTAL": total}
            made = self.names.unique(f"{name}_widener")
            self._put(wide.declared(), instance("binarynet_widen", made, sizes, link.port("in"), wide.port("out")))
            link = wide
        return link

    def _product(self, unit: Product, link: Link) -> Link:
        name = self.names.unique(unit.name)
        bits = tables.sum_bits(unit)
        weights = tables.weights(unit)
        sums = Link(self.names.unique(f"{unit.name}_sums"), unit.outputs * bits)
        parameters = {
            "INPUTS": unit.reads.lanes,
            "OUTPUTS": unit.outputs,
            "DIGITS": unit.reads.digits,
            "PLANES": 2 if unit.encoding.kind == "t" else unit.encoding.bits,
            "KIND": tables.kind(unit),
            "SIGNED": unit.encoding.kind == "i",
            "HALVES": tables.halves(unit),
            "FILL": tables.fill(unit),
            "TAIL": unit.reads.shape[2] - (unit.window.words - 1) * unit.reads.lanes,
            "BITS": bits,
            "START": tables.start(unit),
            "LUT": self.options.lut,
            "PIPE": not self.options.unpipelined,
            "WEIGHTS": self._rom(f"{name}_weights", weights),
        }
        parameters |= _window(unit.window)
        self._put(sums.declared(), instance("binarynet_matrix", name, parameters, link.port("in"), sums.port("out")))
        if unit.threshold is None or unit.makes is None:
            return sums
        made = self.names.unique(unit.threshold.name)
        codes = Link(self.names.unique(f"{unit.threshold.name}_codes"), unit.outputs * unit.makes.digits)
        parameters = {
            "OUTPUTS": unit.outputs,
            "BITS": bits,
            "LEVELS": unit.threshold.thresholds.shape[1],
            "DIGITS": unit.makes.digits,
            "TILES": unit.window.tiles,
            "FILE": self._rom(f"{made}_thresholds", tables.thresholds(unit, unit.threshold)),
        }
        self._put(
            codes.declared(), instance("binarynet_threshold", made, parameters, sums.port("in"), codes.port("out"))
        )
        return codes

    def _unrolled(self, unit: Unrolled, link: Link) -> Link:
        module = self.names.unique(f"{self.api}_{unit.name}")
        self.modules[module] = Layer(unit, module).text()
        bits = unit.makes.digits if unit.makes else tables.sum_bits(unit)
        made = Link(self.names.unique(f"{unit.name}_{'codes' if unit.makes else 'sums'}"), unit.channels * bits)
        self._put(
            made.declared(), instance(module, self.names.unique(unit.name), {}, link.port("in"), made.port("out"))
        )
        return made

    def _pool(self, unit: Pool, link: Link) -> Link:
        name = self.names.unique(unit.name)
        codes = Link(self.names.unique(f"{unit.name}_codes"), unit.reads.lanes * unit.reads.digits)
        file = self._rom(f"{name}_minimum", tables.minimum(unit))
        parameters = {"VALUES": unit.reads.lanes, "DIGITS": unit.reads.digits, "MINIMUM": file}
        parameters |= _window(unit.window)
        self._put(codes.declared(), instance("binarynet_pool", name, parameters, link.port("in"), codes.port("out")))
        return codes

    def _classes(self, link: Link) -> None:
        unit, names = self.design.last, self.names
        bits, wide = tables.sum_bits(unit), tables.logit_bits(unit)
        self._put("\n    // one class after the other: its integer, and whether it is the largest so far\n")
        made = Stream((1, 1, unit.channels), unit.outputs, Encoding.parse("i32"))
        link = self._words(f"{unit.name}_sum", link, made, 1, bits)
        counted = link.prefix
        file = self._rom(f"{names.unique(unit.name)}_bases", tables.numbers(tables.bases(unit), wide))
        key = Link(names.unique("key"), wide)
        if tables.ranked(self.design) and self.design.affine:
            ranks = tables.ranks(unit, self.design.affine)
            key = Link(key.prefix, max(1, int(ranks.max()).bit_length()))
        common = f".advance({key.prefix}_ready), .in_valid({counted}_valid), .in_data({counted}_data)"
        self._put(key.declared(), f"    assign {counted}_ready = {key.prefix}_ready;\n")
        raw = names.unique("raw_logit")
        self._put(f"    wire signed [{wide - 1}:0] {raw};\n")
        sizes = {"CLASSES": unit.channels, "BITS": bits, "LOGIT_BITS": wide, "FACTOR": tables.factor(unit)}
        outs = f".valid({key.prefix}_valid), .logit({raw})"
        self._put(instance("binarynet_logits", names.unique("logits"), sizes | {"BASES": file}, common, outs))
        if tables.ranked(self.design):
            file = self._rom(f"{names.unique('ranks')}", tables.numbers(ranks.reshape(-1), key.bits))
            sizes = {"CLASSES": unit.channels, "STATES": ranks.shape[1], "BITS": bits, "RANK_BITS": key.bits}
            rank = f".rank({key.prefix}_data)"
            self._put(instance("binarynet_ranks", names.unique("order"), sizes | {"FILE": file}, common, rank))
        else:  # the sign bit turned round, so that numbers without a sign are in order
            flipped = f"{{~{raw}[{wide - 1}], {raw}[{wide - 2}:0]}}"
            self._put(f"    assign {key.prefix}_data = {flipped};\n")
        shown, keyed = raw, f"{key.prefix}_data"
        if not self.options.unpipelined:  # behind the look-up, which is the slowest path of a large table
            kept = Link(names.unique("kept"), key.bits + wide)
            sizes = {"BITS": kept.bits, "IN": 1, "OUT": 1, "TOTAL": 1}
            ports = key.port("in").replace(f"({keyed})", f"({{{raw}, {keyed}}})")
            register = names.unique("key_register")
            self._put(kept.declared(), instance("binarynet_narrow", register, sizes, ports, kept.port("out")))
            shown = f"{kept.prefix}_data[{kept.bits - 1}:{key.bits}]"
            keyed, key = f"{kept.prefix}_data[{key.bits - 1}:0]", Link(kept.prefix, key.bits)
        self._put(f"    assign logit = {shown};\n    assign logit_valid = {key.prefix}_valid & {key.prefix}_ready;\n")
        taken = f".in_valid({key.prefix}_valid), .in_ready({key.prefix}_ready), .in_data({keyed})"
        outs = ".out_valid(out_valid), .out_ready(out_ready), .out_data(out_class)"
        sizes = {"CLASSES": unit.channels, "KEY_BITS": key.bits}
        self._put(instance("binarynet_argmax", names.unique("argmax"), sizes, taken, outs))

    def text(self, options: Options) -> str:
        """The whole file."""
        design = self.design
        stream, width = design.input, design.input.lanes * design.input.digits
        order = "height, width, channels"
        beats = stream.pixels * -(-stream.shape[2] // stream.lanes)
        values = f"{stream.lanes} values" if stream.lanes > 1 else "one value"
        last = design.last
        rows = [(about(unit), unit.window.clocks, folding(unit)) for unit in design.units]
        wide = max(len(row[0]) for row in rows)
        head = [
            *provenance(design.graph, options),
            "",
            f"An image comes in as {beats} words of {values}, codes of {stream.encoding}, in the order {order};",
            "value i of a word lies at bit "
            + f"{stream.digits} * i, and where a pixel ends inside a word the rest of the word is not looked at.",
            f"Its class is out_class. Before that its {last.channels} integers (the accumulators of {last.name}) go by",
            "as logit, one a clock in which logit_valid is 1.",
            "A word passes where valid and ready are both 1 at the rising edge of clk. Hold reset for a clock or more.",
            "",
            "Units, clocks an image, and what they compute in parallel:",
            *(f"    {about:<{wide}}  {clocks:>9,}  {folding}" for about, clocks, folding in rows),
            f"Clocks from one image to the next: {design.interval:,}, if input and reader are never late.",
        ]
        logit = tables.logit_bits(last)
        ports = f"""    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [{width - 1}:0] in_data,
    output wire logit_valid,
    output wire signed [{logit - 1}:0] logit,
    output wire out_valid,
    input wire out_ready,
    output wire [{class_bits(design) - 1}:0] out_class
"""
        module = f"module {self.api} {header(options.rom_path)}("
        return f"{line_comments(head)}{module}\n{ports});\n{''.join(self.body)}endmodule\n"
