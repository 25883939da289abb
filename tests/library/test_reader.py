"""Two readers, one page: the C++ reader of the library says of every file what the Python reader says."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from binarynet.errors import FormatError
from binarynet.format import from_bytes, to_bytes
from binarynet.graph import OPS, Graph, Limits
from binarynet.graph.ir import Flatten, Input
from tests.fuzz.bnn import make
from tests.fuzz.reader import compared
from tests.library.building import built
from tests.library.corpus import CORPUS, bad, good
from tests.library.pipe import Pipe

FILES = sorted(CORPUS.glob("*/*.bnn"))
KINDS = ("ok", "safetensors", "json", "version", "checksum", "fields", "tensors", "rules", "limits")


@pytest.fixture(scope="module")
def pipe() -> Iterator[Pipe]:
    program = os.environ.get("BINARYNET_READER")  # another build of it: as WebAssembly, make check-wasm
    opened = Pipe(Path(program).resolve() if program else built() / "reader_pipe")
    yield opened
    opened.close()


@pytest.mark.parametrize("file", FILES, ids=[f"{file.parent.name}/{file.stem}" for file in FILES])
def test_both_readers_say_the_same_of_a_file_and_answer_the_same(pipe: Pipe, file: Path) -> None:
    assert compared(file.read_bytes(), pipe) == file.parent.name


def test_the_corpus_has_every_kind_and_every_op() -> None:
    assert {file.parent.name for file in FILES} == set(KINDS)
    found = {
        type(op).__name__ for file in FILES if file.parent.name == "ok" for op in from_bytes(file.read_bytes()).ops
    }
    assert found == set(OPS), "an op that no file of tests/library/corpus.py has"


def test_the_corpus_is_what_its_program_writes() -> None:
    written = {("ok", name): blob for name, blob in good()} | {(kind, name): blob for kind, name, blob in bad()}
    assert {(file.parent.name, file.stem): file.read_bytes() for file in FILES} == written, (
        "write it again: python -m tests.library.corpus"
    )


def test_files_that_nobody_wrote(pipe: Pipe) -> None:
    found = set()
    for seed in range(1500):
        found.add(compared(make(Random(f"reader {seed}"))[1], pipe))
    assert set(KINDS) - {"limits"} <= found, "the mutations do not reach every kind"


def test_names_are_controlled_by_one_table(pipe: Pipe) -> None:
    """Every character that Unicode calls a control or format character, and its neighbours, as the name of an op."""
    edges = [
        code
        for code in range(1, 0x110000)
        if not 0xD800 <= code < 0xE000
        and any(
            unicodedata.category(chr(near)) in ("Cc", "Cf", "Zl", "Zp")
            for near in (code - 1, code, min(code + 1, 0x10FFFF))
        )
    ]
    assert len(edges) > 200
    plain = to_bytes(Graph((Input("x@", (), (2,), "b1"), Flatten("f", ("x@",)))))
    for code in edges:
        spelt = "".join(f"\\\\u{unit:04x}" for unit in np.frombuffer(chr(code).encode("utf-16-le"), "<u2"))
        compared(resigned_text(plain, spelt), pipe)


def resigned_text(blob: bytes, spelt: str) -> bytes:
    """The file with the @ of its names spelt otherwise, and its checksum right again."""
    import hashlib
    import re
    import struct

    length = int.from_bytes(blob[:8], "little")
    header = blob[8 : 8 + length].decode().rstrip().replace("@", spelt)
    header = re.sub(r'(sha256\\":\\")[0-9a-f]{64}', r"\g<1>" + "0" * 64, header)
    made = struct.pack("<Q", len(header)) + header.encode() + blob[8 + length :]
    return made.replace(b"0" * 64, hashlib.sha256(made).hexdigest().encode(), 1)


def test_the_page_lists_the_kinds() -> None:
    page = (CORPUS.parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    for kind in KINDS[1:]:
        assert f"| `{kind}` |" in page
    with pytest.raises(FormatError) as caught:
        from_bytes(FILES[-1].read_bytes(), Limits(ops=1))
    assert caught.value.kind in KINDS
