"""One layer as one C function: loops over the places and channels, a head that makes a number, a tail that uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from binarynet.errors import ExportError
from binarynet.export.c.plan import PLACED, Layer, Stored
from binarynet.export.c.pointwise import TAIL, tail, threshold
from binarynet.export.c.product import Scratch, Table, product
from binarynet.export.emit import Names, harmless, pack_words, words
from binarynet.graph.ir import Add, Conv2d, Linear, MaxPool2d, Mul, Op, SumPool2d, Threshold
from binarynet.graph.rules import Rules

_INDENT = "    "
WINDOW_FIELDS = (
    *("height", "width", "channels", "group_channels"),
    *("kernel_height", "kernel_width", "stride_down", "stride_right"),
    *("dilation_down", "dilation_right", "top", "left"),
)


@dataclass
class Function:
    """A layer's C: what it needs, and its text."""

    layer: Layer
    name: str
    tables: list[Table] = field(default_factory=list)
    scratch: list[Scratch] = field(default_factory=list)
    text: str = ""
    about: str = ""


def function(layer: Layer, names: Names, word: int) -> Function:
    """Raises ExportError for an op that C cannot express."""
    made = Function(layer, names.unique(f"run_{layer.name}"))
    made.about = _about(layer)
    head = layer.head
    if head is None:
        _each_number(made, [f"const {_type(layer.sources[0])} v = {_read(layer.sources[0])};"], names, word)
    else:
        RULES.of(head)(made, head, names, word)
    return made


def _about(layer: Layer) -> str:
    made = layer.makes.value
    names = ", ".join(f"{op.name}" for op in layer.ops) or layer.name
    read = " and ".join(str(source.value) for source in layer.sources)
    return f"{names}: {read} -> {made}".replace("×", "x")


def _read(x: Stored) -> str:
    """The number at place `at`, channel c."""
    if x.kind == "bits":
        return "2 * get_bit(x, at + c) - 1"
    if x.kind == "codes":
        return f"{x.low} + {x.step} * x[at + c]" if x.step != 1 else f"{x.low} + x[at + c]"
    return "x[at + c]"


def _type(x: Stored) -> str:
    return "float" if x.kind == "f32" else "int32_t"


def _size(x: Stored) -> tuple[int, int, int]:
    """height, width, channels; a vector is one pixel."""
    shape = x.value.shape
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])


def _signature(made: Function) -> str:
    layer = made.layer
    arguments = [f"const {x.c_type()} *x{k if k > 1 else ''}" for k, x in enumerate(layer.sources, 1)]
    arguments.append(f"{layer.makes.c_type()} *y")
    arguments += [f"{scratch.kind} *{scratch.name}" for scratch in made.scratch]
    return f"static void {made.name}({', '.join(arguments)})"


def _finish(made: Function, body: list[str]) -> None:
    made.text = (
        f"/* {harmless(made.about)} */\n{_signature(made)}\n{{\n"
        + "".join(f"{_INDENT}{line}".rstrip() + "\n" for line in body)
        + "}\n"
    )


def _nested(loops: list[str], before: dict[int, list[str]], inner: list[str]) -> list[str]:
    """Loops in one another; ``before[k]`` stands in loop k, ahead of loop k + 1."""
    lines: list[str] = []
    for depth, loop in enumerate(loops):
        lines.append(_INDENT * depth + loop + " {")
        lines += [_INDENT * (depth + 1) + line for line in before.get(depth, [])]
    lines += [_INDENT * len(loops) + line for line in inner]
    return lines + [_INDENT * depth + "}" for depth in reversed(range(len(loops)))]


def _places(height: int, width: int) -> list[str]:
    return [
        f"for (int32_t {name} = 0; {name} < {size}; {name}++)" for name, size in (("row", height), ("column", width))
    ]


def _clear(made: Function, word: int) -> list[str]:
    if made.layer.makes.kind != "bits":
        return []
    return [f"memset(y, 0, {words(made.layer.makes.count, word)} * sizeof *y); /* bits are set one by one */"]


