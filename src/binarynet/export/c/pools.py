"""Pools: bits word by word, other values channel by channel."""

from __future__ import annotations

from binarynet.export.c.function import (
    Function,
    clear,
    counting,
    kind_of,
    number_of,
    row_in,
    row_of,
    view_of,
    window_of,
)
from binarynet.export.c.plan import Stored
from binarynet.export.c.pointwise import tail
from binarynet.export.c.product import Scratch
from binarynet.export.c.writer import Table
from binarynet.export.emit import Names, pack_words, words
from binarynet.graph.ir import MaxPool2d, SumPool2d


def _minimum(made: Function, op: MaxPool2d, names: Names) -> str:
    """The table that says which channels take the smallest; none where all or none do."""
    if op.minimum.all() or not op.minimum.any():
        return ""
    name = names.unique(f"{op.name}_minimum")
    bits = pack_words(op.minimum, made.options.word)
    made.tables.append(Table(name, "word", bits, "1: the smallest, not the largest"))
    return name


def _by_rows(op: MaxPool2d, x: Stored, word: int) -> bool:
    """Whether a row of the input belongs to one row of windows, and a pixel is whole words."""
    apart = all(stride >= kernel for stride, kernel in zip(op.stride, op.kernel, strict=True))
    return x.kind == "bits" and x.size[2] % word == 0 and apart


def _pool_text(op: MaxPool2d, mixed: str) -> str:
    which = "OR, or AND," if mixed else "AND" if op.minimum.all() else "OR"
    return f"; {which} of {op.kernel[0]}x{op.kernel[1]}"


def _pool_by_rows(made: Function, op: MaxPool2d, names: Names) -> None:
    layer, word = made.layer, made.options.word
    x, (rows, columns, channels) = layer.sources[0], layer.makes.size
    mixed = _minimum(made, op, names)
    if op.minimum.all():
        mixed = names.unique(f"{op.name}_minimum")
        made.tables.append(Table(mixed, "word", pack_words(op.minimum, word), "1: the smallest"))
    made.about += _pool_text(op, "" if op.minimum.all() else mixed)
    made.takes_rows = True
    window = window_of(layer, op)
    made.body.add(
        f"static const FLASH row_pool view = {{{window}, {rows}, {columns}, {layer.rows_of_y}, {mixed or '0'}}};",
        f"pool_row(&view, {row_of('x', layer.rows_of_x, x, x.size[1] * channels // word)}, y, row);",
    )


def pool(made: Function, op: MaxPool2d | SumPool2d, names: Names) -> None:
    """What lies inside the image under each window: bits word by word, other values channel by channel."""
    layer, body, word = made.layer, made.body, made.options.word
    x = layer.sources[0]
    _, width, channels = layer.makes.size
    kernel = f"{op.kernel[0]}x{op.kernel[1]}"
    mixed = _minimum(made, op, names) if isinstance(op, MaxPool2d) else ""
    body.add(view_of(made, op), f"int32_t taps[{op.kernel[0] * op.kernel[1]}];")
    clear(made)
    with body.block(counting("column", width)):
        row = row_in(layer.rows_of_y, layer.makes)
        body.add(
            f"const int32_t at = ({row} * {width} + column) * {channels};",
            "const int32_t count = find_taps(&view, row, column, taps);",
        )
        if x.kind == "bits" and isinstance(op, MaxPool2d):
            made.about += _pool_text(op, mixed)
            length = words(channels, word)
            made.scratch += [Scratch("any", "word", length), Scratch("all", "word", length)]
            body.add(f"pool_bits(x, taps, count, {channels}, any, all);")
            if mixed:
                with body.block(counting("k", length)):
                    body.add(f"any[k] = (word)((any[k] & ~{mixed}[k]) | (all[k] & {mixed}[k]));")
            body.add(f"copy_bits(y, at, {'all' if op.minimum.all() else 'any'}, 0, {channels});")
            return
        of_codes = isinstance(op, MaxPool2d) and x.kind == "codes"
        kind = "uint8_t" if of_codes else kind_of(x)
        number = "x[from + c]" if of_codes else number_of(x)
        number = number.replace("from + c", f"taps[k] * {channels} + c")
        with body.block(counting("c", channels)):
            if isinstance(op, SumPool2d):
                made.about += f"; sums of {kernel}"
                body.add(f"{kind} v = 0;", counting("k", "count"), f"    v += {number};")
            else:
                made.about += f"; {'smallest' if op.minimum.all() else 'largest'} of {kernel}"
                body.add(f"{kind} v = {number.replace('taps[k]', 'taps[0]')};")
                with body.block(counting("k", "count", 1)):
                    chosen = "next < v" if op.minimum.all() else "next > v"
                    if mixed:
                        chosen = f"get_table_bit({mixed}, c) ? next < v : next > v"
                    body.add(f"const {kind} next = {number};")
                    if made.options.constant_time:
                        chosen = chosen.replace("next < v", "at_least(v, next)").replace(
                            "next > v", "at_least(next, v)"
                        )
                        body.add(f"v = ({kind})(v + (next - v) * ({chosen}));")
                    else:
                        body.add(f"if ({chosen})", "    v = next;")
            body.add(*tail(layer.tail, made.tables, "v", kind, names, made.options, "at + c"))


def max_pool(made: Function, op: MaxPool2d, names: Names) -> None:
    by_rows = _by_rows(op, made.layer.sources[0], made.options.word)
    (_pool_by_rows if by_rows else pool)(made, op, names)
