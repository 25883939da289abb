"""The npm package in node: the oracle's answers with ==, at every op of every kind of model, and errors by kind."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import binarynet
from binarynet.data import load_split
from binarynet.format import from_bytes, load
from binarynet.graph import interpret
from binarynet.graph.interpret import trace
from binarynet.models import find
from binarynet.web import WASM, package_version
from tests.library.corpus import CORPUS
from tests.library.pipe import images
from tests.web.node import Node, Refused

GOOD = sorted((CORPUS / "ok").glob("*.bnn"))
BAD = [file for file in sorted(CORPUS.glob("*/*.bnn")) if file.parent.name != "ok"]
MOST = 300_000  # bytes of the package, compressed


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    opened = Node()
    yield opened
    opened.close()


def test_all_test_images_of_the_digits(node: Node, tmp_path: Path) -> None:
    file, graph = find("digits"), load(find("digits"))
    digits = load_split("digits", "test").images
    codes = np.ascontiguousarray(digits.reshape(len(digits), *graph.input.shape))
    (tmp_path / "images").write_bytes(codes.tobytes())
    expected = interpret(graph, codes)
    for isa in ("wasm", "portable"):
        answers, found = node.ask(file, tmp_path / "images", isa=isa)
        assert found["isa"] == isa
        assert answers.dtype == expected.dtype
        assert np.array_equal(answers, expected)
        assert found["classified"] == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_every_op_of_every_file_answers_what_the_oracle_does(node: Node, tmp_path: Path, file: Path) -> None:
    graph = from_bytes(file.read_bytes())
    codes = images(graph.input.shape, graph.input.encoding)
    (tmp_path / "images").write_bytes(codes.tobytes())
    with np.errstate(all="ignore"):
        expected = trace(graph, codes)
    real_inputs = graph.input.encoding == "f32" or any(getattr(op, "weight_encoding", "") == "f32" for op in graph.ops)
    for op in graph.ops[1:]:
        answers, _ = node.ask(file, tmp_path / "images", real=codes.dtype == np.float32, output=op.name)
        wanted = expected[op.name]
        assert (answers.dtype, answers.shape) == (wanted.dtype, wanted.shape), op.name
        if real_inputs and wanted.dtype == np.float32:  # sums of float32, in an order of the instruction set
            assert np.allclose(answers, wanted, rtol=1e-4, atol=1e-4, equal_nan=True), op.name
        else:
            assert np.array_equal(answers, wanted, equal_nan=wanted.dtype == np.float32), op.name


def test_bad_files_are_refused_for_the_reason_of_their_folder(node: Node, tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(b"")
    for file in BAD:
        with pytest.raises(Refused) as refused:
            node.ask(file, tmp_path / "images")
        assert refused.value.kind == file.parent.name, file


def test_wrong_calls_say_what_is_taken(node: Node, tmp_path: Path) -> None:
    file, raw = find("digits"), tmp_path / "images"
    raw.write_bytes(bytes(63))
    with pytest.raises(Refused, match="63 numbers are no whole images"):
        node.ask(file, raw)
    raw.write_bytes(bytes(64))
    with pytest.raises(Refused, match="Uint8Array of 64 numbers"):
        node.ask(file, raw, real=True)
    with pytest.raises(Refused, match="no op is called 'nowhere'"):
        node.ask(file, raw, output="nowhere")
    with pytest.raises(Refused, match="is the input itself"):
        node.ask(file, raw, output=load(file).input.name)
    with pytest.raises(Refused, match="unknown instruction set 'avx2'"):
        node.ask(file, raw, isa="avx2")


def test_many_models_come_and_go_and_the_memory_is_given_back(node: Node, tmp_path: Path) -> None:
    code = """
        import { readFileSync } from "node:fs";
        const [{ load }, { engine }] = await Promise.all(process.argv.slice(2).map((each) => import(each)));
        const bytes = readFileSync(process.argv[1]);
        const image = new Uint8Array(64 * 100);
        const sizes = [];
        for (let i = 0; i < 400; ++i) {
            const model = await load(bytes);
            model.run(image);
            model.free();
            model.free();
            if (i % 100 === 99) sizes.push((await engine()).bytes.length);
            try {
                model.run(image);
                throw new Error("ran");
            } catch (error) {
                if (error.kind !== "argument") throw error;
            }
        }
        console.log(JSON.stringify(sizes));
    """
    given = [str(find("digits")), *((WASM.parent / name).as_uri() for name in ("index.js", "engine.js"))]
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code, *given], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr[-2000:]
    assert len(set(json.loads(done.stdout))) == 1


def test_several_answers_have_names_and_shapes() -> None:
    code = """
        import { readFileSync } from "node:fs";
        const { load } = await import(process.argv[1]);
        for (const file of process.argv.slice(2)) {
            const { answers, output } = await load(readFileSync(file));
            console.log(JSON.stringify([answers.map(({ name, shape }) => [name, shape]), output.shape]));
        }
    """
    files = [CORPUS / "ok" / "several.bnn", find("digits")]
    given = [(WASM.parent / "index.js").as_uri(), *map(str, files)]
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code, *given], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr[-2000:]
    for line, file in zip(done.stdout.splitlines(), files, strict=True):
        answers, whole = json.loads(line)
        assert dict(answers) == {name: list(shape) for name, shape in binarynet.load(file).outputs.items()}
        assert sum(np.prod(shape) for _, shape in answers) == np.prod(whole)


def test_the_package_is_small_and_of_this_version() -> None:
    assert package_version() == binarynet.__version__
    files = json.loads((WASM.parent / "package.json").read_text(encoding="utf-8"))["files"]
    assert sum(len(gzip.compress((WASM.parent / name).read_bytes(), 9)) for name in files) <= MOST
    types = (WASM.parent / "index.d.ts").read_text(encoding="utf-8")
    for name in ("load", "BinaryNetError", "run(", "classify(", "free("):
        assert name in types
