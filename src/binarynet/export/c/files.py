"""The text of the four files."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from binarynet.export.c.helpers import chosen
from binarynet.export.c.layers import Function
from binarynet.export.c.product import Table
from binarynet.export.emit import comment, provenance, quoted, table

if TYPE_CHECKING:
    from binarynet.export.c import Network

_WORDS = """typedef uint{bits}_t word;

#define WORD {bits} /* bits of a word */
#define ALL_ONES (~(word)0)
"""


def _input_type(network: Network) -> str:
    return "float" if network.input.encoding.is_float else "uint8_t"


def _output_type(network: Network) -> str:
    return "float" if network.output.kind == "f32" else "int32_t"


def _head(network: Network) -> str:
    word = network.options.word
    lines = [*provenance(network.graph, network.options), "", f"Layers, with their bytes of flash at {word}-bit words:"]
    lines += [f"{sum(part.bytes(word) for part in one.tables):9,}  {one.about}" for one in network.functions]
    lines += [f"{network.flash:9,}  tables of constants in all (flash)", f"{network.arena:9,}  arena (RAM)"]
    return comment(lines)


def _order(network: Network) -> str:
    shape = "x".join(map(str, network.input.shape))
    encoding = network.input.encoding
    what = "reals" if encoding.is_float else f"bytes, codes 0 ... {encoding.count - 1} of {encoding}"
    return f"{shape} {what}" + (", in the order height, width, channels" if len(network.input.shape) == 3 else "")


def header(network: Network) -> str:
    """NAME.h: what the network is, what it costs, and how it is called."""
    api, guard = network.options.api, f"{network.options.api.upper()}_H"
    big = network.options.api.upper()
    return f"""{_head(network)}
#ifndef {guard}
#define {guard}

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {big}_INPUTS {prod(network.input.shape)} /* {_order(network)} */
#define {big}_OUTPUTS {network.output.count}
#define {big}_ARENA_BYTES {network.arena}

typedef {_input_type(network)} {api}_input;
typedef {_output_type(network)} {api}_output;

/* All memory that a run needs besides a little stack. It need not be cleared, and keeps nothing between runs. */
typedef union {{
    uint64_t align;
    unsigned char bytes[{big}_ARENA_BYTES];
}} {api}_arena;

/* One image -> its answers. Runs with different arenas may overlap in time. */
void {api}_logits(const {api}_input image[{big}_INPUTS], {api}_output logits[{big}_OUTPUTS], {api}_arena *arena);

/* The class: where the answer is largest, the first of equals. */
int32_t {api}_argmax(const {api}_output logits[{big}_OUTPUTS]);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _declared(entry: Table) -> str:
    sizes = "".join(f"[{size}]" for size in entry.array.shape)
    return f"static const {entry.kind} {entry.name}{sizes}"


def source(network: Network) -> str:
    """NAME.c: helpers, one function for each layer, the entry, and at the end the tables."""
    api, word = network.options.api, network.options.word
    tables = [entry for one in network.functions for entry in one.tables]
    declarations = "".join(f"{_declared(entry)}; /* {entry.note} */\n" for entry in tables)
    layers = "\n".join(one.text for one in network.functions)
    entry = _entry(network)
    helpers = chosen(layers)
    code = helpers + layers + entry
    bits = re.search(r"\bword\b", code) is not None or any(part.kind == "word" for part in tables)
    head = _WORDS.format(bits=word) if bits else ""
    if "byte_counts" in helpers:
        head += f"#define BUILTIN_POPCOUNT(x) __builtin_popcount{'ll' if word == 64 else 'l'}(x)\n"
    contents = "\n".join(
        f"{_declared(part)} =\n{table(part.array, f'word{word}' if part.kind == 'word' else part.kind)};\n"
        for part in tables
    )
    includes = f'#include "{api}.h"\n'
    if "memset" in code:
        includes += "\n#include <string.h>\n"
    if "INFINITY" in contents:
        includes += "\n#include <math.h> /* INFINITY; nothing is linked */\n"
    return "\n".join(
        part
        for part in (
            f"{comment([f'See {api}.h. A bit is one value, 1 = +1; value i is bit i % WORD of word i / WORD.'])}",
            includes,
            head,
            f"/* The constants; their contents stand at the end. */\n{declarations}" if tables else "",
            helpers.lstrip("\n"),
            layers,
            entry,
            contents,
        )
        if part
    )


