"""The text of a convolution whose whole window is there at once."""

from __future__ import annotations

from binarynet.export.verilog import tables
from binarynet.export.verilog.instances import Link, Writer, instance, sizes_of
from binarynet.export.verilog.whole import Held, Whole, thresholds


def put(top: Writer, unit: Whole, link: Link) -> Link:
    """Window, lanes and thresholds of a layer; the wires of its codes."""
    name, bits = top.names.unique(unit.name), tables.sum_bits(unit)
    assert unit.threshold is not None
    assert unit.makes is not None
    kernel, kinds = unit.window.kernel, unit.kinds
    sums = Link(top.names.unique(f"{unit.name}_sums"), sum(kernel) + unit.outputs * bits)
    parameters = {
        "PIXEL": unit.reads.lanes,
        "OUTPUTS": unit.outputs,
        "DIGITS": unit.reads.digits,
        "PLANES": 2 if unit.encoding.kind == "t" else 1,
        "KIND": tables.kind(unit),
        "FILL": tables.fill(unit),
        "BITS": bits,
        "LUT": top.options.lut,
        "PIPE": not top.options.unpipelined,
        "WEIGHTS": top.rom(f"{name}_weights", tables.weights(unit)),
    }
    assert isinstance(unit.window, Held)
    parameters |= sizes_of(unit.window) | {"FEEDS": unit.window.feeds}
    del parameters["WORDS"]
    top.put(sums.declared(), instance("binarynet_whole", name, parameters, link.port("in"), sums.port("out")))
    made = top.names.unique(unit.threshold.name)
    codes = Link(top.names.unique(f"{unit.threshold.name}_codes"), unit.outputs * unit.makes.digits)
    at = unit.outputs * bits
    used = [at + row for row in kinds.rows] + [at + kernel[0] + column for column in kinds.columns]
    unused = [n for n in range(at, sums.bits) if n not in used]
    flags = ", ".join(f"{sums.prefix}_data[{n}]" for n in reversed(used))
    if unused:
        rest = ", ".join(f"{sums.prefix}_data[{n}]" for n in unused)
        top.put(f"    wire {top.names.unique(f'{unit.name}_unused')} = &{{1'b0, {rest}}};\n")
    parameters = {
        "OUTPUTS": unit.outputs,
        "BITS": bits,
        "LEVELS": unit.threshold.thresholds.shape[1],
        "DIGITS": unit.makes.digits,
        "TILES": unit.window.tiles,
        "FLAGS": max(1, len(used)),
        "FILE": top.rom(f"{made}_thresholds", thresholds(unit)),
    }
    ports = f".in_valid({sums.prefix}_valid), .in_ready({sums.prefix}_ready)"
    given = f".in_data({sums.prefix}_data[{at - 1}:0]), .flags({{{flags or '1' + chr(39) + 'b0'}}})"
    top.put(codes.declared(), instance("binarynet_borders", made, parameters, ports, given, codes.port("out")))
    return codes
