"""One layer as one C function, which makes a row at a time: a head that makes a number, a tail that uses it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.c.classes import keys
from binarynet.export.c.lanes import Lanes, lanes, packed
from binarynet.export.c.options import Options
from binarynet.export.c.plan import PLACED, Layer, Stored
from binarynet.export.c.pointwise import TAIL, tail, threshold
from binarynet.export.c.product import Scratch, narrow, product
from binarynet.export.c.writer import Table, Writer
from binarynet.export.emit import Names, pack_words, words
from binarynet.graph.ir import Add, Affine, Concat, Conv2d, Linear, MaxPool2d, Mul, Op, SumPool2d, Take, Threshold
from binarynet.graph.rules import Rules


@dataclass
class Function:
    """A layer's C: what it needs, and its text."""

    layer: Layer
    name: str
    options: Options
    about: str
    bound: int = 0  # of the sums of its head, where it makes the answer
    tables: list[Table] = field(default_factory=list)
    scratch: list[Scratch] = field(default_factory=list)
    body: Writer = field(default_factory=Writer.inside)
    best: Writer | None = None  # the body of a function that returns the class instead
    takes_rows: bool = False  # it is called for each row of its input, not of its output

    @property
    def row(self) -> list[str]:
        """Its last argument, if it makes an image."""
        return ["int32_t row"] if self.layer.makes.is_image else []

    @property
    def text(self) -> str:
        layer = self.layer
        arguments = [f"const {x.c_type()} *x{k if k > 1 else ''}" for k, x in enumerate(layer.sources, 1)]
        arguments += [f"{layer.makes.c_type()} *y", *(f"{one.kind} *{one.name}" for one in self.scratch), *self.row]
        text = Writer()
        for table in self.tables:
            text.add("")
            text.table(table, self.options.word)
        with text.function(f"static void {self.name}({', '.join(arguments)})", self.about):
            text.append(self.body)
        if self.best:
            del arguments[len(layer.sources)]
            about = f"{layer.name}: the class, in integers"
            with text.function(f"static int32_t {self.best_name}({', '.join(arguments)})", about):
                text.append(self.best)
        return text.text

    @property
    def best_name(self) -> str:
        return f"best_{self.name.removeprefix('run_')}"


def function(layer: Layer, names: Names, options: Options, bound: int = 0) -> Function:
    """``bound`` is that of the sums of a last layer, 0 for others.

    Raises:
        ExportError: for an op that C cannot express.
    """
    made = Function(layer, names.unique(f"run_{layer.name}"), options, _about(layer), bound)
    head, x = layer.head, layer.sources[0]
    beside = lanes(layer, options.word)
    if beside:
        _lanes(made, beside, names)
    elif head is None:
        _each_number(made, f"const {_type(x)} v = {_read(x)};", names)
    else:
        RULES.of(head)(made, head, names)
    return made


def _about(layer: Layer) -> str:
    names = ", ".join(f"{op.name}" for op in layer.ops) or layer.name
    read = " and ".join(str(source.value) for source in layer.sources)
    return f"{names}: {read} -> {layer.makes.value}".replace("×", "x")


def _read(x: Stored) -> str:
    """The number at place `from`, channel c."""
    if x.kind == "bits":
        return "2 * get_bit(x, from + c) - 1"
    if x.kind == "codes":
        return f"{x.low} + {x.step} * x[from + c]" if x.step != 1 else f"{x.low} + x[from + c]"
    return "x[from + c]"


def _type(x: Stored) -> str:
    return "float" if x.kind == "f32" else "int32_t"


def _counting(name: str, to: int | str, start: int | str = 0) -> str:
    return f"for (int32_t {name} = {start}; {name} < {to}; {name}++)"


def _place(rows: int, x: Stored) -> str:
    """Where `row` lies, in rows."""
    return "row" if rows == x.size[0] else f"row % {rows}" if rows > 1 else "0"


