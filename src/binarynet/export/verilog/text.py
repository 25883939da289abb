"""The text of NAME.v: what the design is, and one instance for each unit, from the input to the class."""

from __future__ import annotations

from binarynet.export.emit import Names, line_comments, provenance
from binarynet.export.verilog import abreast, one_by_one, tables, windows
from binarynet.export.verilog.about import about, folding
from binarynet.export.verilog.instances import Link, class_bits, instance, sizes_of
from binarynet.export.verilog.keywords import KEYWORDS
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.roms import header, place
from binarynet.export.verilog.units import Design, Pool, Product, Stream, gear
from binarynet.export.verilog.unrolled.text import Layer
from binarynet.export.verilog.unrolled.unit import Unrolled
from binarynet.export.verilog.whole import Whole

_PORTS = (
    "clk reset in_valid in_ready in_data logit_valid logit out_valid out_ready out_class admitted admit input_unused"
)
_INPUT = ("input_valid", "input_ready", "input_data")


class Top:
    """Collects wires, instances and the contents of the ROMs while it walks along the design."""

    def __init__(self, design: Design, options: Options) -> None:
        self.design, self.api, self.options = design, options.api, options
        self.names = Names([*KEYWORDS, *_PORTS.split(), *_INPUT, *(options.api + end for end in ("", "_tb", "_axis"))])
        self.roms: dict[str, list[str]] = {}
        self.modules: dict[str, str] = {}  # of unrolled layers
        self.body: list[str] = []
        self.latency = 0  # clocks from a word to the last layer's sums, where nothing waits
        link = Link("input", design.input.lanes * design.input.digits)
        stream = design.input
        for unit in design.units:
            self.body.append(f"\n    {line_comments([about(unit)])}")
            if unit.reads.shape != stream.shape:  # an image is one vector: whole pixels, one behind the other
                if stream.shape[2] % stream.lanes:
                    link = self.words(f"{unit.name}_pixel", link, stream, stream.shape[2])
                    stream = Stream(stream.shape, stream.shape[2], stream.encoding)
                stream = Stream(unit.reads.shape, stream.lanes, stream.encoding)
            link = self.words(unit.name, link, stream, unit.reads.lanes)
            if isinstance(unit, Unrolled):
                link = self._unrolled(unit, link)
            else:
                if isinstance(unit, Whole):
                    link = windows.put(self, unit, link)
                else:
                    link = self._pool(unit, link) if isinstance(unit, Pool) else self._product(unit, link)
                link = self._slice(link) if unit.makes and not options.unpipelined else link
            stream = unit.makes or stream
        if design.flows:
            text, depth = abreast.classes(self, link)
            self.put(*text)
            self.body.insert(0, abreast.admitted(self, depth))
        else:
            self.body.insert(0, self._input())
            one_by_one.classes(self, link)

    def _input(self) -> str:
        return (
            "    // In reset nothing is taken.\n    wire input_valid, input_ready;\n"
            f"    wire [{self.design.input.lanes * self.design.input.digits - 1}:0] input_data;\n"
            "    assign input_valid = in_valid & !reset;\n    assign in_ready = input_ready & !reset;\n"
            "    assign input_data = in_data;\n"
        )

    def rom(self, name: str, words: list[str]) -> str:
        file = f"{self.api}_{name}.hex"
        self.roms[file] = words
        return place(file, self.options.rom_path)

    def put(self, *text: str) -> None:
        self.body.extend(text)

    def words(self, name: str, link: Link, stream: Stream, lanes: int, bits: int | None = None) -> Link:
        """Words of another width: first the greatest common divisor, then as many of those as are wanted."""
        common = gear(stream, lanes)
        bits = bits or stream.digits
        total = stream.shape[2]
        if stream.lanes != common:
            narrow = Link(self.names.unique(f"{name}_narrow"), common * bits)
            sizes = {"BITS": bits, "IN": stream.lanes, "OUT": common, "TOTAL": total}
            made = self.names.unique(f"{name}_narrower")
            self.put(narrow.declared(), instance("binarynet_narrow", made, sizes, link.port("in"), narrow.port("out")))
            link = narrow
        if lanes != common:
            self.latency += 1
            wide = Link(self.names.unique(f"{name}_wide"), lanes * bits)
            sizes = {"BITS": bits, "IN": common, "OUT": lanes, "TOTAL": total}
            made = self.names.unique(f"{name}_widener")
            self.put(wide.declared(), instance("binarynet_widen", made, sizes, link.port("in"), wide.port("out")))
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
            "GROUPS": unit.groups,
            "ALONG": unit.window.along,
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
            "WEIGHTS": self.rom(f"{name}_weights", weights),
        }
        parameters |= sizes_of(unit.window)
        self.put(sums.declared(), instance("binarynet_matrix", name, parameters, link.port("in"), sums.port("out")))
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
            "PIPE": not self.options.unpipelined,
            "FILE": self.rom(f"{made}_thresholds", tables.thresholds(unit, unit.threshold)),
        }
        self.put(
            codes.declared(), instance("binarynet_threshold", made, parameters, sums.port("in"), codes.port("out"))
        )
        return codes

    def _unrolled(self, unit: Unrolled, link: Link) -> Link:
        module = self.names.unique(f"{self.api}_{unit.name}")
        layer = Layer(unit, module)
        self.modules[module] = layer.text()
        self.latency += layer.latency
        bits = unit.makes.digits if unit.makes else tables.sum_bits(unit)
        made = Link(self.names.unique(f"{unit.name}_{'codes' if unit.makes else 'sums'}"), unit.channels * bits)
        self.put(made.declared(), instance(module, self.names.unique(unit.name), {}, link.port("in"), made.port("out")))
        return made

    def _slice(self, link: Link) -> Link:
        """Ends the way on which readers that wait are told of, from the last unit to the first."""
        made = Link(self.names.unique(f"{link.prefix}_slice"), link.bits)
        name = self.names.unique(f"{link.prefix}_kept")
        ports = link.port("in"), made.port("out")
        self.put(made.declared(), instance("binarynet_slice", name, {"WIDTH": link.bits}, *ports))
        return made

    def _pool(self, unit: Pool, link: Link) -> Link:
        name = self.names.unique(unit.name)
        codes = Link(self.names.unique(f"{unit.name}_codes"), unit.reads.lanes * unit.reads.digits)
        file = self.rom(f"{name}_minimum", tables.minimum(unit))
        parameters = {"VALUES": unit.reads.lanes, "DIGITS": unit.reads.digits, "MINIMUM": file}
        parameters |= sizes_of(unit.window)
        for absent in ("DILATION_Y", "DILATION_X", "TILES"):
            del parameters[absent]
        self.put(codes.declared(), instance("binarynet_pool", name, parameters, link.port("in"), codes.port("out")))
        return codes

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
            *self._told(),
            "A word passes where valid and ready are both 1 at the rising edge of clk. Hold reset for a clock or more.",
            "",
            "Units, clocks an image, and what they compute in parallel:",
            *(f"    {about:<{wide}}  {clocks:>9,}  {folding}" for about, clocks, folding in rows),
            f"Clocks from one image to the next: {design.interval:,}, if input and reader are never late.",
        ]
        logit = tables.logit_bits(last) * (last.channels if design.flows else 1)
        signed = "" if design.flows else "signed "
        ports = f"""    input wire clk,
    input wire reset,
    input wire in_valid,
    output wire in_ready,
    input wire [{width - 1}:0] in_data,
    output wire logit_valid,
    output wire {signed}[{logit - 1}:0] logit,
    output wire out_valid,
    input wire out_ready,
    output wire [{class_bits(design) - 1}:0] out_class
"""
        module = f"module {self.api} {header(options.rom_path)}("
        return f"{line_comments(head)}{module}\n{ports});\n{''.join(self.body)}endmodule\n"

    def _told(self) -> list[str]:
        """How the answers go out."""
        last = self.design.last
        if not self.design.flows:
            return [
                f"Its class is out_class. Before that its {last.channels} integers (the accumulators of",
                f"{last.name}) go by as logit, one a clock in which logit_valid is 1.",
            ]
        return [
            f"Its class is out_class. With it come its {last.channels} integers (the accumulators of {last.name})",
            f"as logit, {tables.logit_bits(last)} bits each, class 0 lowest; logit_valid is out_valid.",
        ]
