"""Several answers: whatever a module returns is answered by name, by every engine, in every format."""

from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from binarynet.cli import main
from binarynet.errors import BinarynetError, ExportError, ImportedModelError, InputError
from binarynet.export import TARGETS, Options, write
from binarynet.format import from_bytes, save, to_bytes
from binarynet.graph import Graph, Output, interpret
from binarynet.importer import import_onnx
from binarynet.lower import lower
from binarynet.nn import BinaryConv2d, BinaryLinear, ByteInput
from binarynet.report.agreement import oracle_logits, with_native
from binarynet.runtime import Session, isa

Boxes = namedtuple("Boxes", "where scores")
SHAPE = (3, 5, 6)


class Heads(nn.Module):
    """A class for the whole image and scores for each pixel, returned in one of many ways."""

    def __init__(self, way: str = "tuple") -> None:
        super().__init__()
        torch.manual_seed(7)
        self.way = way
        self.first, self.norm = BinaryConv2d(3, 6, 3, padding=1, input_quantizer=ByteInput()), nn.BatchNorm2d(6)
        self.map = BinaryConv2d(6, 4, 3, padding=1, input_quantizer="ste_sign")
        self.whole = BinaryLinear(6 * 30, 5, input_quantizer="ste_sign")
        with torch.no_grad():
            self.norm.running_mean.uniform_(-500, 500)
            self.norm.running_var.uniform_(1e5, 9e5)
        self.eval()

    def forward(self, x: Tensor) -> Any:
        h = self.norm(self.first(x))
        few, image = self.whole(h.flatten(1)), self.map(h)
        return WAYS[self.way][0](few, image, h)


WAYS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "tuple": (lambda few, image, h: (few, image), ("logits", "output2")),
    "list, one of them twice": (lambda few, image, h: [image, few, image], ("logits", "output2", "output3")),
    "dict": (lambda few, image, h: {"image": image, "few": few}, ("image", "few")),
    "dict with logits": (lambda few, image, h: {"image": image, "logits": few}, ("logits", "image")),
    "dict of numbers": (lambda few, image, h: {0: few, 1: image}, ("0", "1")),
    "named tuple": (lambda few, image, h: Boxes(image, few), ("where", "scores")),
    "nested, with nothing": (lambda few, image, h: {"a": few, "b": (image, [few]), "c": None}, ("a", "b.0", "b.1.0")),
    "whole numbers and reals": (lambda few, image, h: (few, h.relu()), ("logits", "output2")),
    "signs and sums": (lambda few, image, h: (few, torch.where(h >= 0, 1.0, -1.0)), ("logits", "output2")),
    "a flattened image": (lambda few, image, h: (few, image.flatten(1)), ("logits", "output2")),
    "a part in another order": (lambda few, image, h: (image[:, 1:3].flip(2), few.flip(1)), ("logits", "output2")),
}


def images(count: int = 9) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *SHAPE), np.uint8)


def told(model: nn.Module, x: np.ndarray) -> list[np.ndarray]:
    """What torch answers, in `LOGITS`-first order."""
    with torch.no_grad():
        found = model(torch.from_numpy(x))
    if isinstance(found, dict) and "logits" in found:
        found = {"logits": found["logits"], **found}
    return [one.numpy() for one in tree_leaves(found) if one is not None]


@pytest.mark.parametrize("way", WAYS)
def test_what_a_module_returns_is_answered_by_name(way: str) -> None:
    model, x = Heads(way), images()
    graph = from_bytes(to_bytes(lower(model, SHAPE)))
    for engine in ("native", "oracle"):
        found = Session(graph, engine=engine).run(x, layout="nchw")
        assert isinstance(found, dict)
        assert tuple(found) == WAYS[way][1]
        for name, wanted, mine in zip(found, told(model, x), found.values(), strict=True):
            if way == "whole numbers and reals" and name == "output2":
                np.testing.assert_allclose(mine, wanted, atol=1e-5)
            else:
                np.testing.assert_array_equal(mine, wanted, err_msg=name)


@pytest.mark.parametrize("way", ["tuple", "signs and sums", "a flattened image"])
def test_every_instruction_set_and_target_answers_them_all(way: str, tmp_path: Path) -> None:
    graph = lower(Heads(way), SHAPE)
    x = images(5)
    expected = oracle_logits(graph, x)
    assert all(agreement.holds for agreement in with_native(graph, x, expected))
    assert len(list(with_native(graph, x, expected))) == len(isa.available())
    codes = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(interpret(graph, codes), expected)
    for target in ("c", "onnx", "qonnx"):
        if target != "c":
            pytest.importorskip(target, reason="pip install 'binarynet[onnx]'")
        options = Options("net")
        write(graph, target, tmp_path / target, options)
        found = TARGETS[target].answers(graph, tmp_path / target, options, codes)
        np.testing.assert_array_equal(np.asarray(getattr(found, "logits", found)), expected, err_msg=target)
    assert "#define NET_AT_OUTPUT2 5 " in (tmp_path / "c" / "net.h").read_text()
    with pytest.raises(ExportError, match="the target verilog"):
        write(graph, "verilog", tmp_path / "verilog", Options("net"))


