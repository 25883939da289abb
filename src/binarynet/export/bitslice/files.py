"""The text of NAME.h and NAME.c."""

from __future__ import annotations

from importlib.resources import files
from math import prod

import numpy as np

from binarynet.export.bitslice.network import Network
from binarynet.export.c.parts import part as c_part
from binarynet.export.c.parts import renamed_text
from binarynet.export.c.writer import Writer, head
from binarynet.export.emit import provenance, quoted, table


def part(name: str, api: str) -> str:
    """A file of the folder ``parts``, about a network called ``api``."""
    return renamed_text((files(__package__) / "parts" / name).read_text(encoding="utf-8"), api)


def header(network: Network) -> str:
    """NAME.h: what the network is, and how it is called."""
    api, graph, answer = network.options.api, network.graph, network.answer
    assert answer is not None
    big, shape = api.upper(), graph.input.shape
    about = [*provenance(graph, network.options), ""]
    about += [f"{network.gates:,} gates, and {network.memory.size:,} registers of memory."]
    text = Writer(*head(about), f"#ifndef {big}_H", f"#define {big}_H", "", "#include <stdint.h>", "")
    text.add("#ifdef __cplusplus", 'extern "C" {', "#endif", "")
    order = ", in the order height, width, channels" if len(shape) == 3 else ""
    text.add(f"#define {big}_INPUTS {prod(shape)} /* bytes, codes of {graph.input.encoding}{order} */")
    text.add(f"#define {big}_OUTPUTS {len(answer.places)}")
    if len(graph.classes) == len(answer.places):
        text.add(f"#define {big}_NAMES {{{', '.join(map(quoted, graph.classes))}}} /* of the classes */")
    text.add("", f"typedef uint8_t {api}_input;")
    text.add(f"typedef {'int32_t' if answer.scale is None else 'float'} {api}_output;")
    text.add("", "/* What runs need to work in, one for each thread; NULL where there is no memory. */")
    text.add(f"typedef struct {api}_memory {api}_memory;", f"{api}_memory *{api}_new(void);")
    text.add(f"void {api}_free({api}_memory *memory);", "")
    text.add(f"/* ``count`` images, {big}_INPUTS each, -> {big}_OUTPUTS answers each. A register holds a bit of 64")
    text.add(" * to 512 images, so many at a time are the fastest; any count is right. */")
    text.add(
        f"void {api}_logits(const {api}_input *images, long count, {api}_output *logits, {api}_memory *memory);",
        "",
        "/* The class: where the answer is largest, the first of equals. */",
        f"int32_t {api}_argmax(const {api}_output logits[{big}_OUTPUTS]);",
        *("", "#ifdef __cplusplus", "}", "#endif", "", "#endif"),
    )
    return text.text


def source(network: Network) -> str:
    """NAME.c: registers, the functions of the layers, and the entry."""
    api, graph, answer, memory = network.options.api, network.graph, network.answer, network.memory
    assert answer is not None
    big, first = api.upper(), network.stored[graph.input.name]
    grid, shape = first.grid, graph.input.shape
    assert grid is not None
    text = Writer(*head([f"See {api}.h. A register holds one bit of many images, and a gate is an instruction on it."]))
    text.add(f'#include "{api}.h"', "", "#include <stdlib.h>", "#include <string.h>", "")
    text.add(*part("registers.c", api).splitlines(), "")
    row = prod(shape[1:]) if len(shape) == 3 else prod(shape)
    numbers = {
        **{"INPUTS": prod(shape), "DIGITS": first.bits, "REGISTERS": memory.size},
        **{"OUTPUTS": len(answer.places), "ANSWER_DIGITS": answer.places.shape[1]},
    }
    text.add(*(f"#define {name} {value}" for name, value in numbers.items()))
    plain = grid.row == row * first.bits
    place = f"(n) * {first.bits}" if plain else f"(n) / {row} * {grid.row} + (n) % {row} * {first.bits}"
    text.add(f"#define INPUT_PLACE(n) ({grid.base} + {place})", "")
    tables = [("answer_places", "int32_t", answer.places), ("answer_offset", "int32_t", answer.offset)]
    if answer.scale is not None and answer.shift is not None:
        tables += [("answer_scale", "float", answer.scale), ("answer_shift", "float", answer.shift)]
    tables += [("always", "int32_t", np.array(memory.ones))] if memory.ones else []
    for name, kind, array in tables:
        sizes = "".join(f"[{size}]" for size in array.shape)
        text.add(*f"static const {kind} {name}{sizes} = {table(array, kind)};".splitlines())
    text.add("", *part("slices.c", api).splitlines())
    for one in network.code:
        text.add(*one.splitlines())
    text.add("", f"struct {api}_memory {{", "    void *block;", "    reg *m;", "    int32_t *numbers;", "};")
    with text.function(f"{api}_memory *{api}_new(void)"):
        text.add(f"{api}_memory *const made = calloc(1, sizeof *made);")
        text.add("const size_t size = REGISTERS * sizeof(reg) + 64, numbers = LANES * OUTPUTS * sizeof(int32_t);")
        text.add("void *const block = made ? calloc(1, size + numbers) : NULL;")
        with text.block("if (!block)"):
            text.add("free(made);", "return NULL;")
        text.add("made->block = block;")
        text.add("made->m = (reg *)(((uintptr_t)block + 63) / 64 * 64);")
        text.add("made->numbers = (int32_t *)(void *)((char *)block + size);")
        if memory.ones:
            text.add(f"for (int k = 0; k < {len(memory.ones)}; k++)", "    made->m[always[k]] = ONES;")
        text.add("return made;")
    with text.function(f"void {api}_free({api}_memory *memory)"), text.block("if (memory)"):
        text.add("free(memory->block);", "free(memory);")
    if answer.scale is not None:
        text.add("", *c_part("multiply.c").replace("#pragma once\n\n", "").splitlines())
    signature = f"const {api}_input *images, long count, {api}_output *logits, {api}_memory *memory"
    with text.function(f"void {api}_logits({signature})"):
        text.add("reg *const m = memory->m;")
        with text.block("for (long first = 0; first < count; first += LANES)"):
            text.add("const int some = count - first < LANES ? (int)(count - first) : LANES;")
            text.add("slice(images + first * INPUTS, some, m);", *network.calls)
            text.add("unslice(m, some, memory->numbers);")
            with text.block("for (int k = 0; k < some * OUTPUTS; k++)"):
                text.add("const int answer = k % OUTPUTS;")
                text.add(f"const int32_t number = {answer.step} * memory->numbers[k] + answer_offset[answer];")
                real = "multiply((float)number, answer_scale[answer]) + answer_shift[answer]"
                text.add(f"logits[first * OUTPUTS + k] = {'number' if answer.scale is None else real};")
    with text.function(f"int32_t {api}_argmax(const {api}_output logits[{big}_OUTPUTS])"):
        text.add("int32_t best = 0;", f"for (int32_t c = 1; c < {big}_OUTPUTS; c++)")
        text.add("    if (logits[c] > logits[best])", "        best = c;", "return best;")
    return text.text
