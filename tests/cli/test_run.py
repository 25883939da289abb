"""`binarynet run`: any number of images, a line for each, in the memory of a few."""

import json
import subprocess
import sys

import numpy as np
import pytest

import binarynet
from binarynet.cli import main, run
from binarynet.graph import Graph
from binarynet.graph.ir import Conv2d, Flatten, Input, Linear

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model of each kind: vectors of 12 numbers, and images of 3 × 4 with one or with three channels."""
    folder = tmp_path_factory.mktemp("models")
    signs = RNG.choice([-1, 1], (3, 12)).astype(np.int8)
    vectors = (Input("images", (), (12,), "b8"), Linear("classes", ("images",), signs))
    binarynet.save(Graph(vectors, {"classes": "a\nb\nc"}), folder / "vectors.bnn")
    for channels in (1, 3):
        kernel = RNG.choice([-1, 1], (3, 3, 4, channels)).astype(np.int8)
        ops = (
            Input("images", (), (3, 4, channels), "b8"),
            Conv2d("conv", ("images",), kernel),
            Flatten("classes", ("conv",)),
        )
        binarynet.save(Graph(ops, {}), folder / f"images{channels}.bnn")
    return folder


def lines(capsys, *arguments, code=0):
    assert main(["run", *map(str, arguments), "--json"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


SHAPES = {
    "vectors": [(12,), (3, 4), (1, 12), (1, 3, 4), (1, 1, 3, 4), (1, 12, 1)],
    "images1": [(12,), (3, 4), (1, 3, 4), (3, 4, 1), (1, 1, 3, 4), (1, 3, 4, 1), (1, 12)],
    "images3": [(36,), (3, 3, 4), (3, 4, 3), (1, 3, 3, 4), (1, 3, 4, 3), (1, 36)],
}


@pytest.mark.parametrize(("model", "shape"), [(model, shape) for model, shapes in SHAPES.items() for shape in shapes])
def test_one_image_is_taken_alone_or_as_a_batch_of_one(model, shape, folder, tmp_path, capsys):
    session = binarynet.load(folder / f"{model}.bnn")
    image = RNG.integers(0, 256, shape).astype(np.uint8)
    channels = 3 if model == "images3" else 1
    if shape[-1] == channels and len(shape) > 2 and model != "vectors":
        expected = session.logits(image.reshape(1, 3, 4, channels), layout="nhwc")
    else:
        expected = session.logits(image.reshape(1, -1))
    np.save(tmp_path / "one.npy", image)
    (found,) = lines(capsys, folder / f"{model}.bnn", tmp_path / "one.npy")
    assert found["logits"] == expected.reshape(expected.shape).tolist()[0]
    assert found["index"] == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_batch_is_answered_in_pieces_a_line_an_image(order, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "_MOST", 7)
    images = RNG.integers(0, 256, (40, 3, 4)).astype(np.uint8)
    np.save(tmp_path / "batch.npy", np.asarray(images, order=order))
    found = lines(capsys, folder / "vectors.bnn", tmp_path / "batch.npy")
    session = binarynet.load(folder / "vectors.bnn")
    assert [answer["index"] for answer in found] == list(range(40))
    assert [answer["logits"] for answer in found] == session.logits(images).tolist()
    assert [answer["class"] for answer in found] == session.predict(images).tolist()
    assert main(["run", str(folder / "vectors.bnn"), str(tmp_path / "batch.npy")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[39] == f"{tmp_path}/batch.npy[39]: {'abc'[found[39]['class']]}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from Linux's /proc/self/status")
def test_a_large_array_takes_the_memory_of_a_piece(folder, tmp_path):
    def peak(images):
        np.save(tmp_path / "batch.npy", np.zeros((images, 12 * 400), np.uint8).reshape(-1, 12))
        code = "import sys; from binarynet.cli import main; assert main(sys.argv[1:]) == 0; "
        code += "held = [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')]; "
        code += "print(*held, file=sys.stderr)"
        command = [sys.executable, "-c", code, "run", str(folder / "vectors.bnn"), str(tmp_path / "batch.npy")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.count("\n") == images * 400
        return int(done.stderr) * 1024

    few, many = peak(20), peak(400)
    assert many - few < 380 * 400 * 12, "the whole array would be more"


def test_values_that_are_no_input_are_named_by_file_and_place(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "_MOST", 7)
    images = np.zeros((40, 12), np.int64)
    images[17, 3] = 300
    np.save(tmp_path / "batch.npy", images)
    assert main(["run", str(folder / "vectors.bnn"), str(tmp_path / "batch.npy")]) == 2
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 14
    assert "batch.npy: images: the value 300 at (3, 3)" in printed.err
    assert "(counted from image 14)" in printed.err


def test_reals_mean_what_all_of_a_file_together_says(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "_MOST", 7)
    images = np.ones((40, 12), np.float32)
    images[39, 0] = 0.5  # so that these are intensities, though the first pieces alone could be bytes
    np.save(tmp_path / "reals.npy", images)
    found = lines(capsys, folder / "vectors.bnn", tmp_path / "reals.npy")
    assert [one["logits"] for one in found] == binarynet.load(folder / "vectors.bnn").logits(images).tolist()


def test_files_that_cannot_be_read_are_named_and_the_others_answered(folder, tmp_path, capsys):
    np.save(tmp_path / "good.npy", np.zeros(12, np.uint8))
    np.save(tmp_path / "short.npy", np.zeros((2, 5), np.uint8))
    np.save(tmp_path / "none.npy", np.zeros((0, 12), np.uint8))
    np.save(tmp_path / "scalar.npy", np.uint8(3))
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", np.zeros(12))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "folder.npy").mkdir()
    good = (tmp_path / "good.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(good[:-5])
    names = [
        "missing",
        "good",
        "short",
        "none",
        "scalar",
        "objects",
        "several",
        "text",
        "empty",
        "folder",
        "cut",
        "good",
    ]
    arguments = [str(tmp_path / f"{name}.npy") for name in names]
    assert main(["run", str(folder / "vectors.bnn"), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out.count("good.npy: ") == printed.out.count("\n") == 2
    errors = printed.err.splitlines()
    assert len(errors) == 10
    for name, error in zip([name for name in names if name != "good"], errors, strict=True):
        assert error.startswith(f"binarynet: {tmp_path}/{name}.npy")


def test_a_picture_is_answered_with_what_was_done_to_it(folder, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image", reason="no Pillow: pip install pillow")
    pixels = RNG.integers(0, 256, (3, 4)).astype(np.uint8)
    image.fromarray(pixels).save(tmp_path / "one.png")
    image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    exact, deep = lines(capsys, folder / "images1.bnn", tmp_path / "one.png", tmp_path / "deep.png")
    assert exact["logits"] == deep["logits"] == binarynet.load(folder / "images1.bnn").logits(pixels[None]).tolist()[0]
    assert (exact["notes"], deep["notes"]) == ([], ["16 bits taken to 8"])
    assert main(["run", str(folder / "images1.bnn"), str(tmp_path / "deep.png")]) == 0
    assert capsys.readouterr().out.endswith("  (16 bits taken to 8)\n")
    image.new("LA", (4, 3), (255, 0)).save(tmp_path / "gone.png")
    assert main(["run", str(folder / "images1.bnn"), str(tmp_path / "gone.png")]) == 2
    assert "transparent" in capsys.readouterr().err
    ten = (Input("images", (), (10,), "b8"), Linear("classes", ("images",), np.ones((3, 10), np.int8)))
    binarynet.save(Graph(ten, {}), tmp_path / "ten.bnn")
    assert main(["run", str(tmp_path / "ten.bnn"), str(tmp_path / "one.png")]) == 2
    assert "10 features, which is no square picture" in capsys.readouterr().err


def test_a_name_cannot_write_to_the_terminal(folder, tmp_path, capsys):
    name = "\x1b[31mred\n[bold].npy"
    np.save(tmp_path / name, np.zeros(12, np.uint8))
    assert main(["run", str(folder / "vectors.bnn"), str(tmp_path / name)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.count("\n") == 1
    assert r"\x1b[31mred\n[bold].npy" in printed