def _entry(network: Network) -> str:
    api, big = network.options.api, network.options.api.upper()
    lines = []
    for one in network.functions[:-1]:
        makes = one.layer.makes
        variable = network.buffers[makes.name]
        at = f"(void *)(arena->bytes + {network.offsets[variable]})"
        lines.append(f"    {makes.c_type()} *const {variable} = {at}; /* {str(makes.value).replace('×', 'x')} */\n")
    if lines:
        lines.append("\n")
    lines += [f"    {_call(network, one)}\n" for one in network.functions]
    if not network.offsets:
        lines.append("    (void)arena;\n")
    return f"""
void {api}_logits(const {api}_input image[{big}_INPUTS], {api}_output logits[{big}_OUTPUTS], {api}_arena *arena)
{{
{"".join(lines)}}}

int32_t {api}_argmax(const {api}_output logits[{big}_OUTPUTS])
{{
    int32_t best = 0;
    for (int32_t c = 1; c < {big}_OUTPUTS; c++)
        if (logits[c] > logits[best])
            best = c;
    return best;
}}
"""


def _call(network: Network, one: Function) -> str:
    arguments = [network.buffers[x.name] for x in one.layer.sources]
    arguments.append(network.buffers[one.layer.makes.name])
    for need in one.scratch:
        arguments.append(f"(void *)(arena->bytes + {network.offsets[f'{one.name}.{need.name}']})")
    return f"{one.name}({', '.join(arguments)});"


def main(network: Network) -> str:
    """main.c: reads images, prints classes."""
    api, big = network.options.api, network.options.api.upper()
    real = network.output.kind == "f32"
    shown, value = ('" %.9g"', "(double)logits[c]") if real else ('" %ld"', "(long)logits[c]")
    classes = network.graph.classes
    named = len(classes) == network.output.count
    names, print_name, more = "", "", "with --logits its answers"
    if named:
        more = "its name, or with --logits its answers"
        literals = ", ".join(quoted(name) for name in classes)
        names = f"\nstatic const char *const names[{big}_OUTPUTS] = {{{literals}}};\n"
        print_name = '        else\n            printf(" %s", names[best]);\n'
    return f"""/* Classifies raw images: {_order(network)}, one image behind the other.
 *
 *     {api} [--logits] [FILE]        without FILE, from standard input
 *
 * Prints a line for each image: the number of its class, and {more}.
 */
#include "{api}.h"

#include <stdio.h>
#include <string.h>
{names}
static {api}_input image[{big}_INPUTS];
static {api}_output logits[{big}_OUTPUTS];
static {api}_arena arena;

int main(int count, char **arguments)
{{
    const int all = count > 1 && strcmp(arguments[1], "--logits") == 0;
    const char *const path = count > 1 + all ? arguments[1 + all] : NULL;
    FILE *const file = path ? fopen(path, "rb") : stdin;
    size_t read;
    if (!file) {{
        perror(path);
        return 1;
    }}
    while ((read = fread(image, 1, sizeof image, file)) == sizeof image) {{
        {api}_logits(image, logits, &arena);
        const int32_t best = {api}_argmax(logits);
        printf("%ld", (long)best);
        if (all)
            for (int32_t c = 0; c < {big}_OUTPUTS; c++)
                printf({shown}, {value});
{print_name}        printf("\\n");
    }}
    if (ferror(file) || read > 0) {{
        fprintf(stderr, "{api}: the last image is not whole: it has %lu bytes\\n", (unsigned long)read);
        return 1;
    }}
    return fflush(stdout) != 0;
}}
"""


def makefile(network: Network) -> str:
    api = network.options.api
    return f"""# make            {api}, which reads images and prints classes
# make {api}.o   the network alone, to link with other code
# CFLAGS=-O3 -march=native uses the popcount instruction and vectors of this machine. Any flags give the same answers.
CC     ?= cc
CFLAGS ?= -O3
CFLAGS += -std=c99 -Wall -Wextra -pedantic

{api}: main.o {api}.o
\t$(CC) $(CFLAGS) $(LDFLAGS) -o $@ main.o {api}.o

main.o {api}.o: {api}.h

clean:
\trm -f {api} main.o {api}.o

.PHONY: clean
"""
