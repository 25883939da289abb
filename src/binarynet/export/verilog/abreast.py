"""Classes side by side, for designs that never wait: integers, ranks, a contest in pairs, a queue for the reader."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binarynet.export.verilog import tables
from binarynet.export.verilog.instances import Link, Writer, class_bits, instance

_RESERVE = 4  # clocks that a place takes from the queue's end back to the input


def admitted(top: Writer, depth_bits: int) -> str:
    """Who comes in: as many images as the queue has places for."""
    stream = top.design.input
    words = stream.pixels * -(-stream.shape[2] // stream.lanes)
    ports = ".in_valid(in_valid & !reset), .in_ready(admitted), .taken(out_valid & out_ready)"
    return (
        "    // In reset nothing is taken; else what the queue at the end has places for, so that nothing ever waits.\n"
        "    wire admitted, input_valid, input_ready;\n"
        f"    wire [{stream.lanes * stream.digits - 1}:0] input_data;\n"
        "    wire input_unused = input_ready;\n"
        "    assign in_ready = admitted & !reset;\n    assign input_valid = in_valid & in_ready;\n"
        "    assign input_data = in_data;\n"
        + instance("binarynet_admit", "admit", {"WORDS": words, "DEPTH_BITS": depth_bits}, ports)
    )


def classes(top: Writer, link: Link) -> tuple[list[str], int]:
    """The text behind the last layer, whose sums stand side by side; the bits of the queue's depth."""
    unit, names, design = top.design.last, top.names, top.design
    bits, wide, count = tables.sum_bits(unit), tables.logit_bits(unit), unit.channels
    text = ["\n    // all classes side by side: their integers, and which is the largest\n"]
    logits, keys = names.unique("logits"), names.unique("keys")
    bases = int("".join(reversed(_padded(tables.bases(unit), wide))), 2)
    sizes = {"CLASSES": count, "BITS": bits, "LOGIT_BITS": wide, "FACTOR": tables.factor(unit)}
    given = {**sizes, "BASES": f"@{count * wide}'h{bases:x}"}
    ports = f".sums({link.prefix}_data), .logits({logits})"
    text += [
        f"    assign {link.prefix}_ready = 1'b1;\n    wire [{count * wide - 1}:0] {logits};\n",
        instance("binarynet_scores", names.unique("scores"), given, ports, reset=False),
    ]
    late = 1  # clocks behind the sums at which the keys are there
    if tables.ranked(design) and design.affine:
        ranks = tables.ranks(unit, design.affine)
        key = max(1, int(ranks.max()).bit_length())
        text.append(f"    wire [{count * key - 1}:0] {keys};\n")
        for number, row in enumerate(ranks):
            sizes = {"WIDTH": key, "WORDS": len(row)}
            file = top.rom(names.unique(f"ranks{number}"), tables.numbers(row, key))
            sum_ = f"{link.prefix}_data[{bits * number}+:{tables.address_bits(row)}]"
            ports = f".read(1'b1), .address({sum_}), .data({keys}[{key * number}+:{key}])"
            text.append(
                instance("binarynet_rom", names.unique(f"order{number}"), sizes | {"FILE": file}, ports, reset=False)
            )
        kept = names.unique("keys_kept")  # behind the memories, which are slow to answer
        text.append(f"    reg [{count * key - 1}:0] {kept};\n    always @(posedge clk) {kept} <= {keys};\n")
        keys, late = kept, 2
    else:  # the sign bit turned round, so that numbers without a sign are in order
        key = wide
        flipped = f"{{{count}{{1'b1, {wide - 1}'d0}}}}" if wide > 1 else f"{{{count}{{1'b1}}}}"
        text.append(f"    wire [{count * key - 1}:0] {keys} = {logits} ^ {flipped};\n")
    levels = (count - 1).bit_length()
    chosen, best = names.unique("chosen"), names.unique("best_unused")
    text.append(f"    wire [{class_bits(design) - 1}:0] {chosen};\n    wire [{key - 1}:0] {best};\n")
    sizes = {"CLASSES": count, "KEY_BITS": key, "CLASS_BITS": class_bits(design), "LEVELS": levels}
    ports = f".keys({keys}), .best({best}), .class_({chosen})"
    text.append(instance("binarynet_contest", names.unique("contest"), sizes, ports, reset=False))
    behind = late + levels
    there, shown = names.unique("there"), names.unique("shown")
    moved = f"{{{there}[{behind - 2}:0], {link.prefix}_valid}}" if behind > 1 else f"{link.prefix}_valid"
    text += [
        f"    reg [{behind - 1}:0] {there};  // for each clock since\n",
        f"    always @(posedge clk) {there} <= reset ? {behind}'d0 : {moved};\n",
    ]
    last = logits
    for clock in range(1, behind):
        held = names.unique(f"logits_{clock}")
        text.append(f"    reg [{count * wide - 1}:0] {held};\n    always @(posedge clk) {held} <= {last};\n")
        last = held
    depth = max(1, (top.latency + behind + _RESERVE - 1).bit_length())
    total = count * wide + class_bits(design)
    text.append(f"    wire [{total - 1}:0] {shown};\n")
    ports = f".in_valid({there}[{behind - 1}]), .in_data({{{last}, {chosen}}})"
    outs = f".out_valid(out_valid), .out_ready(out_ready), .out_data({shown})"
    sizes = {"WIDTH": total, "DEPTH_BITS": depth}
    text.append(instance("binarynet_queue", names.unique("queue"), sizes, ports, outs))
    text.append(f"    assign {{logit, out_class}} = {shown};\n    assign logit_valid = out_valid;\n")
    return text, depth


def _padded(values: NDArray[np.int64], bits: int) -> list[str]:
    return [f"{int(value) % (1 << bits):0{bits}b}" for value in values]
