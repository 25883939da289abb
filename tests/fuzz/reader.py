"""Two readers of one file: the C++ reader of the library must say what the Python reader says.

The C++ one runs in a process of its own, built with ASan and UBSan where ``BINARYNET_READER`` names such a build
(``make fuzz-reader``), so that what it does to memory is a fault, too. Where the file is good and small, both answer.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest

from binarynet.errors import FormatError
from binarynet.format import from_bytes
from binarynet.graph.verify import verify
from binarynet.report.agreement import together
from binarynet.runtime import Session
from tests.fuzz import bnn
from tests.fuzz.mutate import flipped
from tests.fuzz.target import Target
from tests.library.building import built
from tests.library.corpus import CORPUS
from tests.library.pipe import Died, Pipe, images


def compared(content: bytes, pipe: Pipe) -> str:
    """The verdict of both, or AssertionError."""
    graph = None
    try:
        graph = from_bytes(content)
        expected = "ok"
    except FormatError as error:
        expected = error.kind
    found, answers = pipe.verdict(content)
    assert found == expected, f"C++ says {found}, Python {expected}"
    if answers is None or graph is None:
        return expected
    codes = images(graph.input.shape, graph.input.encoding)
    made = verify(graph)[graph.output.name]
    kind = np.float32 if made.encoding.is_float else np.int32
    with np.errstate(all="ignore"):
        wanted = together(Session(graph, threads=1), codes, "nhwc" if codes.ndim == 4 else None)
    got = np.frombuffer(answers, ">i4").astype(np.int32).view(kind).reshape(np.shape(wanted))
    assert np.array_equal(got, wanted, equal_nan=kind is np.float32), "the answers differ"
    return expected


@cache
def _seeds() -> dict[str, list[bytes]]:
    """Files of the corpus by kind, those that mutate quickly."""
    files = [file for file in sorted(CORPUS.glob("*/*.bnn")) if file.stat().st_size < 20_000]
    kinds = {file.parent.name for file in files}
    return {kind: [file.read_bytes() for file in files if file.parent.name == kind] for kind in sorted(kinds)}


def make(random: Random) -> tuple[str, bytes]:
    how = random.randrange(8)
    if how == 0:
        return "bytes of the corpus", flipped(random.choice(random.choice(list(_seeds().values()))), random)
    if how < 4:  # what is wrong already, or of an op that random graphs have seldom, changed once more
        kind = random.choice(("ok", "ok", "tensors", "rules"))
        return f"corpus/{kind}", bnn.mutated(random.choice(_seeds()[kind]), random)[1]
    return bnn.make(random)


_pipes: list[Pipe] = []


def attempt(content: bytes, folder: Path) -> str:
    if not _pipes:
        program = os.environ.get("BINARYNET_READER")
        try:
            _pipes.append(Pipe(Path(program) if program else built() / "reader_pipe"))
        except pytest.skip.Exception as why:
            return str(why)
    try:
        return compared(content, _pipes[0])
    except Died:
        _pipes.clear()
        raise


TARGET = Target("reader", make, attempt, limited=False)  # a sanitizer sets terabytes aside