def test_an_onnx_file_of_several_outputs_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("qonnx", reason="pip install 'binarynet[onnx]'")
    graph = lower(Heads("dict with logits"), SHAPE, {"classes": "\n".join("abcde")})
    (file,) = write(graph, "qonnx", tmp_path, Options("net"))
    again = import_onnx(file)
    assert again.outputs == graph.outputs == (Output("logits", (5,)), Output("image", (5, 6, 4)))
    codes = np.ascontiguousarray(images().transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(interpret(again, codes), interpret(graph, codes))


def test_the_first_is_the_class_and_what_logits_answers() -> None:
    model, x = Heads("list, one of them twice"), images()
    session = Session(lower(model, SHAPE))
    first = told(model, x)[0]
    np.testing.assert_array_equal(session.logits(x), first.transpose(0, 2, 3, 1))
    assert session.output_shape == (5, 6, 4)
    np.testing.assert_array_equal(session.predict(x), first.transpose(0, 2, 3, 1).reshape(9, -1).argmax(1))
    room = np.empty((9, 5, 6, 4), np.int32)
    assert session.logits(x, out=room) is room
    np.testing.assert_array_equal(room, session.logits(x))
    with pytest.raises(InputError, match="out is"):
        session.logits(x, out=np.empty((9, 5), np.int32))
    assert {name: part.shape for name, part in session.run(x[:0]).items()} == {
        name: (0, *shape) for name, shape in session.outputs.items()
    }


def test_run_answers_one_answer_as_an_array_in_the_layout_that_is_asked() -> None:
    model, x = nn.Sequential(BinaryConv2d(3, 4, 3, input_quantizer=ByteInput())), images()
    session = Session(lower(model, SHAPE))
    wanted = told(model, x)[0]
    np.testing.assert_array_equal(session.run(x, layout="nchw"), wanted)
    np.testing.assert_array_equal(session.run(x), wanted.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(session.run(x.transpose(0, 2, 3, 1), layout="nhwc"), wanted.transpose(0, 2, 3, 1))
    with pytest.raises(InputError, match="layout is 'hwcn'"):
        session.run(x, layout="hwcn")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the layout nhwc of"):
        session.run(x, layout="nhwc")


class Returns(nn.Module):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make, self.layer = make, BinaryLinear(8, 3, input_quantizer="ste_sign")

    def forward(self, x: Tensor) -> Any:
        return self.make(x, self.layer(x))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x, y: (y, 3), "returns int"),
        (lambda x, y: {"a": None}, "without a tensor"),
        (lambda x, y: (), "without a tensor"),
        (lambda x, y: (y, torch.ones(1)), "'output2' does not depend on the image"),
        (lambda x, y: {"a.b": y, "a": {"b": y + 1}}, "twice 'a.b'"),
        (lambda x, y: {"\x1b[31m": y, "b": y}, "control character"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(make: Any, said: str) -> None:
    with pytest.raises(BinarynetError, match=said):
        lower(Returns(make).eval(), (8,))


def test_an_output_that_no_input_reaches_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="pip install 'binarynet[onnx]'")
    of, info = onnx.helper, onnx.helper.make_tensor_value_info
    graph = of.make_graph(
        [of.make_node("Sign", ["x"], ["y"]), of.make_node("Constant", [], ["c"], value_floats=[1.0])],
        "net",
        [info("x", 1, (1, 4))],
        [info("y", 1, (1, 4)), info("c", 1, (1,))],
    )
    onnx.save(of.make_model(graph, opset_imports=[of.make_opsetid("", 13)], ir_version=8), tmp_path / "net.onnx")
    with pytest.raises(ImportedModelError, match="'c' does not depend on the input"):
        import_onnx(tmp_path / "net.onnx", "real")


def test_the_command_line_shows_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = lower(Heads("dict with logits"), SHAPE, {"classes": "\n".join("abcde")})
    save(graph, tmp_path / "net.bnn")
    np.save(tmp_path / "x.npy", images(2))
    assert main(["run", str(tmp_path / "net.bnn"), str(tmp_path / "x.npy"), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = Session(graph).run(images(2))
    for line, row, image in zip(lines, expected["logits"], expected["image"], strict=True):
        assert line["logits"] == line["outputs"]["logits"] == row.tolist()
        assert line["name"] == "abcde"[row.argmax()]
        assert line["outputs"]["image"] == image.tolist()
    assert main(["inspect", str(tmp_path / "net.bnn")]) == 0
    assert "answers logits 5, image 5×6×4" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "net.bnn"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"logits": [5], "image": [5, 6, 4]}


def test_a_file_of_one_answer_is_of_version_1_and_of_several_of_version_2() -> None:
    graph = lower(Heads("tuple"), SHAPE)
    assert b'{\\"version\\":2,' in to_bytes(graph)
    one = Graph(graph.ops, graph.meta)
    assert b'{\\"version\\":1,' in to_bytes(one)
    assert from_bytes(to_bytes(one)).outputs == ()
