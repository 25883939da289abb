"""The text of NAME.h and NAME.c."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from binarynet.export.c.entry import argmax, class_, logits, run
from binarynet.export.c.parts import called, chosen
from binarynet.export.c.writer import Writer, head, note
from binarynet.export.emit import Names, provenance, quoted

if TYPE_CHECKING:
    from binarynet.export.c.network import Network


_AVR_TABLE, _AVR_TABLES = 32767, 60000  # bytes; code and other data share the first 64 KiB of flash


def _order(network: Network) -> str:
    shape = "x".join(map(str, network.input.shape))
    encoding = network.input.encoding
    what = "reals" if encoding.is_float else f"bytes, codes 0 ... {encoding.count - 1} of {encoding}"
    return f"{shape} {what}" + (", in the order height, width, channels" if len(network.input.shape) == 3 else "")


def header(network: Network) -> str:
    """NAME.h: what the network is, what it costs, and how it is called."""
    api, word = network.options.api, network.options.word
    big = api.upper()
    about = [*provenance(network.graph, network.options), "", f"Layers, with their bytes of flash at {word}-bit words:"]
    about += [f"{sum(part.bytes(word) for part in one.tables):9,}  {one.about}" for one in network.functions]
    about += [f"{network.flash:9,}  tables of constants in all (flash)", f"{network.arena:9,}  arena (RAM)"]
    text = Writer(*head(about), f"#ifndef {big}_H", f"#define {big}_H", "", "#include <stdint.h>", "")
    text.add("#ifdef __cplusplus", 'extern "C" {', "#endif", "")
    text.add(f"#define {big}_INPUTS {prod(network.input.shape)} {note(_order(network))}")
    text.add(f"#define {big}_OUTPUTS {network.output.count}", f"#define {big}_ARENA_BYTES {network.arena}")
    outputs, names, start = network.graph.outputs, Names(), 0
    if outputs:
        text.add("/* Several answers, images in the order height, width, channels; where each begins among them: */")
    for one in outputs:
        shape = "x".join(map(str, one.shape))
        text.add(f"#define {big}_AT_{names.unique(one.name.lower()).upper()} {start} {note(f'{shape}, {one.name}')}")
        start += prod(one.shape)
    classes = network.graph.classes
    if len(classes) == (prod(outputs[0].shape) if outputs else network.output.count):
        text.add(f"#define {big}_NAMES {{{', '.join(map(quoted, classes))}}} /* of the classes */")
    text.add("", f"typedef {'float' if network.input.encoding.is_float else 'uint8_t'} {api}_input;")
    text.add(f"typedef {'float' if network.output.kind == 'f32' else 'int32_t'} {api}_output;", "")
    text.add("/* All memory that a run needs besides a little stack. It need not be cleared, and keeps nothing. */")
    with text.block("typedef union", f"}} {api}_arena;"):
        text.add("uint64_t align;", f"unsigned char bytes[{big}_ARENA_BYTES];")
    text.add(
        "", "/* One image -> its answers. Runs with different arenas may overlap in time. */", f"{logits(network)};"
    )
    which = "first " if outputs else ""
    exact = "; no floats" if network.functions[-1].best else ""
    text.add("", f"/* One image -> its class{exact}. */", f"{class_(network)};")
    text.add("", f"/* The class: where the {which}answer is largest, the first of equals. */", f"{argmax(network)};")
    text.add("", "#ifdef __cplusplus", "}", "#endif", "", "#endif")
    return text.text


def source(network: Network) -> str:
    """NAME.c: the parts that layers share, each layer's constants and function, and the entry."""
    api, word = network.options.api, network.options.word
    layers = "".join(one.text for one in network.functions)
    parts = chosen(called(layers), network.options.constant_time)
    code = parts + layers
    text = Writer(*head([f"See {api}.h. A bit is one value, 1 = +1; value i is bit i % WORD of word i / WORD."]))
    text.add(f'#include "{api}.h"', "")
    if "memset" in code:
        text.add("#include <string.h>")
    if "INFINITY" in code:
        text.add("#include <math.h> /* INFINITY; nothing is linked */")
    tables = [table for one in network.functions for table in one.tables]
    largest = max((table.bytes(word) for table in tables), default=0)
    text.add("", "#ifdef __FLASH /* avr-gcc: tables stay in flash, which has instructions of its own */")
    if largest > _AVR_TABLE or network.flash > _AVR_TABLES:
        text.add(f'#error "tables of {network.flash} bytes, one of {largest}: avr-gcc reaches 65536, and 32767 in one"')
    text.add("#define FLASH __flash", "#else", "#define FLASH", "#endif")
    if re.search(r"\bword\b", code):
        text.add("", f"#define WORD {word} /* bits of a word */", f"typedef uint{word}_t word;")
        if "ALL_ONES" in code:
            text.add("#define ALL_ONES ((word) ~(word)0)")
    text.add("", parts + layers)
    run(network, text)
    return re.sub(r"\n{3,}", "\n\n", text.text)