def _each_number(made: Function, head: list[str], names: Names, word: int) -> None:
    """All values in turn; the pixel begins at `at`."""
    kind = _type(made.layer.sources[0])
    height, width, channels = _size(made.layer.makes)
    loops = [f"for (int32_t c = 0; c < {channels}; c++)"]
    if height * width > 1:
        loops.insert(0, f"for (int32_t at = 0; at < {height * width * channels}; at += {channels})")
    else:
        head = [line.replace("at + c", "c").replace("at / CHANNELS", "0") for line in head]
    head = [line.replace("CHANNELS", str(channels)) for line in head]
    inner = [
        *head,
        *tail(made.layer.tail, made.tables, "v", kind, names, word, "at + c" if height * width > 1 else "c"),
    ]
    _finish(made, [*_clear(made, word), *_nested(loops, {}, inner)])


def _view(x: Stored, op: Conv2d | MaxPool2d | SumPool2d | Linear) -> list[str]:
    height, width, channels = _size(x)
    group, kernel, stride, dilation, corner = channels, (1, 1), (1, 1), (1, 1), (0, 0)
    if isinstance(op, Conv2d):
        kernel, group = (op.weight.shape[1], op.weight.shape[2]), op.weight.shape[3]
        stride, dilation = op.stride, op.dilation
    elif isinstance(op, MaxPool2d | SumPool2d):
        kernel, stride = op.kernel, op.stride
    if not isinstance(op, Linear):
        corner = (op.padding[0][0], op.padding[1][0])
    sizes = (height, width, channels, group, *kernel, *stride, *dilation, *corner)
    numbers = dict(zip(WINDOW_FIELDS, sizes, strict=True))
    rows = (WINDOW_FIELDS[:4], WINDOW_FIELDS[4:8], WINDOW_FIELDS[8:])
    inside = [", ".join(f".{name} = {numbers[name]}" for name in row) for row in rows]
    return ["static const window view = {", *(f"{_INDENT}{row}," for row in inside), "};"]


def _product(made: Function, op: Linear | Conv2d, names: Names, word: int) -> None:
    layer = made.layer
    parts = product(layer, op, names, word)
    made.tables += parts.tables
    made.scratch += parts.scratch
    made.about += f"; weights {'x'.join(map(str, op.weight.shape))} {op.weight_encoding}"
    height, width, channels = _size(layer.makes)
    body = list(parts.setup)
    if any("&view" in line for line in parts.patch):
        body = [*_view(layer.sources[0], op), *body]
    body += _clear(made, word)
    if isinstance(op, Linear):
        patch = [line.replace("row, column, group", "0, 0, 0") for line in parts.patch]
        loops = [f"for (int32_t c = 0; c < {channels}; c++)"]
        body += [
            *patch,
            *_nested(
                loops, {}, [*parts.lines, *tail(made.layer.tail, made.tables, "acc", parts.result, names, word, "c")]
            ),
        ]
    else:
        made.about += _window_text(op)
        each = channels // op.groups
        groups = op.groups > 1
        loops = _places(height, width)
        before = {1: [f"const int32_t at = (row * {width} + column) * {channels};"]}
        if groups:
            loops.append(f"for (int32_t group = 0; group < {op.groups}; group++)")
            before[2] = list(parts.patch)
            loops.append(f"for (int32_t c = group * {each}; c < (group + 1) * {each}; c++)")
        else:
            before[1] += [line.replace("column, group", "column, 0") for line in parts.patch]
            loops.append(f"for (int32_t c = 0; c < {channels}; c++)")
        body += _nested(
            loops,
            before,
            [*parts.lines, *tail(made.layer.tail, made.tables, "acc", parts.result, names, word, "at + c")],
        )
    _finish(made, body)


def _window_text(op: Conv2d) -> str:
    parts = [f"stride {op.stride[0]}x{op.stride[1]}"] if op.stride != (1, 1) else []
    parts += [f"dilation {op.dilation[0]}x{op.dilation[1]}"] if op.dilation != (1, 1) else []
    (top, bottom), (left, right) = op.padding
    if top or bottom or left or right:
        parts.append(f"{op.pad_value} outside: {top} above, {bottom} below, {left} left, {right} right")
    parts += [f"{op.groups} groups"] if op.groups > 1 else []
    return "".join(f", {part}" for part in parts)


