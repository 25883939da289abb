"""Classes one behind the other: their integers, ranks, and which is the largest so far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from binarynet.export.verilog import tables
from binarynet.export.verilog.instances import Link, Writer, class_bits, instance
from binarynet.export.verilog.units import Stream
from binarynet.graph import Encoding

_MOST_TABLES = 16  # classes of which each has a memory of its own


def _looked_up(
    top: Writer, key: Link, common: str, counted: str, raw: str, ranks: NDArray[np.int64]
) -> tuple[str, str]:
    """A memory for each class, all of which look up every sum, and a register behind them before one is chosen: a
    large memory is many, and the way through them long. The prefix of the chosen key, and the logit beside it."""
    unit, names = top.design.last, top.names
    count, wide, keys = unit.channels, tables.logit_bits(unit), key.bits
    number = class_bits(top.design)
    turn, found = names.unique("turn"), names.unique("ranks")
    top.put(f"    wire [{number - 1}:0] {turn};\n    wire [{count * keys - 1}:0] {found};\n")
    ports = f"{common.rpartition(',')[0]}, .number({turn})"
    top.put(instance("binarynet_turn", names.unique("turns"), {"CLASSES": count, "BITS": number}, ports))
    for place, row in enumerate(ranks):
        sizes = {"WIDTH": keys, "WORDS": len(row)}
        file = top.rom(names.unique(f"ranks{place}"), tables.numbers(row, keys))
        sum_ = f"{counted}_data[{tables.address_bits(row) - 1}:0]"
        ports = f".read({key.prefix}_ready), .address({sum_}), .data({found}[{keys * place}+:{keys}])"
        top.put(instance("binarynet_rom", names.unique(f"order{place}"), sizes | {"FILE": file}, ports, reset=False))
    held = Link(names.unique("looked"), wide + number + count * keys)
    sizes = {"BITS": held.bits, "IN": 1, "OUT": 1, "TOTAL": 1}
    ports = f".in_valid({key.prefix}_valid), .in_ready({key.prefix}_ready), .in_data({{{raw}, {turn}, {found}}})"
    top.put(
        held.declared(), instance("binarynet_narrow", names.unique("rank_register"), sizes, ports, held.port("out"))
    )
    chosen = Link(names.unique("chosen"), keys)
    at, logit = names.unique("place"), names.unique("chosen_logit")
    top.put(
        chosen.declared(),
        f"    wire [{number - 1}:0] {at};\n    wire signed [{wide - 1}:0] {logit};\n",
        f"    wire [{count * keys - 1}:0] {found}_kept;\n",
        f"    assign {{{logit}, {at}, {found}_kept}} = {held.prefix}_data;\n",
        f"    assign {chosen.prefix}_data = {found}_kept[{keys} * {at}+:{keys}];\n",
        f"    assign {chosen.prefix}_valid = {held.prefix}_valid;\n",
        f"    assign {held.prefix}_ready = {chosen.prefix}_ready;\n",
    )
    return chosen.prefix, logit


def classes(top: Writer, link: Link) -> None:
    """The text behind the last layer, whose sums come as words of ``link``."""
    unit, names = top.design.last, top.names
    bits, wide = tables.sum_bits(unit), tables.logit_bits(unit)
    top.put("\n    // one class after the other: its integer, and whether it is the largest so far\n")
    made = Stream((1, 1, unit.channels), unit.outputs, Encoding.parse("i32"))
    link = top.words(f"{unit.name}_sum", link, made, 1, bits)
    counted = link.prefix
    file = top.rom(f"{names.unique(unit.name)}_bases", tables.numbers(tables.bases(unit), wide))
    key = Link(names.unique("key"), wide)
    if tables.ranked(top.design) and top.design.affine:
        ranks = tables.ranks(unit, top.design.affine)
        key = Link(key.prefix, max(1, int(ranks.max()).bit_length()))
    common = f".advance({key.prefix}_ready), .in_valid({counted}_valid), .in_data({counted}_data)"
    ranked = tables.ranked(top.design)
    apart = ranked and unit.channels <= _MOST_TABLES and not top.options.unpipelined
    declared = f"    wire {key.prefix}_valid, {key.prefix}_ready;\n" if apart else key.declared()
    top.put(declared, f"    assign {counted}_ready = {key.prefix}_ready;\n")
    raw = names.unique("raw_logit")
    top.put(f"    wire signed [{wide - 1}:0] {raw};\n")
    sizes = {"CLASSES": unit.channels, "BITS": bits, "LOGIT_BITS": wide, "FACTOR": tables.factor(unit)}
    outs = f".valid({key.prefix}_valid), .logit({raw})"
    top.put(instance("binarynet_logits", names.unique("logits"), sizes | {"BASES": file}, common, outs))
    looked = ""
    if apart:
        looked, raw = _looked_up(top, key, common, counted, raw, ranks)
    elif ranked:
        file = top.rom(f"{names.unique('ranks')}", tables.numbers(ranks.reshape(-1), key.bits))
        sizes = {"CLASSES": unit.channels, "STATES": ranks.shape[1], "BITS": bits, "RANK_BITS": key.bits}
        rank = f".rank({key.prefix}_data)"
        top.put(instance("binarynet_ranks", names.unique("order"), sizes | {"FILE": file}, common, rank))
    else:  # the sign bit turned round, so that numbers without a sign are in order
        flipped = f"{{~{raw}[{wide - 1}], {raw}[{wide - 2}:0]}}"
        top.put(f"    assign {key.prefix}_data = {flipped};\n")
    if looked:
        key = Link(looked, key.bits)
    shown, keyed = raw, f"{key.prefix}_data"
    if not top.options.unpipelined:  # behind the look-up, which is the slowest path of a large table
        kept = Link(names.unique("kept"), key.bits + wide)
        sizes = {"BITS": kept.bits, "IN": 1, "OUT": 1, "TOTAL": 1}
        ports = key.port("in").replace(f"({keyed})", f"({{{raw}, {keyed}}})")
        register = names.unique("key_register")
        top.put(kept.declared(), instance("binarynet_narrow", register, sizes, ports, kept.port("out")))
        shown = f"{kept.prefix}_data[{kept.bits - 1}:{key.bits}]"
        keyed, key = f"{kept.prefix}_data[{key.bits - 1}:0]", Link(kept.prefix, key.bits)
    top.put(f"    assign logit = {shown};\n    assign logit_valid = {key.prefix}_valid & {key.prefix}_ready;\n")
    taken = f".in_valid({key.prefix}_valid), .in_ready({key.prefix}_ready), .in_data({keyed})"
    outs = ".out_valid(out_valid), .out_ready(out_ready), .out_data(out_class)"
    sizes = {"CLASSES": unit.channels, "KEY_BITS": key.bits}
    top.put(instance("binarynet_argmax", names.unique("argmax"), sizes, taken, outs))