def _row(name: str, rows: int, x: Stored, size: int) -> str:
    """The first word of a row of `size` words."""
    place = _place(rows, x)
    return name if place == "0" or not x.is_image else f"{name} + {place} * {size}"


def _clear(made: Function) -> None:
    """Bits are set one by one."""
    y, word = made.layer.makes, made.options.word
    if y.kind != "bits":
        return
    row = y.size[1] * y.size[2]
    if not y.is_image or row % word:
        memset = f"memset(y, 0, {words(y.count, word)} * sizeof *y);"
        made.body.add(f"if (row == 0)\n        {memset}" if y.is_image else memset)
    else:
        at = _row("y", made.layer.rows_of_y, y, row // word)
        made.body.add(f"memset({at}, 0, {row // word} * sizeof *y);")


def _each_number(made: Function, head: str, names: Names) -> None:
    """All values of a row in turn; the pixel begins at `from` in x, and at `at` in y."""
    layer, body = made.layer, made.body
    x, y = layer.sources[0], layer.makes
    _, width, channels = y.size
    head = head.replace("CHANNELS", str(channels))
    _clear(made)
    with ExitStack() as loops:
        if y.is_image:
            loops.enter_context(body.block(_counting("column", width)))
            body.add(f"const int32_t at = ({_place(layer.rows_of_y, y)} * {width} + column) * {channels};")
            if layer.rows_of_x == layer.rows_of_y:
                head = head.replace("from", "at")
            else:
                body.add(f"const int32_t from = ({_place(layer.rows_of_x, x)} * {width} + column) * {channels};")
        else:
            head = head.replace("from + c", "c").replace(f"from / {channels}", "0")
        loops.enter_context(body.block(_counting("c", channels)))
        place = "at + c" if y.is_image else "c"
        body.add(head, *tail(layer.tail, made.tables, "v", _type(x), names, made.options, place))


def _window(layer: Layer, op: Conv2d | MaxPool2d | SumPool2d | Linear) -> str:
    """The initializer of a `window`."""
    height, width, channels = layer.sources[0].size
    group, kernel, stride, dilation, padding = channels, (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0))
    if isinstance(op, Conv2d):
        kernel, group = (op.weight.shape[1], op.weight.shape[2]), op.weight.shape[3]
        stride, dilation, padding = op.stride, op.dilation, op.padding
    elif not isinstance(op, Linear):
        kernel, stride, padding = op.kernel, op.stride, op.padding
    sizes = (height, width, channels, group, layer.rows_of_x)
    slides = (*kernel, *stride, *dilation, padding[0][0], padding[1][0])
    return f"{{{', '.join(map(str, (*sizes, *slides)))}}}"


def _view(made: Function, op: Conv2d | MaxPool2d | SumPool2d) -> str:
    return f"static const FLASH window view = {_window(made.layer, op)};"


def _product(made: Function, op: Linear | Conv2d, names: Names) -> None:
    layer, body = made.layer, made.body
    parts = product(layer, op, names, made.options.word)
    made.tables += parts.tables
    made.scratch += parts.scratch
    made.about += _weights_text(op)
    _, width, channels = layer.makes.size
    patch, place, groups = list(parts.patch), "c", 1
    if isinstance(op, Conv2d) and any("&view" in line for line in patch):
        body.add(_view(made, op))
    _clear(made)
    with ExitStack() as loops:
        if isinstance(op, Conv2d):
            groups, place = op.groups, "at + c"
            loops.enter_context(body.block(_counting("column", width)))
            row = _place(layer.rows_of_y, layer.makes)
            body.add(f"const int32_t at = ({row} * {width} + column) * {channels};")
        if groups > 1:
            loops.enter_context(body.block(_counting("group", groups)))
        else:
            patch = [line.replace("column, group", "column, 0") for line in patch]
        body.add(*patch)
        if made.bound and isinstance(op, Linear) and parts.result == "int32_t":
            _best(made, patch, list(parts.lines), names)
        each = channels // groups
        loop = _counting("c", channels) if groups == 1 else _counting("c", f"(group + 1) * {each}", f"group * {each}")
        loops.enter_context(body.block(loop))
        body.add(*parts.lines, *tail(layer.tail, made.tables, "acc", parts.result, names, made.options, place))