def _pool_of_bits(made: Function, op: MaxPool2d, names: Names, word: int) -> None:
    """OR, and AND where the op says minimum, word by word."""
    height, width, channels = _size(made.layer.makes)
    length = words(channels, word)
    made.scratch += [Scratch("any", "word", length), Scratch("all", "word", length)]
    chosen, note = "any", "OR"
    before = ["pool_bits(&view, x, row, column, any, all, " + f"{length});"]
    if op.minimum.all():
        chosen, note = "all", "AND"
    elif op.minimum.any():
        table = Table(
            names.unique(f"{op.name}_minimum"), "word", pack_words(op.minimum, word), "1: AND, not OR, of the bits"
        )
        made.tables.append(table)
        note = "OR, or AND"
        before += [
            f"for (int32_t k = 0; k < {length}; k++)",
            f"    any[k] = (any[k] & ~{table.name}[k]) | (all[k] & {table.name}[k]);",
        ]
    made.about += f"; {note} of {op.kernel[0]}x{op.kernel[1]}"
    loops = _places(height, width)
    inner = [*before, f"copy_bits(y, (row * {width} + column) * {channels}, {chosen}, 0, {channels});"]
    _finish(made, [*_view(made.layer.sources[0], op), *_clear(made, word), *_nested(loops, {}, inner)])


def _pool(made: Function, op: MaxPool2d | SumPool2d, names: Names, word: int) -> None:
    x = made.layer.sources[0]
    height, width, channels = _size(made.layer.makes)
    arguments = "&view, x, row, column, c"
    if isinstance(op, SumPool2d):
        more = f", {x.low}, {x.step}" if x.kind == "codes" else ""
        call = f"sum_{x.kind}({arguments}{more})"
        made.about += f"; sums of {op.kernel[0]}x{op.kernel[1]}"
    else:
        largest, smallest = (f"{side}_{x.kind}({arguments})" for side in ("largest", "smallest"))
        made.about += f"; largest of {op.kernel[0]}x{op.kernel[1]}"
        call = largest
        if op.minimum.all():
            call = smallest
        elif op.minimum.any():
            table = Table(
                names.unique(f"{op.name}_minimum"),
                "word",
                pack_words(op.minimum, word),
                "1: the smallest",
            )
            made.tables.append(table)
            call = f"get_bit({table.name}, c) ? {smallest} : {largest}"
    loops = [*_places(height, width), f"for (int32_t c = 0; c < {channels}; c++)"]
    before = {1: [f"const int32_t at = (row * {width} + column) * {channels};"]}
    if x.kind == "codes" and isinstance(op, MaxPool2d):
        inner = [f"y[at + c] = {call};"]
    else:
        inner = [
            f"const {_type(x)} v = {call};",
            *tail(made.layer.tail, made.tables, "v", _type(x), names, word, "at + c"),
        ]
    _finish(made, [*_view(x, op), *_clear(made, word), *_nested(loops, before, inner)])


def _max_pool(made: Function, op: MaxPool2d, names: Names, word: int) -> None:
    (_pool_of_bits if made.layer.sources[0].kind == "bits" else _pool)(made, op, names, word)


def _add(made: Function, op: Add, names: Names, word: int) -> None:
    _each_number(made, [f"const {_type(made.layer.sources[0])} v = x[at + c] + x2[at + c];"], names, word)


def _mul(made: Function, op: Mul, names: Names, word: int) -> None:
    _each_number(made, ["const float v = multiply(x[at + c], x2[at / CHANNELS]);"], names, word)


_HEADS: dict[type[Op], Callable[..., None]] = {
    Linear: _product,
    Conv2d: _product,
    MaxPool2d: _max_pool,
    SumPool2d: _pool,
    Add: _add,
    Mul: _mul,
}
_EVERY: dict[type[Op], Callable[..., object]] = {**PLACED, **_HEADS, **TAIL, Threshold: threshold}
RULES = Rules("export/c", _EVERY, error=ExportError)
