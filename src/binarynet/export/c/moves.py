"""Heads that move numbers, or multiply them with a factor of fewer."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from binarynet.export.c.function import Function, clear, counting, each_number, row_in
from binarynet.export.c.pointwise import tail
from binarynet.export.c.product import narrow
from binarynet.export.emit import Names
from binarynet.graph.ir import Concat, Mul, Take


def multiply(made: Function, op: Mul, names: Names) -> None:
    """A size of the factor that is 1 stands for all of them."""
    x, factor = made.layer.sources
    (_, width, channels), (rows, columns, each) = x.size, factor.size
    place = ["c"] if each > 1 else []
    if columns > 1 or rows > 1:
        row, column = f"from / {width * channels}", f"from / {channels} % {width}"
        pixel = f"from / {channels}" if (rows, columns) == (x.size[0], width) else row if rows > 1 else column
        place = [f"{pixel} * {each}" if each > 1 else pixel, *place]
    each_number(made, f"const float v = multiply(x[from + c], x2[{' + '.join(place) or '0'}]);", names)


def _moved(made: Function, source: int, begin: str, channel: str) -> tuple[str, str]:
    """What a Take or a Concat stores of a number of source ``source``, and its type: codes stay codes. The pixel begins
    at ``begin`` in it."""
    x, name = made.layer.sources[source], f"x{source + 1}" if source else "x"
    if x.kind == "bits":
        return f"get_bit({name}, {begin} + {channel})", "int32_t"
    return f"{name}[{begin} + {channel}]", x.c_type()


def _store(made: Function, value: str, kind: str, place: str, names: Names) -> list[str]:
    layer = made.layer
    if layer.sources[0].kind == "bits":
        if made.options.constant_time:
            return [f"put_bit(y, {place}, {value});"]
        return [f"if ({value})", f"    set_bit(y, {place});"]
    if layer.sources[0].kind == "codes":
        return [f"y[{place}] = {value};"]
    lines = tail(layer.tail, made.tables, "v", kind, names, made.options, place)
    return [f"const {kind} v = {value};", *lines]


def take(made: Function, op: Take, names: Names) -> None:
    layer, body = made.layer, made.body
    x, y = layer.sources[0], layer.makes
    (height, wide, inside), (_, width, channels) = x.size, y.size
    made.about += (
        "; where a place is -1, 0" if any((one < 0).any() for one in (op.rows, op.columns, op.channels)) else ""
    )

    def table(places: NDArray[np.int32], what: str, index: str, size: int) -> str:
        """The place of the source, which is written out where it is plain."""
        if np.array_equal(places, np.arange(size)):
            return index
        name = names.unique(f"{op.name}_{what}")
        made.tables.append(narrow(name, places, f"which {what} of the source"))
        return f"{name}[{index}]"

    def there(places: NDArray[np.int32], name: str) -> list[str]:
        return [f"{name} >= 0"] if (places < 0).any() else []

    clear(made)
    with ExitStack() as loops:
        row, column = "0", "0"
        if y.is_image:
            body.add(f"const int32_t y_row = {table(op.rows, 'rows', 'row', height)};")
            loops.enter_context(body.block(counting("column", width)))
            body.add(
                f"const int32_t at = ({row_in(layer.rows_of_y, y)} * {width} + column) * {channels};",
                f"const int32_t x_column = {table(op.columns, 'columns', 'column', wide)};",
            )
            row, column = "y_row", "x_column"
        body.add(f"const int32_t from = ({row} * {wide} + {column}) * {inside};")
        loops.enter_context(body.block(counting("c", channels)))
        body.add(f"const int32_t channel = {table(op.channels, 'channels', 'c', inside)};")
        value, kind = _moved(made, 0, "from", "channel")
        conditions = [*there(op.rows, row), *there(op.columns, column), *there(op.channels, "channel")]
        if conditions:
            zero = (0 - x.low) // x.step if x.kind in ("bits", "codes") else 0
            value = f"{' && '.join(conditions)} ? {value} : {zero}"
        body.add(*_store(made, value, kind, "at + c" if y.is_image else "c", names))


def concat(made: Function, op: Concat, names: Names) -> None:
    layer, body = made.layer, made.body
    y = layer.makes
    _, width, channels = y.size
    clear(made)
    with ExitStack() as loops:
        pixel = "0"
        if y.is_image:
            loops.enter_context(body.block(counting("column", width)))
            row = row_in(layer.rows_of_y, y)
            body.add(f"const int32_t at = ({row} * {width} + column) * {channels};")
            body.add(f"const int32_t y_pixel = row * {width} + column;")
            pixel = "y_pixel"
        begin = 0
        for number, x in enumerate(layer.sources):
            inside = x.size[2]
            with body.block(counting("c", begin + inside, begin)):
                value, kind = _moved(made, number, f"{pixel} * {inside}", f"(c - {begin})" if begin else "c")
                body.add(*_store(made, value, kind, "at + c" if y.is_image else "c", names))
            begin += inside
