"""What a well-formed graph is: every rule with its own message. Returns the type of every value."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from unicodedata import category

from binarynet.errors import GraphError, takes
from binarynet.graph.ir import OPS, Concat, Graph, Input, Op, Value
from binarynet.graph.types import LIMIT, RULES

_NAME = 1000  # characters of a name
# Unicode's categories; the block of Egyptian format controls is named beside them, since Unicode 15 has more of it
# than 14, the one of Python 3.11, and a file is good or not in every Python alike.
_CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")


@takes(graph=(Graph, "a Graph"))
def verify(graph: Graph) -> dict[str, Value]:
    """Check the whole graph; return name → `Value`.

    Raises:
        GraphError: naming the op, what is wrong with it and what is allowed.
    """
    if not graph.ops:
        raise GraphError("the graph has no ops; it needs at least an Input")
    values: dict[str, Value] = {}
    for op in graph.ops:
        values[op.name] = verify_op(op, values)
    for op in graph.ops[:-1]:
        if not graph.readers(op.name):
            raise GraphError(f"{op.name} ({type(op).__name__}): nothing reads it; only the last op is the answer")
    _outputs(graph, values)
    _meta(graph, prod(graph.outputs[0].shape if graph.outputs else values[graph.output.name].shape))
    return values


def _outputs(graph: Graph, values: Mapping[str, Value]) -> None:
    """Each output is one vector that the last op puts behind the one before it."""
    if not graph.outputs:
        return
    last = graph.output
    if not isinstance(last, Concat) or len(values[last.name].shape) != 1 or len(last.sources) != len(graph.outputs):
        raise GraphError(
            f"outputs: names {len(graph.outputs)}; the last op must be a Concat of so many vectors, "
            f"not {last.name} ({type(last).__name__}) of {len(last.sources)}"
        )
    for one, source in zip(graph.outputs, last.sources, strict=True):
        if why := _unfit(one.name):
            raise GraphError(f"outputs: the name {one.name!r} {why}")
        fits = len(one.shape) in (1, 3) and min(one.shape) > 0 and prod(one.shape) == prod(values[source].shape)
        if not fits:
            raise GraphError(f"outputs: {one.name} has the shape {one.shape}; {source} makes {values[source]}")
    if len({one.name for one in graph.outputs}) != len(graph.outputs):
        raise GraphError("outputs: a name is used twice")


def _meta(graph: Graph, outputs: int) -> None:
    for key, text in graph.meta.items():
        if why := _unfit(key):
            raise GraphError(f"meta: the key {key!r} {why}")
        if not isinstance(text, str):
            raise GraphError(f"meta must map names to texts; {key} is {text!r}")
        if not _is_unicode(text):
            raise GraphError(f"meta: the text of {key} holds half of a surrogate pair, which is no text")
    if graph.classes and len(graph.classes) != outputs:
        raise GraphError(f"meta: classes names {len(graph.classes)} classes, the answer has {outputs} numbers")


def _unfit(name: object) -> str:
    """Why a text cannot be the name of an op or a key of meta, or "" if it can.

    Names go into messages, comments of generated source and file names: what breaks lines or steers a terminal or
    the order of the letters around it (Unicode's categories Cc, Cf, Cs, Zl, Zp) has no place in one.
    """
    if not isinstance(name, str):
        return "is no text"
    if not name:
        return "is empty"
    if len(name) > _NAME:
        return f"has {len(name)} characters; {_NAME} are allowed"
    if name.isascii() and name.isprintable():
        return ""
    bad = next((char for char in name if category(char) in _CONTROLS or "\U00013430" <= char <= "\U0001343f"), None)
    return "" if bad is None else f"holds the control character U+{ord(bad):04X}"


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def verify_op(op: Op, values: Mapping[str, Value]) -> Value:
    """Check one op against the values made before it; return the type of the value that it makes.

    Raises:
        GraphError: as `verify`.
    """

    def fail(what: str) -> GraphError:
        return GraphError(f"{op.name or f'op {len(values)}'} ({type(op).__name__}): {what}")

    if OPS.get(type(op).__name__) is not type(op):
        raise fail("no such op")
    if not op.name:
        raise fail("an op needs a name")
    if why := _unfit(op.name):
        raise fail(f"its name {why}")
    if op.name in values:
        raise fail("the name is used twice")
    if isinstance(op, Input) != (not values):
        raise fail("a graph has one Input, and it stands first")
    if len(op.sources) != op.arity and not (op.arity is None and len(op.sources) > 1):
        raise fail(f"reads {len(op.sources)} values, needs {'2 or more' if op.arity is None else op.arity}")
    for source in op.sources:
        if source not in values:
            raise fail(f"reads {source!r}, which is not made before it")
    value = RULES.of(op)(op, fail, *(values[source] for source in op.sources))
    if not value.shape or min(value.shape) < 1 or prod(value.shape) > LIMIT:
        raise fail(f"makes a value of shape {value.shape}; every size must be positive and fit 31 bits")
    return value