def _best(made: Function, patch: list[str], lines: list[str], names: Names) -> None:
    """The class of a last layer that ends in sums, or in an Affine of them that integers can follow."""
    ops, bound = made.layer.tail, made.bound
    value = "acc"
    if ops:
        found = keys(ops[0], bound) if len(ops) == 1 and isinstance(ops[0], Affine) else None
        if found is None:
            return
        tables = [
            Table(names.unique(f"{ops[0].name}_{name}"), kind, numbers, note)
            for name, kind, numbers, note in (
                ("mantissa", "int32_t", found.mantissa, "the scale as an integer"),
                ("shift", "uint8_t", found.shift, "times 2 to this"),
                ("whole", "int64_t", found.offset, "the offset as an integer"),
            )
        ]
        made.tables += tables
        mantissa, shift, whole = (f"{table.name}[c]" for table in tables)
        value = f"rounded(rounded((int64_t){mantissa} * acc * ((int64_t)1 << {shift})) + {whole})"
    made.best = Writer.inside()
    made.best.add(*patch, "int32_t best = 0;", "int64_t most = -((int64_t)1 << 62); /* less than any */")
    with made.best.block(_counting("c", made.layer.makes.size[2])):
        made.best.add(*lines, f"const int64_t v = {value};")
        made.best.add("const int64_t larger = -(int64_t)((uint64_t)(most - v) >> 63); /* 0 or -1: no branch */")
        made.best.add("most ^= (most ^ v) & larger;", "best ^= (best ^ c) & (int32_t)larger;")
    made.best.add("return best;")


def _weights_text(op: Linear | Conv2d) -> str:
    parts = [f"; weights {'x'.join(map(str, op.weight.shape))} {op.weight_encoding}"]
    if isinstance(op, Conv2d):
        parts += [f"stride {op.stride[0]}x{op.stride[1]}"] if op.stride != (1, 1) else []
        parts += [f"dilation {op.dilation[0]}x{op.dilation[1]}"] if op.dilation != (1, 1) else []
        (top, bottom), (left, right) = op.padding
        if top or bottom or left or right:
            parts.append(f"{op.pad_value} outside: {top} above, {bottom} below, {left} left, {right} right")
        parts += [f"{op.groups} groups"] if op.groups > 1 else []
    return ", ".join(parts)


