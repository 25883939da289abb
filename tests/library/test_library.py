"""libbinarynet: the answers of Python with ==, from any thread, and errors instead of everything else."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import binarynet
from binarynet.format import from_bytes, to_bytes
from binarynet.graph import Graph, interpret
from binarynet.graph.ir import Input, Relu
from binarynet.models import find
from binarynet.report.agreement import together
from binarynet.runtime import Session, isa
from tests.graph.graphs import small_convnet
from tests.library import embed
from tests.library.building import built
from tests.library.corpus import CORPUS
from tests.library.face import Library, Options, Refused
from tests.library.pipe import images

GOOD = sorted((CORPUS / "ok").glob("*.bnn"))


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(next(built().glob("libbinarynet.so")))


def test_every_instruction_set_answers_what_python_answers(library: Library) -> None:
    assert library.isas == list(isa.available())
    for file in GOOD:
        graph = from_bytes(file.read_bytes())
        codes = images(graph.input.shape, graph.input.encoding)
        layout = "nhwc" if codes.ndim == 4 else None
        for name in library.isas:
            model = library.load(file, Options(isa=name.encode(), threads=2))
            session = Session(graph, isa=name, threads=1)
            expected = together(session, codes, layout)
            found = model.run(codes)
            assert model.isa == name
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            assert np.array_equal(found, expected), f"{file.name} on {name}"
            assert model.answers == session.outputs
            assert np.array_equal(model.classify(codes), session.predict(codes, layout=layout))


def test_eight_threads_share_one_model(library: Library) -> None:
    graph = small_convnet()
    model = library.load_bytes(to_bytes(graph), threads=2)
    batches = [
        np.random.default_rng(seed).integers(0, 256, (seed % 7, *graph.input.shape), np.uint8) for seed in range(64)
    ]
    expected = [Session(graph, engine="oracle").logits(batch, layout="nhwc") for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for found, wanted in zip(pool.map(model.run, batches), expected, strict=True):
                assert np.array_equal(found, wanted)


def test_a_model_says_what_it_reads_and_answers(library: Library) -> None:
    model = library.load(find("mnist-small"))
    assert (model.shape(model.input), model.input.encoding, model.input.highest) == ((28, 28, 1), b"b8", 255)
    assert (model.shape(model.output), model.output.encoding, model.output.bytes) == ((10,), b"f32", 40)
    assert library.c.bnn_version().decode() == binarynet.__version__
    names = library.load(CORPUS / "ok" / "classes.bnn")
    assert [library.c.bnn_class_name(names.handle, index) for index in range(4)] == [
        b"nought",
        b"one",
        "zwölf 十二".encode(),
        None,
    ]


def _refused(work) -> Refused:
    with pytest.raises(Refused) as caught:
        work()
    assert caught.value.text.isprintable()
    assert caught.value.text
    return caught.value


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("unavailable", {"isa": b"mmx"}),
        ("unavailable", {"kernel": b"magic"}),
        ("argument", {"threads": -1}),
        ("argument", {"threads": 5000}),
        ("argument", {"sha256": b"12"}),
        ("file", {"sha256": b"0" * 64}),
        ("limits", {"most_ops": 1}),
        ("limits", {"most_values": 1}),
        ("limits", {"most_macs": 1}),
        ("limits", {"most_memory": 1}),
    ],
)
def test_options_are_taken_or_refused(library: Library, kind: str, options: dict) -> None:
    assert _refused(lambda: library.load(CORPUS / "ok" / "mlp.bnn", Options(**options))).name == kind


def test_the_file_that_is_meant(library: Library) -> None:
    file = CORPUS / "ok" / "mlp.bnn"
    digest = hashlib.sha256(file.read_bytes()).hexdigest().upper().encode()
    assert library.load(file, Options(sha256=digest)).input.numbers == 70


@pytest.mark.parametrize("path", ["/nowhere.bnn", "/", "/dev/zero", ""])
def test_what_is_no_file_is_refused_and_not_waited_for(library: Library, path: str) -> None:
    assert _refused(lambda: library.load(path)).name == "file"


def test_an_older_program_has_fewer_options_and_a_newer_one_more(library: Library) -> None:
    class Newer(ctypes.Structure):
        _fields_ = (("known", Options), ("more", ctypes.c_uint64))

    file = str(CORPUS / "ok" / "mlp.bnn").encode()
    made = ctypes.c_void_p()
    older = Options(isa=b"portable", threads=-1)
    older.size = Options.threads.offset
    library.check(library.c.bnn_load(file, older, made))
    assert library.c.bnn_isa(made) == b"portable"
    library.c.bnn_free(made)
    newer = Newer(Options(isa=b"portable"), 7)
    newer.known.size = ctypes.sizeof(newer)
    library.check(library.c.bnn_load(file, ctypes.cast(ctypes.pointer(newer), ctypes.POINTER(Options)), made))
    library.c.bnn_free(made)
    older.size = 0
    assert library.c.bnn_status_name(library.c.bnn_load(file, older, made)) == b"argument"
    assert made.value is None


def test_null_is_an_error_and_not_a_crash(library: Library) -> None:
    made = ctypes.c_void_p()
    call = library.c
    assert call.bnn_status_name(call.bnn_load(None, None, made)) == b"argument"
    assert call.bnn_status_name(call.bnn_load(b"x", None, None)) == b"argument"
    assert call.bnn_status_name(call.bnn_load_bytes(None, 1, None, made)) == b"argument"
    assert call.bnn_status_name(call.bnn_load_bytes(None, 0, None, made)) == b"safetensors"
    assert call.bnn_status_name(call.bnn_run(None, None, 0, None)) == b"argument"
    assert call.bnn_status_name(call.bnn_classify(None, None, 0, None)) == b"argument"
    assert not call.bnn_inputs(None)
    assert not call.bnn_outputs(None)
    assert call.bnn_isa(None) is None
    assert call.bnn_threads(None) == 0
    assert call.bnn_class_name(None, 0) is None
    assert call.bnn_isas(99) is None
    assert call.bnn_status_name(99) == b"unknown"
    call.bnn_free(None)


def test_what_an_image_may_not_hold_is_named(library: Library) -> None:
    few = library.load(CORPUS / "ok" / "factors.bnn")  # u4
    codes = np.zeros((3, *few.shape(few.input)), np.uint8)
    codes[2, 1, 0, 1] = 16
    error = _refused(lambda: few.run(codes))
    assert (error.name, error.text) == ("input", "image 2, number 13: 16 is no code 0 … 15 of u4")
    reals = library.load_bytes(to_bytes(Graph((Input("x", (), (5,), "f32"), Relu("r", ("x",))))))
    for bad in (np.nan, np.inf, -np.inf):
        numbers = np.zeros((2, 5), np.float32)
        numbers[1, 3] = bad
        error = _refused(lambda numbers=numbers: reals.run(numbers))
        assert (error.name, error.text) == ("input", "image 1, number 3: is not finite")
    answers = np.zeros(12, np.uint8)
    call = library.c.bnn_run(reals.handle, np.zeros(5, np.float32).ctypes.data, 1, answers.ctypes.data + 1)
    assert library.c.bnn_status_name(call) == b"argument"


def test_the_error_is_that_of_the_thread(library: Library) -> None:
    _refused(lambda: library.load("/nowhere.bnn"))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(library.c.bnn_error).result() == b""
    assert b"/nowhere.bnn" in library.c.bnn_error()


def test_nothing_but_the_face_is_exported_and_it_has_a_version() -> None:
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", "--with-symbol-versions", built() / "libbinarynet.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    names = {line.split()[-1] for line in listed}
    header = (CORPUS.parents[2] / "native" / "library" / "binarynet.h").read_text(encoding="utf-8")
    declared = {
        word.split("(")[0].lstrip("*")
        for line in header.splitlines()
        if line.startswith("BNN_API")
        for word in line.split()
        if word.startswith(("bnn_", "*bnn_")) and "(" in word
    }
    assert len(declared) == 17
    assert names == {f"{name}@@BINARYNET_1" for name in declared} | {"BINARYNET_1"}


def _bnn(*words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([built() / "bnn", *words], input=stdin, capture_output=True)


def test_the_tool_classifies_raw_files(tmp_path: Path) -> None:
    file = CORPUS / "ok" / "classes.bnn"
    graph = from_bytes(file.read_bytes())
    codes = np.random.default_rng(0).integers(0, 256, (600, *graph.input.shape), np.uint8)
    expected = interpret(graph, codes)
    (tmp_path / "raw").write_bytes(b"head" + codes.tobytes())
    done = _bnn(file, tmp_path / "raw", "--skip", "4")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [int(row[1]) for row in rows] == list(range(600))
    assert [int(row[2]) for row in rows] == expected.argmax(axis=1).tolist()
    assert {row[3] for row in rows} <= set(graph.classes)
    done = _bnn("--logits", "--isa", "portable", "--threads", "1", file, "-", stdin=codes.tobytes())
    found = np.array([line.split("\t")[2:] for line in done.stdout.decode().splitlines()], np.float32)
    assert np.array_equal(found, expected)
    told = _bnn(file).stdout.decode()
    assert "10 b8, 10 bytes an image" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "usage: bnn"),
        (["nowhere.bnn"], "nowhere.bnn: cannot be read"),
        (["MODEL", "nowhere"], "nowhere: No such file"),
        (["MODEL", "-"], "7 bytes are left over; an image has 70"),
        (["MODEL", "-", "--skip", "99"], "ends before the 99 bytes"),
        (["MODEL", "-", "--skip", "7"], "holds no image"),
        (["MODEL", "--skip", "x"], "is no number that it takes"),
        (["MODEL", "--threads"], "needs a value"),
        (["MODEL", "--fast"], "no option --fast"),
        (["MODEL", "--isa", "mmx"], "unknown instruction set 'mmx'"),
    ],
)
def test_the_tool_says_in_one_line_what_is_wrong(words: list[str], message: str) -> None:
    done = _bnn(*(str(CORPUS / "ok" / "mlp.bnn") if word == "MODEL" else word for word in words), stdin=b"7 bytes")
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1 or not words


def test_both_examples_are_built_against_an_installed_copy(tmp_path: Path) -> None:
    prefix = embed.install(tmp_path / "prefix")
    graph = small_convnet()
    model = tmp_path / "model.bnn"
    model.write_bytes(to_bytes(graph))
    codes = np.random.default_rng(1).integers(0, 256, (50, *graph.input.shape), np.uint8)
    expected = interpret(graph, codes).tobytes()
    for name in ("embed_c", "embed_cpp"):
        program = embed.built_by_cmake(name, ("gcc", "g++"), prefix, tmp_path / name)
        assert embed.answers(program, model, codes, tmp_path) == expected
    program = embed.built_by_pkg_config("gcc", prefix, tmp_path / "pc")
    assert embed.answers(program, model, codes, tmp_path) == expected
    assert sys.platform != "linux" or os.readlink(next(prefix.rglob("libbinarynet.so"))) == "libbinarynet.so.1"
