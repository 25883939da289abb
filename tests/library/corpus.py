"""Writes tests/data/corpus: files that both readers must take, and files that both must refuse for the same reason.

    python -m tests.library.corpus

A file lies in the folder of its kind (docs/format.md): ``ok``, or why it is refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from binarynet.format import to_bytes
from binarynet.graph import Graph, Output
from binarynet.graph.ir import Apply, Concat, Conv2d, Flatten, Input, Linear, Mul, Take, Unflatten
from tests.export.graphs import MAKERS, Whole
from tests.fuzz.bnn import opened, signed
from tests.graph.graphs import small_convnet, small_mlp
from tests.graph.test_limits import HOSTILE, relus

CORPUS = Path(__file__).parents[1] / "data" / "corpus"
DEPTHS = (1, 63, 64, 65, 127, 129)
WEIGHTS = ("b1", "b2", "b7", "b8", "u1", "u4", "u8", "i2", "i5", "i8", "t2", "f32")
CODES = ("b1", "b3", "b8", "u1", "u5", "u8", "i2", "i8", "t2")


def good() -> Iterator[tuple[str, bytes]]:
    """Every op, every kind of encoding, the edges of words."""
    for maker in MAKERS:
        yield maker.__name__, to_bytes(maker().graph())
    for depth in DEPTHS:
        make = Whole((depth,), "b1", seed=depth)
        make.linear(3)
        make.threshold("extreme")
        yield f"depth-{depth}", to_bytes(make.graph())
    for encoding in WEIGHTS:
        make = Whole((3, 4, 5), "u3", seed=9)
        make.conv(4, (2, 3), padding=((1, 0), (2, 1)), encoding=encoding, pad_value=0)
        yield f"weights-{encoding}", to_bytes(make.graph())
    for encoding in CODES:
        make = Whole((70,), "b2", seed=10)
        make.linear(66)
        make.threshold(encoding=encoding)
        make.linear(2, encoding="i3")
        yield f"codes-{encoding}", to_bytes(make.graph())
    yield "minus-128", to_bytes(_linear(np.full((2, 65), -128, np.int8), "i8"))
    named = small_mlp()
    meta = {"classes": "nought\none\nzwölf 十二", "about": "two\nlines\x1b[31m"}
    yield "classes", to_bytes(Graph(named.ops, meta))
    yield "classes-empty-text", to_bytes(Graph(named.ops, {"classes": ""}))
    yield "moves", to_bytes(_moves())
    yield "vectors-to-images", to_bytes(_pictured())
    yield "several", to_bytes(_several())
    yield "several-classes", to_bytes(replace(_several(), meta={"classes": "a\nb"}))
    yield "spaces", resigned(lambda parts: None, separators=(", ", ": "))


def _linear(weight: np.ndarray, encoding: str) -> Graph:
    return Graph((Input("x", (), (weight.shape[1],), "b1"), Linear("l", ("x",), weight, encoding)))


class Parts:
    """A small valid file taken apart: what a fault changes."""

    def __init__(self, blob: bytes) -> None:
        self.header, self.graph, data = opened(blob)
        self.data = bytearray(data)

    @property
    def ops(self) -> list[Any]:
        ops: list[Any] = self.graph["ops"]
        return ops

    def at(self, tensor: str) -> int:
        begin: int = self.header[tensor]["data_offsets"][0]
        return begin

    def poke(self, tensor: str, place: int, content: bytes) -> None:
        at = self.at(tensor) + place
        self.data[at : at + len(content)] = content

    def append(self, name: str, dtype: str, shape: list[Any], content: bytes) -> None:
        end = len(self.data)
        self.header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(content)]}
        self.data += content


Change = Callable[[Parts], None]


def resigned(change: Change, base: Callable[[], Graph] = small_mlp, separators: tuple[str, str] | None = None) -> bytes:
    """The file with a change and a checksum that is right."""
    parts = Parts(to_bytes(base()))
    change(parts)
    if separators is None:
        return signed(parts.header, parts.graph, bytes(parts.data))
    # Spaces in both texts: the mark of the digits must stay as the page says, so they stand without.
    text = json.dumps({**parts.graph, "sha256": "0" * 64}, separators=separators).replace('"sha256": ', '"sha256":')
    parts.header["__metadata__"]["binarynet"] = text
    return sealed(json.dumps(parts.header, separators=separators), bytes(parts.data))


def raw(header: str | bytes, data: bytes = b"") -> bytes:
    text = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(text)) + text + data


def sealed(header: str, data: bytes) -> bytes:
    blob = raw(header, data)
    return blob.replace(b"0" * 64, hashlib.sha256(blob).hexdigest().encode(), 1)


def as_graph(text: str) -> bytes:
    """A file whose graph is this text."""
    return raw(json.dumps({"__metadata__": {"binarynet": text}}))


def spelt(old: str, new: str) -> bytes:
    """The small file with a piece of its graph spelt otherwise than our writer does."""
    parts = Parts(to_bytes(small_mlp()))
    text = json.dumps({**parts.graph, "sha256": "0" * 64}, separators=(",", ":"))
    assert old in text
    parts.header["__metadata__"]["binarynet"] = text.replace(old, new, 1)
    return sealed(json.dumps(parts.header, separators=(",", ":")), bytes(parts.data))


def _set(op: int, key: str, value: Any) -> Change:
    return lambda parts: parts.ops[op].__setitem__(key, value)


def _conv(**fields: Any) -> bytes:
    return resigned(lambda parts: parts.ops[1].update(fields), small_convnet)


def _pool(**fields: Any) -> bytes:
    def change(parts: Parts) -> None:
        next(op for op in parts.ops if op["op"] == "MaxPool2d").update(fields)

    return resigned(change, small_convnet)


def _entry(**fields: Any) -> bytes:
    return resigned(lambda parts: parts.header["linear1.weight"].update(fields))


def bad() -> Iterator[tuple[str, str, bytes]]:
    """Kind, name, file. Where a file is wrong twice, the first fault in the order of the page counts."""
    whole = to_bytes(small_mlp())
    yield from _bad_outside(whole)
    yield from _bad_json()
    yield from _bad_graph(whole)
    yield from _bad_tensors()
    yield from _bad_rules()
    yield "limits", "ops-4097", to_bytes(relus(4096))
    for asked, graph in HOSTILE.items():
        if not asked.startswith("ops="):
            yield "limits", asked.replace("=", "-"), to_bytes(graph)


def _bad_outside(whole: bytes) -> Iterator[tuple[str, str, bytes]]:
    yield "safetensors", "empty", b""
    yield "safetensors", "eight-zeros", bytes(8)
    yield "safetensors", "cut", whole[:-1]
    yield "safetensors", "one-byte-more", whole + b"\0"
    yield "safetensors", "header-of-2-to-the-63", struct.pack("<Q", 2**63) + b"{}"
    yield "safetensors", "no-json", raw("{")
    yield "safetensors", "a-list", raw("[]")
    yield "safetensors", "byte-order-mark", raw("\ufeff{}")
    yield "safetensors", "nul-behind", raw(whole[8:].split(b"\0")[0] + b"\0")
    yield "safetensors", "space-first", raw(' {"__metadata__": {"binarynet": "1"}}')
    yield "safetensors", "no-metadata", raw("{}")
    yield "safetensors", "metadata-null", raw('{"__metadata__": null}')
    yield "safetensors", "metadata-of-two", raw('{"__metadata__": {"binarynet": "1", "format": "pt"}}')
    yield "safetensors", "metadata-no-text", raw('{"__metadata__": {"binarynet": 1}}')
    yield "safetensors", "key-twice", raw('{"a": 1, "a": 2}')
    yield "safetensors", "no-utf-8", raw(b'{"\xff": 1}')
    yield "safetensors", "half-a-surrogate", raw('{"\\ud800": 1}')
    yield "safetensors", "entry-as-a-list", raw('{"a": ["U64", [1], [0, 8]]}', bytes(8))
    yield "safetensors", "entry-with-more", _entry(more=1)
    yield "safetensors", "entry-with-less", resigned(lambda parts: parts.header["linear1.weight"].pop("dtype"))
    yield "safetensors", "dtype-f16", _entry(dtype="F16")
    yield "safetensors", "dtype-no-text", _entry(dtype=["U64"])
    yield "safetensors", "shape-real", _entry(shape=[5.0, 1])
    yield "safetensors", "shape-negative", _entry(shape=[-5, -1])
    yield "safetensors", "shape-empty", _entry(shape=[])
    yield "safetensors", "shape-too-long", _entry(shape=[5, 1, 1, 1, 1])
    yield "safetensors", "shape-overflows", _entry(shape=[2**62, 2**62, 5])
    yield "safetensors", "shape-not-the-bytes", _entry(shape=[6, 1])
    yield "safetensors", "offsets-of-three", _entry(data_offsets=[0, 40, 40])
    yield "safetensors", "offsets-backwards", _entry(data_offsets=[40, 0])
    yield (
        "safetensors",
        "offsets-overlap",
        resigned(lambda parts: parts.append("x", "I32", [1], b"") or parts.header["x"].update(data_offsets=[0, 4])),
    )


def _bad_json() -> Iterator[tuple[str, str, bytes]]:
    for name, text in {
        "empty": "",
        "nan": "NaN",
        "infinity": '{"version": -Infinity}',
        "trailing": "{} x",
        "comma": '{"a": 1,}',
        "key-twice": '{"a": 1, "a": 1}',
        "half-a-surrogate": '["\\ud800"]',
        "raw-newline": '["\n"]',
        "number-too-large": "1e999",
        "whole-of-65-bits": "[9223372036854775808]",
        "whole-of-400-digits": "9" * 400,
        "minus-zero": "[-0]",
        "leading-zero": "[01]",
        "too-deep": "[" * 64 + "1" + "]" * 64,
        "endless": "[" * 5000,
        "nul": "{}\0",
    }.items():
        yield "json", name, as_graph(text)


def _bad_graph(whole: bytes) -> Iterator[tuple[str, str, bytes]]:
    for name, version in {"3": 3, "true": True, "real": 1.0, "text": "1", "null": None}.items():
        yield "version", name, resigned(lambda parts, version=version: parts.graph.update(version=version))
    yield "version", "missing", resigned(lambda parts: parts.graph.pop("version"))
    yield "checksum", "last-byte", whole[:-1] + bytes([whole[-1] ^ 1])
    yield "checksum", "another-name", whole.replace(b"linear1", b"linear7")
    yield "checksum", "capitals", _capitals(whole)
    yield "checksum", "none", spelt('"sha256":"', '"sha257":"')
    yield "fields", "graph-a-number", as_graph("1")
    yield "fields", "graph-a-list-as-deep-as-it-may-be", as_graph("[" * 63 + "1" + "]" * 63)
    yield "fields", "one-key-more", resigned(lambda parts: parts.graph.update(extra=1))
    yield "fields", "no-meta", resigned(lambda parts: parts.graph.pop("meta"))
    yield "fields", "meta-a-number", resigned(lambda parts: parts.graph.update(meta={"a": 1}))
    yield "fields", "meta-a-list", resigned(lambda parts: parts.graph.update(meta=[]))
    yield "fields", "ops-an-object", resigned(lambda parts: parts.graph.update(ops={}))
    yield "fields", "version-2-without-outputs", resigned(lambda parts: parts.graph.update(version=2))
    yield "fields", "version-1-with-outputs", resigned(lambda parts: parts.graph.update(version=1), _several)
    for name, outputs in {
        "null": None,
        "an-object": {},
        "of-none": [],
        "of-one": [{"name": "a", "shape": [14]}],
        "of-texts": ["a", "b"],
        "with-more": [{"name": "a", "shape": [2]}, {"name": "b", "shape": [12], "more": 1}],
        "name-a-number": [{"name": 1, "shape": [2]}, {"name": "b", "shape": [12]}],
        "shape-real": [{"name": "a", "shape": [2.0]}, {"name": "b", "shape": [12]}],
    }.items():
        yield "fields", f"outputs-{name}", resigned(_outputs(outputs), _several)
    yield "fields", "op-a-text", resigned(lambda parts: parts.ops.insert(1, "Linear"))
    yield "fields", "op-unknown", resigned(_set(1, "op", "Gemm"))
    yield "fields", "op-of-other-case", resigned(_set(1, "op", "linear"))
    yield "fields", "op-with-more", resigned(_set(1, "colour", "red"))
    yield "fields", "op-with-less", resigned(lambda parts: parts.ops[1].pop("sources"))
    yield "fields", "name-a-number", resigned(_set(1, "name", 3))
    yield "fields", "sources-a-text", resigned(_set(1, "sources", "input"))
    yield "fields", "sources-of-numbers", resigned(_set(1, "sources", [1]))
    yield "fields", "shape-real", resigned(_set(0, "shape", [10.0]))
    yield "fields", "shape-yes", resigned(_set(0, "shape", [True]))
    yield "fields", "encoding-null", resigned(_set(0, "encoding", None))
    yield "fields", "weight-encoding-unknown", resigned(_set(1, "weight_encoding", "b9"))
    yield "fields", "stride-of-three", _conv(stride=[1, 1, 1])
    yield "fields", "padding-flat", _conv(padding=[0, 0, 0, 0])
    yield "fields", "groups-real", _conv(groups=1.0)
    yield "fields", "rising-shape-null", resigned(_set(2, "rising_shape", None))


def _capitals(whole: bytes) -> bytes:
    at = whole.index(b'sha256\\":\\"') + len(b'sha256\\":\\"')
    return whole[:at] + whole[at : at + 64].upper() + whole[at + 64 :]


def _bad_tensors() -> Iterator[tuple[str, str, bytes]]:
    def change(work: Change, base: Callable[[], Graph] = small_mlp) -> bytes:
        return resigned(work, base)

    yield "tensors", "missing", change(lambda parts: parts.header.update(x=parts.header.pop("logits.scale")))
    yield "tensors", "left-over", change(lambda parts: parts.append("x", "I32", [1], bytes(4)))
    yield (
        "tensors",
        "weight-of-reals",
        change(lambda parts: parts.header["linear1.weight"].update(dtype="F32", shape=[10, 1])),
    )
    yield "tensors", "thresholds-of-words", change(_words_for_thresholds)
    yield "tensors", "weight-shape-zero", change(_set(1, "weight_shape", [0, 10]))
    yield "tensors", "weight-shape-negative", change(_set(1, "weight_shape", [-5, -10]))
    yield "tensors", "weight-shape-of-63-bits", change(_set(1, "weight_shape", [2**62, 2**62]))
    yield "tensors", "weight-shape-other", change(_set(1, "weight_shape", [6, 10]))
    yield "tensors", "weight-shape-empty", change(_set(1, "weight_shape", []))
    yield "tensors", "weight-f32-but-words", change(_set(1, "weight_encoding", "f32"))
    yield "tensors", "bit-behind-the-last", change(lambda parts: parts.poke("linear1.weight", 7, b"\x80"))
    rising = next(op["name"] for op in Parts(to_bytes(small_mlp())).ops if op["op"] == "Threshold") + ".rising"
    yield "tensors", "bit-behind-the-last-rising", change(lambda parts: parts.poke(rising, 7, b"\x80"))
    for encoding, codes in {"t2": (0b10,), "b8": (0, 63, 192, 255), "u8": (128, 255)}.items():
        for code in codes:
            yield "tensors", f"no-weight-{encoding}-{code}", _one_weight(encoding, code)


def _words_for_thresholds(parts: Parts) -> None:
    name = next(op["name"] for op in parts.ops if op["op"] == "Threshold") + ".thresholds"
    del parts.header[name]["data_offsets"]
    entry = parts.header[name]
    entry.update(dtype="U64", shape=[5])
    parts.data = bytearray()
    for tensor, about in parts.header.items():
        if tensor == "__metadata__":
            continue
        size = int(np.prod(about["shape"])) * (8 if about["dtype"] == "U64" else 4)
        about["data_offsets"] = [len(parts.data), len(parts.data) + size]
        parts.data += bytes(size)


def _one_weight(encoding: str, code: int) -> bytes:
    from binarynet.format.packed import Packed
    from binarynet.graph import Encoding

    bits = Encoding.parse(encoding).bits
    words = np.array([[[code >> n & 1]] for n in range(bits)], np.uint64)
    return to_bytes(Graph((Input("x", (), (1,), "b1"), Linear("l", ("x",), Packed(words, (1, 1), encoding), encoding))))


def _bad_rules() -> Iterator[tuple[str, str, bytes]]:
    for name, work in {
        "no-ops": _no_ops,
        "source-nowhere": _set(1, "sources", ["nowhere"]),
        "source-later": _set(1, "sources", ["logits"]),
        "sources-two": _set(1, "sources", ["input", "input"]),
        "name-twice": lambda parts: parts.ops.insert(1, dict(parts.ops[0])),
        "two-inputs": lambda parts: parts.ops.append({**parts.ops[0], "name": "other"}),
        "name-empty": _set(0, "name", ""),
        "name-long": _set(0, "name", "x" * 1001),
        "name-escape": _set(0, "name", "\x1b[31m"),
        "name-turns-round": _set(0, "name", "a\u202eb"),
        "name-egyptian": _set(0, "name", "a\U0001343f"),
        "depth-of-the-weight": _set(0, "shape", [9]),
        "input-of-two-sizes": _set(0, "shape", [2, 5]),
        "input-of-none": _set(0, "shape", []),
        "input-zero": _set(0, "shape", [0]),
        "input-of-31-bits": _set(0, "shape", [2**31]),
        "input-of-63-bits": _set(0, "shape", [2**62, 2**62, 2**62]),
        "input-t2": _set(0, "encoding", "t2"),
        "input-i32": _set(0, "encoding", "i32"),
        "input-unknown": _set(0, "encoding", "b9"),
        "threshold-to-i32": _set(2, "encoding", "i32"),
        "threshold-of-levels": _set(2, "encoding", "b2"),
        "classes-of-2": lambda parts: parts.graph["meta"].update(classes="a\nb"),
        "classes-of-4": lambda parts: parts.graph["meta"].update(classes="a\n\nb\n"),
        "meta-key-empty": lambda parts: parts.graph["meta"].update({"": "a"}),
        "meta-key-newline": lambda parts: parts.graph["meta"].update({"a\nb": "a"}),
        "nan-scale": lambda parts: parts.poke("logits.scale", 0, struct.pack("<f", float("nan"))),
        "infinite-offset": lambda parts: parts.poke("logits.offset", 0, struct.pack("<f", float("inf"))),
        "unread": lambda parts: parts.ops.append({"op": "Flatten", "name": "aside", "sources": ["input"]}),
    }.items():
        yield "rules", name, resigned(work)
    yield "rules", "stride-zero", _conv(stride=[0, 1])
    yield "rules", "stride-wide", _conv(stride=[1, 65537])
    yield "rules", "dilation-wide", _conv(dilation=[1, 2**40])
    yield "rules", "padding-negative", _conv(padding=[[-1, 0], [0, 0]])
    yield "rules", "padding-wide", _conv(padding=[[65537, 0], [0, 0]])
    yield "rules", "pad-even", _conv(pad_value=2)
    yield "rules", "pad-outside", _conv(pad_value=257)
    yield "rules", "groups-zero", _conv(groups=0)
    yield "rules", "groups-that-divide-nothing", _conv(groups=2)
    yield "rules", "groups-of-62-bits", _conv(groups=2**62)
    yield "rules", "window-too-large", _conv(dilation=[9, 9])
    yield "rules", "pool-in-the-padding", _pool(padding=[[2, 0], [0, 0]])
    yield "rules", "pool-of-nothing", _pool(kernel=[0, 1])
    few = Graph((Input("x", (), (33_100,), "b1"), Linear("l", ("x",), np.ones((1, 33_100), np.int8), "b8")))
    yield "rules", "accumulator-of-32-bits", resigned(_set(0, "encoding", "b8"), lambda: few)
    yield from _bad_moves()
    for name, (work, base) in {
        "outputs-of-three": (_outputs([{"name": name, "shape": [1]} for name in "abc"]), _several),
        "outputs-of-other-sizes": (_outputs([{"name": "a", "shape": [3]}, {"name": "b", "shape": [11]}]), _several),
        "outputs-of-two-sizes": (_outputs([{"name": "a", "shape": [2, 1]}, {"name": "b", "shape": [12]}]), _several),
        "outputs-of-no-size": (_outputs([{"name": "a", "shape": [2]}, {"name": "b", "shape": []}]), _several),
        "outputs-negative": (_outputs([{"name": "a", "shape": [2]}, {"name": "b", "shape": [-2, -2, 3]}]), _several),
        "outputs-of-63-bits": (_outputs([{"name": "a", "shape": [2]}, {"name": "b", "shape": [2**62] * 3}]), _several),
        "outputs-of-one-name": (_outputs([{"name": "a", "shape": [2]}, {"name": "a", "shape": [12]}]), _several),
        "outputs-name-empty": (_outputs([{"name": "", "shape": [2]}, {"name": "b", "shape": [12]}]), _several),
        "outputs-name-escape": (_outputs([{"name": "\x1b", "shape": [2]}, {"name": "b", "shape": [12]}]), _several),
        "outputs-classes": (lambda parts: parts.graph["meta"].update(classes="a\nb\nc"), _several),
        "outputs-of-images": (_outputs([{"name": "a", "shape": [1, 1, 2]}, {"name": "b", "shape": [1, 1, 2]}]), _moves),
        "outputs-of-no-concat": (_outputs([{"name": "a", "shape": [2]}, {"name": "b", "shape": [1]}]), small_mlp),
    }.items():
        yield "rules", name, resigned(work, base)


def _bad_moves() -> Iterator[tuple[str, str, bytes]]:
    for name, work in {
        "function-unknown": _set(1, "function", "cosh"),
        "function-of-codes": _set(0, "encoding", "b1"),
        "take-before-minus-one": lambda parts: parts.poke("take.rows", 0, struct.pack("<i", -2)),
        "take-behind-the-last": lambda parts: parts.poke("take.channels", 4, struct.pack("<i", 4)),
        "take-of-reals": lambda parts: parts.header["take.columns"].update(dtype="F32"),
        "take-of-two-axes": lambda parts: parts.header["take.columns"].update(shape=[1, 2]),
        "concat-of-one": _set(3, "sources", ["take"]),
        "concat-of-other-sizes": _set(3, "sources", ["x", "take"]),
        "multiply-of-other-sizes": _set(4, "sources", ["take", "joined"]),
    }.items():
        yield "rules", name, resigned(work, _moves)
    for name, work in {
        "unflatten-of-more": _set(2, "shape", [2, 3, 2]),
        "unflatten-of-two-sizes": _set(2, "shape", [2, 3]),
        "unflatten-of-no-size": _set(2, "shape", []),
        "unflatten-negative": _set(2, "shape", [-2, -3, 1]),
        "unflatten-of-nothing": _set(2, "shape", [0, 3, 2]),
        "unflatten-of-63-bits": _set(2, "shape", [2**62, 2**62, 2**62]),
        "unflatten-of-codes": _set(2, "sources", ["x"]),
        "unflatten-of-an-image": _set(3, "sources", ["image"]),
    }.items():
        yield "rules", name, resigned(work, _pictured)
    yield "fields", "unflatten-of-texts", resigned(_set(2, "shape", ["2", "3", "1"]), _pictured)
    whole = Graph((Input("x", (), (3,), "b2"), Take("take", ("x",), *_places([0], [0], [2, 0, 1]))))
    minus = struct.pack("<i", -1)
    yield "rules", "take-of-a-zero", resigned(lambda parts: parts.poke("take.channels", 8, minus), lambda: whole)


def _outputs(listed: Any) -> Change:
    return lambda parts: parts.graph.update(version=2, outputs=listed)


def _several() -> Graph:
    """Two answers: two numbers, and an image of 2 × 3 × 2."""
    ops = (
        Input("x", (), (2, 3, 2), "u4"),
        Flatten("flat", ("x",)),
        Linear("few", ("flat",), np.tile(np.array([[-1], [1]], np.int8), (1, 12))),
        Conv2d("image", ("x",), np.ones((2, 1, 1, 2), np.int8)),
        Flatten("image.flat", ("image",)),
        Concat("answers", ("few", "image.flat")),
    )
    return Graph(ops, {}, (Output("logits", (2,)), Output("image", (2, 3, 2))))


def _places(*axes: list[int]) -> list[Any]:
    return [np.array(axis, np.int32) for axis in axes]


def _moves() -> Graph:
    """Ops that move numbers or bend them."""
    return Graph(
        (
            Input("x", (), (2, 3, 4), "f32"),
            Apply("bent", ("x",), "sigmoid"),
            Take("take", ("bent",), *_places([1, -1], [2, 0], [3, 1])),
            Concat("joined", ("take", "take")),
            Mul("squared", ("joined", "joined")),
        )
    )


def _pictured() -> Graph:
    """Vectors that become images."""
    few = np.tile(np.array([[-1], [1], [1]], np.int8), (2, 6))
    return Graph(
        (
            Input("x", (), (6,), "u4"),
            Linear("few", ("x",), few),
            Unflatten("image", ("few",), (2, 3, 1)),
            Unflatten("other", ("few",), (1, 3, 2)),
            Flatten("flat", ("image",)),
            Flatten("other.flat", ("other",)),
            Concat("both", ("flat", "other.flat")),
        )
    )


def _no_ops(parts: Parts) -> None:
    parts.graph["ops"] = []
    parts.header = {"__metadata__": {}}
    parts.data.clear()


def main() -> None:
    shutil.rmtree(CORPUS, ignore_errors=True)
    for name, blob in good():
        _write("ok", name, blob)
    for kind, name, blob in bad():
        _write(kind, name, blob)


def _write(kind: str, name: str, blob: bytes) -> None:
    file = CORPUS / kind / f"{name}.bnn"
    file.parent.mkdir(parents=True, exist_ok=True)
    assert not file.exists(), f"two files are called {file.name}"
    file.write_bytes(blob)


if __name__ == "__main__":
    main()
