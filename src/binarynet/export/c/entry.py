"""The function that runs the layers: stage after stage, and within a stage row after row."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from math import prod
from typing import TYPE_CHECKING

from binarynet.export.c.function import Function
from binarynet.export.c.memory import ANSWER, Stage, reach, scratch_places
from binarynet.export.c.plan import Stored
from binarynet.export.c.writer import Writer, note

if TYPE_CHECKING:
    from binarynet.export.c.network import Network


def logits(network: Network) -> str:
    api, big = network.options.api, network.options.api.upper()
    outputs = f"{api}_output logits[{big}_OUTPUTS]"
    return f"void {api}_logits(const {api}_input image[{big}_INPUTS], {outputs}, {api}_arena *arena)"


def class_(network: Network) -> str:
    api = network.options.api
    return f"int32_t {api}_class(const {api}_input image[{api.upper()}_INPUTS], {api}_arena *arena)"


def argmax(network: Network) -> str:
    return f"int32_t {network.options.api}_argmax(const {network.options.api}_output logits[{network.big}_OUTPUTS])"


def run(network: Network, text: Writer) -> None:
    """The public functions."""
    last, api = network.functions[-1], network.options.api
    if last.best:
        inner = f"static void run_inner(const {api}_input *image, {api}_arena *arena)"
        with text.function(inner, "All layers but the last."):
            _buffers(network, text, network.functions[:-1])
            _stages(network, text, len(network.stages) - 1)
        with text.function(logits(network)):
            text.add("run_inner(image, arena);", _call(network, last, len(network.stages) - 1, "", inner=False))
        with text.function(class_(network)):
            text.add("run_inner(image, arena);")
            text.add(f"return {_call(network, last, len(network.stages) - 1, '', inner=False, best=True)}")
    else:
        with text.function(logits(network)):
            _buffers(network, text, network.functions[:-1])
            _stages(network, text, len(network.stages))
        with text.function(class_(network)):
            place = _place(network.offsets[ANSWER], f"{api}_output")
            text.add(f"{api}_output *const logits = {place};", f"{api}_logits(image, logits, arena);")
            text.add(f"return {api}_argmax(logits);")
    outputs = network.graph.outputs
    first = str(prod(outputs[0].shape)) if outputs else f"{network.big}_OUTPUTS"
    with text.function(argmax(network)):
        text.add("int32_t best = 0;", f"for (int32_t c = 1; c < {first}; c++)")
        text.add("    if (logits[c] > logits[best])", "        best = c;", "return best;")


def _buffers(network: Network, text: Writer, functions: Sequence[Function]) -> None:
    for one in functions:
        makes = one.layer.makes
        variable, kind = network.buffers[makes.name], makes.c_type()
        kept = one.layer.rows_of_y
        rows = "" if kept == makes.size[0] or not makes.is_image else f", {kept} rows at a time"
        place = _place(network.offsets[makes.name], kind)
        text.add(f"{kind} *const {variable} = {place}; {note(str(makes.value).replace('×', 'x') + rows)}")
    if functions:
        text.add("")


def _stages(network: Network, text: Writer, count: int) -> None:
    for number, stage in enumerate(network.stages[:count]):
        _stage(network, number, stage, text)
    used = [k for stage in network.stages[:count] for k in stage]
    if not any(network.functions[k].scratch or k + 1 < len(network.functions) for k in used):
        text.add("(void)arena;")
    if not used:
        text.add("(void)image;")


def _place(offset: int, kind: str) -> str:
    return f"({kind} *)(void *)(arena->bytes + {offset})"


def _call(network: Network, one: Function, number: int, row: str, inner: bool = True, best: bool = False) -> str:
    """``inner``: the buffers are variables; ``best``: the class instead of the answers."""

    def place(x: Stored) -> str:
        name = network.buffers[x.name]
        return name if inner or name in ("image", "logits") else _place(network.offsets[x.name], x.c_type())

    arguments = [place(x) for x in (*one.layer.sources, *([] if best else [one.layer.makes]))]
    start = network.offsets.get(f"scratch {number}", 0)
    for need, at in zip(one.scratch, scratch_places(one, network.options.word), strict=True):
        arguments.append(_place(start + at, need.kind))
    name = one.best_name if best else one.name
    return f"{name}({', '.join([*arguments, *([row] if one.row else [])])});"


def _stage(network: Network, number: int, stage: Stage, text: Writer) -> None:
    """Each layer runs as soon as there is the last row that it needs, inside the loop over the rows that it reads."""
    functions = [network.functions[k] for k in stage]
    first, last = functions[0], functions[-1]
    if not first.row:
        text.add(_call(network, first, number, ""))
        return
    rows = {one.name: f"row{k + 1}" for k, one in zip(stage, functions, strict=True)}
    waits = [one for one in functions if one.takes_rows or one is not first]
    waits = [one for one in waits if not (one is last and one.takes_rows)]
    above, height = rows[first.name], first.layer.makes.size[0]
    if first.takes_rows:
        above, height = "row", first.layer.sources[0].size[0]
    if waits:
        text.add(f"int32_t {', '.join(f'{rows[one.name]} = 0' for one in waits)};")
    with ExitStack() as loops:
        loops.enter_context(text.block(f"for (int32_t {above} = 0; {above} < {height}; {above}++)"))
        for one in functions:
            if one is first or one.takes_rows:
                text.add(_call(network, one, number, above))
            if one in waits:
                loops.enter_context(text.block(_ready(one, rows[one.name], above)))
                above = rows[one.name]
                if not one.takes_rows:
                    text.add(_call(network, one, number, above))


def _ready(one: Function, row: str, above: str) -> str:
    """The loop over the rows that can be made, or are whole, now that row ``above`` of the input is there."""
    need, rows, height = reach(one.layer), one.layer.makes.size[0], one.layer.sources[0].size[0]
    scaled = row if need.stride == 1 else f"{row} * {need.stride}"
    last = f"{scaled} + {need.last}" if need.last > 0 else f"{scaled} - {-need.last}" if need.last else scaled
    there = f"{last} <= {above}"
    if (rows - 1) * need.stride + need.last > height - 1:
        there = f"({there} || {above} == {height - 1})"
    return f"for (; {row} < {rows} && {there}; {row}++)"
