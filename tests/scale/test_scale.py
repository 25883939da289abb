"""Many images: however they are stored the answers are the session's; what was stopped goes on, and nothing twice."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is in the extra scale")
pq = pytest.importorskip("pyarrow.parquet")

import binarynet  # noqa: E402
from binarynet.data import load_split  # noqa: E402
from binarynet.errors import InputError  # noqa: E402
from binarynet.format import load, save  # noqa: E402
from binarynet.graph.ir import Flatten, Graph, Input, Linear  # noqa: E402
from binarynet.models import find  # noqa: E402
from binarynet.scale import Scorer, answer_all, open_source  # noqa: E402
from tests.graph.graphs import small_convnet  # noqa: E402

DIGITS = load_split("digits", "test").images.reshape(-1, 64)
EXPECTED = binarynet.load("digits").logits(DIGITS)


def png(image: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.reshape(8, 8)).save(file, "PNG")
    return file.getvalue()


def columns() -> dict[str, Any]:
    rows = DIGITS[:40]
    flat = pa.array(rows.reshape(-1))
    return {
        "binary": pa.array([row.tobytes() for row in rows], pa.binary()),
        "large binary": pa.array([row.tobytes() for row in rows], pa.large_binary()),
        "fixed binary": pa.array([row.tobytes() for row in rows], pa.binary(64)),
        "a slice": pa.array([b"x" * 64, *(row.tobytes() for row in rows)], pa.binary(64)).slice(1),
        "lists": pa.array(rows.tolist(), pa.list_(pa.uint8())),
        "lists of int64": pa.array(rows.tolist(), pa.list_(pa.int64())),
        "fixed lists": pa.FixedSizeListArray.from_arrays(flat, 64),
        "nested lists": pa.array(rows.reshape(-1, 1, 8, 8).tolist(), pa.list_(pa.list_(pa.list_(pa.uint8())))),
        "tensors": pa.FixedShapeTensorArray.from_numpy_ndarray(rows.reshape(-1, 8, 8)),
        "pictures": pa.array([png(row) for row in rows], pa.binary()),
        "pictures of Hugging Face": pa.array([{"bytes": png(row), "path": None} for row in rows]),
    }


@pytest.mark.parametrize("how", columns())
def test_however_images_are_stored_the_answers_are_the_sessions(how: str) -> None:
    table = pa.table({"id": range(40), "image": columns()[how]})
    found = Scorer("digits")(table)
    assert found.schema.names == ["id", "class", "name", "logits", "error"]
    logits = np.asarray(found.column("logits").to_pylist(), np.float32)
    assert np.array_equal(logits, EXPECTED[:40])
    assert found.column("class").to_pylist() == EXPECTED[:40].argmax(axis=1).tolist()
    assert found.column("error").null_count == 40


def test_channels_first_and_last_are_told_apart() -> None:
    graph = small_convnet()
    images = np.random.default_rng(0).integers(0, 256, (5, *graph.input.shape), np.uint8)
    session = binarynet.Session(graph)
    expected = session.logits(images, layout="nhwc")
    kind = pa.list_(pa.list_(pa.list_(pa.uint8())))
    for stored in (images, images.transpose(0, 3, 1, 2)):
        found = Scorer(session)(pa.table({"image": pa.array(stored.tolist(), kind)}))
        assert np.array_equal(np.asarray(found.column("logits").to_pylist()).reshape(expected.shape), expected)


def test_reals_are_taken_by_models_of_reals_alone() -> None:
    graph = Graph((Input("x", (), (3,), "f32"), Linear("y", ("x",), np.ones((2, 3), np.int8), "b1")))
    rows = pa.array([[0.5, 1.0, -2.0], [1.0, 1.0, 1.0]], pa.list_(pa.float32()))
    found = Scorer(binarynet.Session(graph))(pa.table({"image": rows}))
    assert found.column("logits").to_pylist() == [[-0.5, -0.5], [3.0, 3.0]]
    with pytest.raises(InputError, match="store bytes"):
        Scorer("digits")(pa.table({"image": pa.array((DIGITS[:2] / 255).tolist(), pa.list_(pa.float64()))}))


def test_rows_that_cannot_be_read_have_an_error_and_the_others_answers() -> None:
    broken = png(DIGITS[1])[:-40]
    found = Scorer("digits")(pa.table({"image": pa.array([png(DIGITS[0]), broken, None, b"", DIGITS[4].tobytes()])}))
    assert [error is None for error in found.column("error").to_pylist()] == [True, False, False, False, False]
    assert found.column("class").to_pylist()[0] == int(EXPECTED[0].argmax())
    assert found.column("class").to_pylist()[1:] == found.column("logits").to_pylist()[1:] == [None] * 4
    for column, told in (
        (pa.array([[1, 2], [3]]), "equally long"),
        (pa.array([[1, 2], [3, 4]]), "2 numbers"),
        (pa.array([[1] * 64, None]), "hold no image"),
        (pa.array([[300] * 64]), "300"),
    ):
        with pytest.raises(InputError, match=told):
            Scorer("digits")(pa.table({"image": column}))


def test_the_column_is_found_or_asked_for() -> None:
    image = pa.array([DIGITS[0].tobytes()])
    assert len(Scorer("digits")(pa.table({"name": ["a"], "whatever": image}))) == 1
    for table, column, told in (
        (pa.table({"a": image, "b": image}), None, "Give --column; that can be: a, b"),
        (pa.table({"a": ["text"]}), None, "can be: none"),
        (pa.table({"a": image}), "b", "no column 'b'"),
        (pa.table({"a": ["text"]}), "a", "holds no images"),
    ):
        with pytest.raises(InputError, match=told):
            Scorer("digits", column)(table)


def test_a_scorer_goes_to_other_processes() -> None:
    table = pa.table({"image": [row.tobytes() for row in DIGITS[:9]]})
    copy = pickle.loads(pickle.dumps(Scorer("digits", threads=1)))
    assert copy(table).equals(Scorer("digits")(table))


def parquet(file: Path, rows: int, group: int = 10_000) -> Path:
    images = DIGITS[np.arange(rows) % len(DIGITS)]
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(64), rows, [None, pa.py_buffer(images.tobytes())])
    pq.write_table(pa.table({"image": column}), file, row_group_size=group)
    return file


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "binarynet.cli", "run", *map(str, arguments)]


def check(out: Path, rows: int) -> None:
    found = pq.read_table(out)
    assert found.column("row").to_pylist() == list(range(rows))
    assert found.column("class").to_numpy().tolist() == EXPECTED.argmax(axis=1)[np.arange(rows) % len(DIGITS)].tolist()


def test_a_run_that_is_killed_goes_on_and_answers_nothing_twice(tmp_path: Path) -> None:
    rows, out = 300_000, tmp_path / "out"
    file = parquet(tmp_path / "images.parquet", rows)
    process = subprocess.Popen(command("digits", file, "--out", out, "--threads", 1))
    while len(list(out.glob("part-*"))) < 3:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {part: part.stat().st_mtime_ns for part in out.glob("part-*")}
    assert len(before) < 30
    done = subprocess.run(command("digits", file, "--out", out), capture_output=True, text=True, check=True)
    assert "were there" in done.stdout
    assert {part: part.stat().st_mtime_ns for part in before} == before
    assert not list(out.glob(".*"))
    check(out, rows)


def test_answers_of_another_model_or_content_are_not_mixed(tmp_path: Path) -> None:
    file, out = parquet(tmp_path / "images.parquet", 30, 10), tmp_path / "out"
    assert answer_all(open_source(file), Scorer("digits"), out).rows == 30
    assert answer_all(open_source(file), Scorer("digits"), out).found == 30
    changed = load(find("digits"))
    save(Graph(changed.ops, {**changed.meta, "note": "another"}), tmp_path / "other.bnn")
    with pytest.raises(InputError, match="another model"):
        answer_all(open_source(file), Scorer(tmp_path / "other.bnn"), out)
    parquet(file, 40, 10)
    with pytest.raises(InputError, match="another source"):
        answer_all(open_source(file), Scorer("digits"), out)
    (out / "part-000000.parquet").write_bytes(b"damaged")
    with pytest.raises(InputError, match="not a part of this run"):
        answer_all(open_source(file), Scorer("digits"), out)


def test_a_folder_of_parquet_a_folder_of_pictures_and_streams(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for index in range(3):
        parquet(tmp_path / "many" / f"{index}.parquet", 2 * len(DIGITS), 100)
    assert answer_all(open_source(tmp_path / "many"), Scorer("digits"), tmp_path / "answers").rows == 6 * len(DIGITS)
    check(tmp_path / "answers", 6 * len(DIGITS))

    pictures = tmp_path / "pictures" / "deep"
    pictures.mkdir(parents=True)
    for index in range(40):
        (pictures / f"{index:02}.png").write_bytes(png(DIGITS[index]))
    (pictures / "bad.png").write_bytes(b"no picture")
    done = subprocess.run(command("digits", tmp_path / "pictures"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "bad.png" in done.stderr
    assert done.stdout.splitlines() == [
        f"{pictures / f'{index:02}.png'}: {EXPECTED[index].argmax()}" for index in range(40)
    ]
    out = tmp_path / "from pictures"
    done = subprocess.run(
        command("digits", tmp_path / "pictures", "--out", out), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert pq.read_table(out).column("file").to_pylist()[:2] == ["deep/00.png", "deep/01.png"]

    array, arrow = io.BytesIO(), io.BytesIO()
    np.save(array, DIGITS[:50])
    table = pa.table({"image": [row.tobytes() for row in DIGITS[:50]]})
    with pa.ipc.new_stream(arrow, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    wanted = [f"-[{index}]: {EXPECTED[index].argmax()}" for index in range(50)]
    for content in (array.getvalue(), arrow.getvalue()):
        done = subprocess.run(command("digits", "-"), input=content, capture_output=True, check=True)
        assert done.stdout.decode().splitlines() == wanted
        done = subprocess.run(command("digits", "-"), input=content[:-100], capture_output=True, check=False)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr
    done = subprocess.run(command("digits", "-"), input=b"nothing", capture_output=True, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr


@pytest.mark.parametrize(
    "given", [["--out", "x", "picture.png"], ["--column", "x", "picture.png"], ["--column", "x", "."]]
)
def test_options_that_go_with_many_images_alone(given: list[str]) -> None:
    done = subprocess.run(command("digits", *given), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from Linux's /proc/self/status")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom binarynet.scale import *\n"
        "answer_all(open_source(Path(sys.argv[1])), Scorer('digits', threads=1), Path(sys.argv[2]))\n"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')])"
    )
    peaks = []
    for rows in (20_000, 400_000):
        file = parquet(tmp_path / f"{rows}.parquet", rows, 20_000)
        given = [sys.executable, "-c", code, str(file), str(tmp_path / str(rows))]
        environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
        peaks.append(int(subprocess.run(given, capture_output=True, text=True, check=True, env=environment).stdout))
    assert peaks[1] - peaks[0] < 12_000  # kilobytes; the answers of the larger alone are 22,000


@pytest.mark.parametrize(
    ("shape", "meta"),
    [((64,), {"shape": "1x4x16"}), ((6, 6, 3), {"resize": "9"}), ((6, 6, 3), {}), ((64,), {}), ((6, 6, 1), {})],
)
def test_a_picture_in_a_folder_has_the_answer_of_the_picture_alone(shape, meta, tmp_path, capsys) -> None:
    from PIL import Image

    from binarynet.cli import main

    rng = np.random.default_rng(1)
    weight = rng.integers(0, 2, (5, int(np.prod(shape))), np.int8) * 2 - 1
    ops = [Input("x", (), shape, "b8")]
    if len(shape) == 3:
        ops.append(Flatten("flat", ("x",)))
    graph = Graph((*ops, Linear("y", (ops[-1].name,), weight)), meta)
    save(graph, tmp_path / "model.bnn")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, size in enumerate(((20, 12), (6, 6), (16, 4))):
        pixels = rng.integers(0, 256, (size[1], size[0], 4 if index == 1 else 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    alone: list[object] = []
    for option in (["--background", "black"], ["--background", "white"]):
        answers = []
        for inputs in (sorted(map(str, folder.iterdir())), [str(folder)]):
            assert main(["run", str(tmp_path / "model.bnn"), *inputs, "--json", *option]) == 0
            answers.append([json.loads(line)["logits"] for line in capsys.readouterr().out.splitlines()])
        assert answers[0] == answers[1]
        alone.append(answers[0])
    assert alone[0] != alone[1], "the background is seen"


def test_answers_of_another_column_or_background_are_not_mixed(tmp_path: Path) -> None:
    file, column = tmp_path / "two.parquet", pa.array([row.tobytes() for row in DIGITS[:5]])
    pq.write_table(pa.table({"a": column, "b": column}), file)
    answer_all(open_source(file, "a"), Scorer("digits", "image"), tmp_path / "out")
    with pytest.raises(InputError, match="another source"):
        answer_all(open_source(file, "b"), Scorer("digits", "image"), tmp_path / "out")
    with pytest.raises(InputError, match="another background"):
        answer_all(open_source(file, "a"), Scorer("digits", "image", background="white"), tmp_path / "out")


@pytest.mark.parametrize(
    "shape", ["(3, 1000000000000)", "(99999999999999999999, 64)", "(3, 0)", "(0, 64)", "(3, -64)", "()"]
)
def test_a_stream_whose_header_asks_for_anything_is_one_line(shape: str) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)
    done = subprocess.run(command("digits", "-"), input=content, capture_output=True, check=False)
    assert done.stderr.count(b"\n") == (0 if shape == "(0, 64)" else 1), done.stderr
    assert done.returncode == (0 if shape == "(0, 64)" else 2)
