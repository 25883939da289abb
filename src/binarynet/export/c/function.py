"""The C function of a layer while it is written, and what its loops share."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from binarynet.export.c.options import Options
from binarynet.export.c.plan import Layer, Stored
from binarynet.export.c.pointwise import tail
from binarynet.export.c.product import Scratch
from binarynet.export.c.writer import Table, Writer
from binarynet.export.emit import Names, words
from binarynet.graph.ir import Conv2d, Linear, MaxPool2d, SumPool2d


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


def number_of(x: Stored) -> str:
    """The number at place `from`, channel c."""
    if x.kind == "bits":
        return "2 * get_bit(x, from + c) - 1"
    if x.kind == "codes":
        return f"{x.low} + {x.step} * x[from + c]" if x.step != 1 else f"{x.low} + x[from + c]"
    return "x[from + c]"


def kind_of(x: Stored) -> str:
    return "float" if x.kind == "f32" else "int32_t"


def counting(name: str, to: int | str, start: int | str = 0) -> str:
    return f"for (int32_t {name} = {start}; {name} < {to}; {name}++)"


def row_in(rows: int, x: Stored) -> str:
    """Where `row` lies, in rows."""
    return "row" if rows == x.size[0] else f"row % {rows}" if rows > 1 else "0"


def row_of(name: str, rows: int, x: Stored, size: int) -> str:
    """The first word of a row of `size` words."""
    place = row_in(rows, x)
    return name if place == "0" or not x.is_image else f"{name} + {place} * {size}"


def clear(made: Function) -> None:
    """Bits are set one by one."""
    y, word = made.layer.makes, made.options.word
    if y.kind != "bits":
        return
    row = y.size[1] * y.size[2]
    if not y.is_image or row % word:
        memset = f"memset(y, 0, {words(y.count, word)} * sizeof *y);"
        made.body.add(f"if (row == 0)\n        {memset}" if y.is_image else memset)
    else:
        at = row_of("y", made.layer.rows_of_y, y, row // word)
        made.body.add(f"memset({at}, 0, {row // word} * sizeof *y);")


def each_number(made: Function, head: str, names: Names) -> None:
    """All values of a row in turn; the pixel begins at `from` in x, and at `at` in y."""
    layer, body = made.layer, made.body
    x, y = layer.sources[0], layer.makes
    _, width, channels = y.size
    head = head.replace("CHANNELS", str(channels))
    clear(made)
    with ExitStack() as loops:
        if y.is_image:
            loops.enter_context(body.block(counting("column", width)))
            body.add(f"const int32_t at = ({row_in(layer.rows_of_y, y)} * {width} + column) * {channels};")
            if layer.rows_of_x == layer.rows_of_y:
                head = head.replace("from", "at")
            else:
                body.add(f"const int32_t from = ({row_in(layer.rows_of_x, x)} * {width} + column) * {channels};")
        else:
            head = head.replace("from + c", "c").replace(f"from / {channels}", "0")
        loops.enter_context(body.block(counting("c", channels)))
        place = "at + c" if y.is_image else "c"
        body.add(head, *tail(layer.tail, made.tables, "v", kind_of(x), names, made.options, place))


def window_of(layer: Layer, op: Conv2d | MaxPool2d | SumPool2d | Linear) -> str:
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


def view_of(made: Function, op: Conv2d | MaxPool2d | SumPool2d) -> str:
    return f"static const FLASH window view = {window_of(made.layer, op)};"