def _lanes(made: Function, beside: Lanes, names: Names) -> None:
    """A product whose outputs lie side by side."""
    layer, op, x = made.layer, made.layer.head, made.layer.sources[0]
    assert isinstance(op, Linear | Conv2d)
    word, fixed = made.options.word, made.options.constant_time
    made.about += f"{_weights_text(op)}; {word} outputs side by side"
    weights, starts, falls, rows, columns = (
        names.unique(f"{op.name}_{what}") for what in ("weight", "start", "falls", "row_class", "column_class")
    )
    packed_weights = packed(beside.weights, word)
    made.tables += [
        Table(weights, "word", packed_weights.reshape(beside.groups * beside.blocks, -1), "a bit for each output"),
        Table(
            starts, "word", packed(beside.starts, word).reshape(-1, beside.digits), "minus the thresholds, by digits"
        ),
        Table(falls, "word", packed(beside.falls, word).reshape(-1), "1: where the threshold is not reached"),
        Table(rows, "uint8_t", beside.row_class, "which kernel rows are outside, for each row"),
        Table(columns, "uint8_t", beside.column_class, "which kernel columns are outside, for each column"),
    ]
    made.scratch += [
        Scratch("counters", "word", beside.open * beside.blocks * (beside.digits + 1)),
        Scratch("memory", "word", beside.memory(word, fixed)),
    ]
    _, width, channels = layer.makes.size
    kernel = op.weight.shape[1] if isinstance(op, Conv2d) else 1
    row_words = width * channels // word
    sizes = (beside.unit, beside.weights.shape[3], width, beside.groups, beside.blocks, beside.open, beside.digits)
    with made.body.block("static const FLASH lanes view =", "};"):
        made.body.add(f"{_window(layer, op)},")
        made.body.add(f"{0 if x.kind == 'bits' else x.planes}, {', '.join(map(str, sizes))},")
        made.body.add(f"{weights}[0], {starts}[0], {falls}, {rows}, {columns}, {len(np.unique(beside.column_class))},")
    made.body.add(f"int32_t sums[{beside.open}], rows[{kernel}];")
    at = _row("y", layer.rows_of_y, layer.makes, row_words)
    row = "row" if layer.makes.is_image else "0"
    made.body.add(f"run_lanes(&view, x, {at}, {row}, counters, memory, sums, rows);")


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
    window = _window(layer, op)
    made.body.add(
        f"static const FLASH row_pool view = {{{window}, {rows}, {columns}, {layer.rows_of_y}, {mixed or '0'}}};",
        f"pool_row(&view, {_row('x', layer.rows_of_x, x, x.size[1] * channels // word)}, y, row);",
    )


def _pool(made: Function, op: MaxPool2d | SumPool2d, names: Names) -> None:
    """What lies inside the image under each window: bits word by word, other values channel by channel."""
    layer, body, word = made.layer, made.body, made.options.word
    x = layer.sources[0]
    _, width, channels = layer.makes.size
    kernel = f"{op.kernel[0]}x{op.kernel[1]}"
    mixed = _minimum(made, op, names) if isinstance(op, MaxPool2d) else ""
    body.add(_view(made, op), f"int32_t taps[{op.kernel[0] * op.kernel[1]}];")
    _clear(made)
    with body.block(_counting("column", width)):
        row = _place(layer.rows_of_y, layer.makes)
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
                with body.block(_counting("k", length)):
                    body.add(f"any[k] = (word)((any[k] & ~{mixed}[k]) | (all[k] & {mixed}[k]));")
            body.add(f"copy_bits(y, at, {'all' if op.minimum.all() else 'any'}, 0, {channels});")
            return
        of_codes = isinstance(op, MaxPool2d) and x.kind == "codes"
        kind = "uint8_t" if of_codes else _type(x)
        number = "x[from + c]" if of_codes else _read(x)
        number = number.replace("from + c", f"taps[k] * {channels} + c")
        with body.block(_counting("c", channels)):
            if isinstance(op, SumPool2d):
                made.about += f"; sums of {kernel}"
                body.add(f"{kind} v = 0;", _counting("k", "count"), f"    v += {number};")
            else:
                made.about += f"; {'smallest' if op.minimum.all() else 'largest'} of {kernel}"
                body.add(f"{kind} v = {number.replace('taps[k]', 'taps[0]')};")
                with body.block(_counting("k", "count", 1)):
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


def _max_pool(made: Function, op: MaxPool2d, names: Names) -> None:
    by_rows = _by_rows(op, made.layer.sources[0], made.options.word)
    (_pool_by_rows if by_rows else _pool)(made, op, names)


def _add(made: Function, op: Add, names: Names) -> None:
    _each_number(made, f"const {_type(made.layer.sources[0])} v = x[from + c] + x2[from + c];", names)


def _mul(made: Function, op: Mul, names: Names) -> None:
    """A size of the factor that is 1 stands for all of them."""
    x, factor = made.layer.sources
    (_, width, channels), (rows, columns, each) = x.size, factor.size
    place = ["c"] if each > 1 else []
    if columns > 1 or rows > 1:
        row, column = f"from / {width * channels}", f"from / {channels} % {width}"
        pixel = f"from / {channels}" if (rows, columns) == (x.size[0], width) else row if rows > 1 else column
        place = [f"{pixel} * {each}" if each > 1 else pixel, *place]
    _each_number(made, f"const float v = multiply(x[from + c], x2[{' + '.join(place) or '0'}]);", names)


