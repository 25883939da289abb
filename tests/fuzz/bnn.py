"""Mutated `.bnn` files, their checksum made right again, so that what stands behind it is reached."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from binarynet.errors import ExportError, FormatError
from binarynet.export import TARGETS, Options, write
from binarynet.format import from_bytes, to_bytes
from binarynet.graph import OPS, Graph, interpret
from binarynet.graph.ir import Concat, Conv2d, Flatten, Input, Linear, MaxPool2d, Relu, Take, Unflatten
from binarynet.graph.verify import verify
from binarynet.report import has_real_products, summarise
from binarynet.report.agreement import together
from binarynet.runtime import Session
from tests.fuzz.engines import codes_for
from tests.fuzz.graphs import random_graph, several
from tests.fuzz.mutate import NUMBERS, changed, cut, flipped
from tests.fuzz.target import Target, refused

SEEDS = 40
SMALL = 200_000  # products and numbers of an image, up to which a graph that is accepted is run as well
ENCODINGS = ("b1", "b8", "b9", "u1", "u8", "i1", "i2", "i8", "i32", "t2", "f32", "f64", "b01", "b²")
WORDS = (*OPS, *ENCODINGS, "input", "op", "name", "sources", "weight", "shape", "U64", "I32", "F32", "F16", "classes")


@cache
def seeds() -> list[bytes]:
    """Small valid files, one of each kind at least."""
    graphs = [random_graph(Random(f"seed {k}")) for k in range(SEEDS)]
    return [to_bytes(_named(several(make) if k % 8 == 0 else make.graph())) for k, make in enumerate(graphs)]


def _named(graph: Graph) -> Graph:
    count = int(np.prod(graph.outputs[0].shape if graph.outputs else verify(graph)[graph.output.name].shape))
    return replace(graph, meta={"recipe": "none", "classes": "\n".join(str(k) for k in range(count))})


def opened(blob: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Header, graph and data of a valid file."""
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["binarynet"]), blob[8 + length :]


def signed(header: Any, graph: Any, data: bytes) -> bytes:
    """A file of these parts, whatever they are, with a checksum that is right."""
    if isinstance(graph, dict):
        graph = {**graph, "sha256": "0" * 64}
    if isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
        header["__metadata__"]["binarynet"] = json.dumps(graph, separators=(",", ":"))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    blob = struct.pack("<Q", len(text)) + text + data
    return blob.replace(b"0" * 64, hashlib.sha256(blob).hexdigest().encode(), 1)


def make(random: Random) -> tuple[str, bytes]:
    return mutated(random.choice(seeds()), random)


def mutated(blob: bytes, random: Random) -> tuple[str, bytes]:
    """A change of a file whose header and graph are JSON: its kind, and the file."""
    how = random.randrange(12)
    if how == 0:
        return "bytes, checksum as it was", flipped(blob, random)
    if how == 1:
        return "cut", cut(blob, random)
    header, graph, data = opened(blob)
    if how < 7:
        return "graph", signed(header, changed(graph, random, WORDS), data)
    if how == 7:
        return "header", signed(changed(header, random, WORDS), graph, data)
    if how == 8:
        return "header and graph", signed(changed(header, random, WORDS), changed(graph, random, WORDS), data)
    if how == 9:
        return "tensors", signed(header, graph, _values(data, random))
    if how == 10:
        return "a key twice", _twice(blob, random)
    return "header as bytes", _header_bytes(blob, random)


def _values(data: bytes, random: Random) -> bytes:
    """Numbers of the tensors replaced by extreme ones: thresholds, NaN, infinities, bits behind the last value."""
    made = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(0, max(1, len(made) - 8), 4) if len(made) > 8 else 0
        number = random.choice((0x7FC00000, 0x7F800000, 0xFF800000, 0x80000000, 0x7FFFFFFF, 0, 2**32 - 1, 1))
        made[at : at + 4] = struct.pack("<I", number)
    return bytes(made[: len(data)])


def _twice(blob: bytes, random: Random) -> bytes:
    """A key that stands twice in one of the two texts, with another value."""
    length = int.from_bytes(blob[:8], "little")
    text = blob[8 : 8 + length].decode()
    mark = random.choice(('\\"version\\":', '\\"meta\\":', '\\"op\\":', '\\"name\\":', '"dtype":', '"__metadata__":'))
    value = random.choice(('\\"x\\"', "1", "null", "[]")) if mark.startswith("\\") else random.choice(('"U64"', "null"))
    at = text.find(mark)
    text = text[:at] + mark + value + "," + text[at:] if at >= 0 else text
    return struct.pack("<Q", len(text)) + text.encode() + blob[8 + length :]


def _header_bytes(blob: bytes, random: Random) -> bytes:
    """The header changed below JSON, or its length; the digits of the checksum made right where they still stand."""
    length = int.from_bytes(blob[:8], "little")
    text = flipped(blob[8 : 8 + length], random)
    said = len(text) if random.random() < 0.8 else random.choice(NUMBERS) & (2**64 - 1)
    return struct.pack("<Q", said) + text + blob[8 + length :]


def attempt(content: bytes, folder: Path) -> str:
    """``refused``, or ``accepted`` after everything that a user would do with the file."""
    try:
        graph = from_bytes(content)
    except FormatError as error:
        return refused(error)
    again = to_bytes(graph)
    assert to_bytes(from_bytes(again)) == again, "a file that is another one after it was saved"
    values = verify(graph)
    size = sum(int(np.prod(value.shape)) for value in values.values())
    if size > SMALL:
        return "accepted, too large to run here"
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # scales as large as floats get
        _use(graph, content, folder)
    return "accepted, answers equal"


def _use(graph: Graph, content: bytes, folder: Path) -> None:
    random = Random(content)
    summarise(graph, len(content), Session(graph), (1,))
    codes = codes_for(graph, random)[:3]
    if real := has_real_products(graph):  # sums of whole numbers do not depend on their order
        codes = np.rint(np.clip(np.nan_to_num(codes), -8, 8)).astype(codes.dtype)
    expected = interpret(graph, codes)
    found = together(Session(graph, threads=1), codes, "nhwc" if codes.ndim == 4 else None)
    assert found.shape == expected.shape
    exact = not real or _reads_whole_numbers(graph)
    assert not exact or np.array_equal(found, expected, equal_nan=expected.dtype == np.float32), "the native engine"
    target = random.choice(("c", "verilog", "weights"))
    try:
        for file in write(graph, target, folder / "exported", Options("net")):
            file.unlink()
    except ExportError:
        pass
    assert target in TARGETS


def _reads_whole_numbers(graph: Graph) -> bool:
    """Does the only product read the input's own numbers, and hold whole weights?"""
    products = [op for op in graph.ops if isinstance(op, Linear | Conv2d)]
    before = graph.ops[: graph.ops.index(products[0])]
    whole = all(isinstance(op, Input | MaxPool2d | Take | Concat | Flatten | Unflatten | Relu) for op in before)
    return len(products) == 1 and products[0].weight_encoding != "f32" and whole


TARGET = Target("bnn", make, attempt)