def _moved(made: Function, source: int, begin: str, channel: str) -> tuple[str, str]:
    """What a Take or a Concat stores of a number of source ``source``, and its type: codes stay codes. The pixel begins
    at ``begin`` in it."""
    x, name = made.layer.sources[source], f"x{source + 1}" if source else "x"
    if x.kind == "bits":
        return f"get_bit({name}, {begin} + {channel})", "int32_t"
    return f"{name}[{begin} + {channel}]", x.c_type()


def _store(made: Function, value: str, kind: str, place: str, names: Names) -> list[str]:
    layer = made.layer
    if layer.makes.kind == "bits":
        if made.options.constant_time:
            return [f"put_bit(y, {place}, {value});"]
        return [f"if ({value})", f"    set_bit(y, {place});"]
    if layer.makes.kind == "codes":
        return [f"y[{place}] = {value};"]
    lines = tail(layer.tail, made.tables, "v", kind, names, made.options, place)
    return [f"const {kind} v = {value};", *lines]


def _take(made: Function, op: Take, names: Names) -> None:
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

    _clear(made)
    with ExitStack() as loops:
        row, column = "0", "0"
        if y.is_image:
            body.add(f"const int32_t y_row = {table(op.rows, 'rows', 'row', height)};")
            loops.enter_context(body.block(_counting("column", width)))
            body.add(
                f"const int32_t at = ({_place(layer.rows_of_y, y)} * {width} + column) * {channels};",
                f"const int32_t x_column = {table(op.columns, 'columns', 'column', wide)};",
            )
            row, column = "y_row", "x_column"
        body.add(f"const int32_t from = ({row} * {wide} + {column}) * {inside};")
        loops.enter_context(body.block(_counting("c", channels)))
        body.add(f"const int32_t channel = {table(op.channels, 'channels', 'c', inside)};")
        value, kind = _moved(made, 0, "from", "channel")
        conditions = [*there(op.rows, row), *there(op.columns, column), *there(op.channels, "channel")]
        if conditions:
            zero = (0 - x.low) // x.step if x.kind in ("bits", "codes") else 0
            value = f"{' && '.join(conditions)} ? {value} : {zero}"
        body.add(*_store(made, value, kind, "at + c" if y.is_image else "c", names))


def _concat(made: Function, op: Concat, names: Names) -> None:
    layer, body = made.layer, made.body
    y = layer.makes
    _, width, channels = y.size
    _clear(made)
    with ExitStack() as loops:
        pixel = "0"
        if y.is_image:
            loops.enter_context(body.block(_counting("column", width)))
            row = _place(layer.rows_of_y, y)
            body.add(f"const int32_t at = ({row} * {width} + column) * {channels};")
            body.add(f"const int32_t y_pixel = row * {width} + column;")
            pixel = "y_pixel"
        begin = 0
        for number, x in enumerate(layer.sources):
            inside = x.size[2]
            with body.block(_counting("c", begin + inside, begin)):
                value, kind = _moved(made, number, f"{pixel} * {inside}", f"(c - {begin})" if begin else "c")
                body.add(*_store(made, value, kind, "at + c" if y.is_image else "c", names))
            begin += inside


_HEADS: dict[type[Op], Callable[..., None]] = {
    Linear: _product,
    Conv2d: _product,
    MaxPool2d: _max_pool,
    SumPool2d: _pool,
    Add: _add,
    Mul: _mul,
    Take: _take,
    Concat: _concat,
}
_EVERY: dict[type[Op], Callable[..., object]] = {**PLACED, **_HEADS, **TAIL, Threshold: threshold}
RULES = Rules("export/c", _EVERY, error=ExportError)
