"""docs/adding.md: each of its examples, put into a copy of the sources, does what the page says, with so many files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import binarynet
from binarynet import _native, _training, recipes
from binarynet.data import load
from binarynet.graph import interpret
from binarynet.graph.ir import Linear, Threshold
from binarynet.lower import lower
from tests.recipes.steps import two_steps

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
NAME = "forgiving-digits"


@dataclass(frozen=True)
class Example:
    """A section of the page: files that are new, and lines that go into files that are there."""

    files: dict[str, str]
    lines: list[tuple[str, str, str]]  # file, what they stand before, the lines

    @classmethod
    def of(cls, heading: str) -> Example:
        section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
        blocks = re.findall(
            r"^```\w+ (file|in)=(\S+)(?: before=([^\n]+))?\n(.*?)^```$", section, re.MULTILINE | re.DOTALL
        )
        assert blocks, heading
        files = {path: text for kind, path, _, text in blocks if kind == "file"}
        lines = [(path, place.replace("\\n", "\n"), text) for kind, path, place, text in blocks if kind == "in"]
        return cls(files, lines)

    @property
    def touched(self) -> set[str]:
        return {*self.files, *(path for path, _, _ in self.lines)}

    def put_into(self, tree: Path, also_import: str = "") -> None:
        """Write the files and lines into a copy; ``also_import`` stands beside PRelu in the imports of those files."""
        for path, text in self.files.items():
            assert not (tree / path).exists(), f"{path} is there already"
            (tree / path).write_text(text, encoding="utf-8")
        for path, place, added in self.lines:
            text = (tree / path).read_text(encoding="utf-8")
            assert text.count(place) == 1, f"{path}: {place!r} stands there {text.count(place)} times"
            within = not place.startswith(("    ", "_", "@", "KERNELS"))  # part of a line
            text = text.replace(place, (added.rstrip("\n") if within else added) + place)
            (tree / path).write_text(text, encoding="utf-8")
        for path in {path for path, _, _ in self.lines if also_import and not path.endswith("graph/ir.py")}:
            text = (tree / path).read_text(encoding="utf-8")
            (tree / path).write_text(
                re.sub(r"(?<=[ (\n])PRelu,", f"{also_import}, PRelu,", text, count=1), encoding="utf-8"
            )


def told(name: str) -> int:
    """How many files the page says it takes."""
    return int(re.findall(rf"^\| \[{name}\]\([^)]+\) \| (\d+) \|", PAGE, re.MULTILINE)[0])


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python sources with the built extensions, apart."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for extension in binarynet.__path__:
        for built in Path(extension).glob("*.so*"):
            (tree / "src" / "binarynet" / built.name).symlink_to(built)
    for module in (_native, _training):
        built = Path(module.__file__)
        for library in built.parent.glob("*.so*"):
            place = tree / "src" / "binarynet" / library.name
            if not place.exists():
                place.symlink_to(library)
    return tree


def run(tree: Path, code: str) -> str:
    """What Python prints that imports the package from a copy."""
    here = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if '_editable' not in type(f).__module__]; "
    here += f"sys.path.insert(0, {str(tree / 'src')!r})\n"
    command = [sys.executable, "-c", here + code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tree, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[recipes.Recipe]:
    ((path, source),) = Example.of("The file").files.items()
    (tmp_path / Path(path).name).write_text(source, encoding="utf-8")
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    yield recipes.get(NAME)
    sys.modules.pop(f"binarynet.recipes.{Path(path).stem}")


def test_a_recipe_is_as_many_files_as_the_page_says() -> None:
    assert len(Example.of("The file").touched) == told("a paper")


def test_a_quantizer_is_one_file_and_known_by_its_name(copied: Path) -> None:
    example = Example.of("A quantizer of general use")
    assert len(example.touched) == told("a quantizer")
    example.put_into(copied)
    code = (
        "import torch; from binarynet.nn import BinaryLinear, QUANTIZERS\n"
        "layer = BinaryLinear(64, 10, weight_quantizer='forgiving_sign')\n"
        "x = torch.randn(3, 64); layer(x).sum().backward()\n"
        "assert torch.equal(layer.weight.grad, x.sum(0) * (1 - layer.weight.detach().abs() / 2))\n"
        "print('forgiving_sign' in QUANTIZERS)"
    )
    assert run(copied, code).strip() == "True"


def test_an_export_target_is_one_file_and_a_choice_of_the_command_line(copied: Path, tmp_path: Path) -> None:
    example = Example.of("An export target")
    assert len(example.touched) == told("an export target")
    example.put_into(copied)
    code = f"from binarynet.cli import main; main(['export', 'digits', '--to', 'listing', '--out', {str(tmp_path)!r}])"
    assert "digits.txt" in run(copied, code)
    assert (tmp_path / "digits.txt").read_text(encoding="utf-8").startswith("Input ")


def test_an_op_is_in_every_engine_with_the_lines_of_the_page(copied: Path, tmp_path: Path) -> None:
    example = Example.of("An op")
    assert len(example.touched) == told("an op")
    example.put_into(copied, also_import="Twice")
    shutil.copytree(ROOT / "docs", copied / "docs", ignore=shutil.ignore_patterns("*.png", "results"))
    code = f"""
import importlib.util, numpy as np
from pathlib import Path
from binarynet.export import answers, write
from binarynet.export.c.options import Options
from binarynet.format import from_bytes, to_bytes
from binarynet.graph import Graph, interpret, verify
from binarynet.graph.ir import Affine, Input, Twice
from binarynet.runtime import Session
spec = importlib.util.spec_from_file_location("engine_table", "docs/engine_table.py")
page = importlib.util.module_from_spec(spec); spec.loader.exec_module(page)
assert page.missing() == [], page.missing()
scale = np.float32([1, -2, 0.1])
ops = (Input("x", (), (3,), "f32"), Twice("twice", ("x",)), Affine("last", ("twice",), scale, scale))
graph = from_bytes(to_bytes(Graph(ops)))
x = np.float32([[1, 2, 3], [-0.1, 0, 1e30]])
expected = interpret(graph, x)
assert np.array_equal(expected, (x + x) * scale + scale)
assert np.array_equal(Session(graph).logits(x), expected)
folder = Path({str(tmp_path)!r})
write(graph, "c", folder)
assert np.array_equal(answers(graph, "c", folder, Options(), x).logits, expected)
write(graph, "onnx", folder)
print("equal")
"""
    assert run(copied, code).strip() == "equal"


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_an_instruction_set_is_a_file_and_a_line_and_counts_as_portable_does(tmp_path: Path) -> None:
    example = Example.of("An instruction set")
    assert len(example.touched) == told("an instruction set")
    for folder in ("kernels", "base"):
        shutil.copytree(ROOT / "native" / folder, tmp_path / "native" / folder)
    example.put_into(tmp_path)
    lines = (tmp_path / "native/kernels/kernels.inc").read_text(encoding="utf-8")
    only = [
        line for line in lines.splitlines(keepends=True) if line.startswith(("KERNELS(newcomer", "KERNELS(portable"))
    ]
    (tmp_path / "native/kernels/kernels.inc").write_text("".join(only), encoding="utf-8")  # the others take minutes
    (tmp_path / "main.cpp").write_text(ASKED, encoding="utf-8")
    sources = [f"native/kernels/{name}.cpp" for name in ("dispatch", "newcomer", "portable")]
    sources += [str(file.relative_to(tmp_path)) for file in sorted((tmp_path / "native/base").glob("*.cpp"))]
    command = [
        "g++",
        "-std=c++20",
        "-O0",
        "-Wall",
        "-Werror",
        "-pthread",
        "-Inative",
        "-o",
        "ask",
        "main.cpp",
        *sources,
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(["./ask"], cwd=tmp_path, env={"BINARYNET_ISA": "newcomer"}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "newcomer\n")


ASKED = """
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/dispatch.h"

using namespace binarynet;

int main() {
    const size_t rows = 5, words = 3, panels = 2;
    std::vector<uint64_t> a(rows * words), w(panels * words * 8);
    for (uint64_t& word : a) word = uint64_t(rand()) << 32 ^ uint64_t(rand()) << 11 ^ uint64_t(rand());
    for (uint64_t& word : w) word = uint64_t(rand()) << 32 ^ uint64_t(rand()) << 11 ^ uint64_t(rand());
    std::vector<int32_t> terms(panels * 8, 96), found[2];
    std::vector<uint8_t> flip(panels, 0), bits[2];
    for (int which = 0; which < 2; ++which) {
        const Kernels& k = which ? kernels_named("portable") : active_kernels();
        if (!which) std::puts(k.name);
        auto common = [&](Gemm& g) {
            g.rows = a.data(), g.row_count = rows, g.row_stride = words, g.words = words, g.planes = 1;
            g.panels = reinterpret_cast<const uint8_t*>(w.data()), g.units = words;
            g.panel_begin = 0, g.panel_end = panels, g.classes = nullptr, g.terms = terms.data(), g.term_stride = 16;
        };
        GemmI32 whole{};
        common(whole);
        found[which].resize(rows * 16);
        whole.shift = 1, whole.channels = 16, whole.out = found[which].data(), whole.out_stride = 16;
        k.gemm_i32(whole);
        GemmBits signs{};
        common(signs);
        bits[which].resize(rows * panels);
        signs.flip = flip.data(), signs.out = bits[which].data(), signs.out_stride = panels;
        k.gemm_bits(signs);
    }
    return found[0] == found[1] && bits[0] == bits[1] ? 0 : 1;
}
"""


def test_the_example_is_found_by_its_name_alone(recipe: recipes.Recipe) -> None:
    assert NAME in recipes.names()
    assert "bnn-digits" in recipes.names()
    assert recipe.with_settings({"width": "64"}).settings()["width"] == 64


def test_the_example_trains_two_steps_on_digits_and_its_graph_answers_what_torch_answers(
    recipe: recipes.Recipe,
) -> None:
    data = load("digits")
    model = recipe.model(data.shape, len(data.classes))
    optimizer, schedule = recipe.optimizer(model)
    assert schedule is not None
    losses = []
    for rows in np.arange(100).reshape(2, 50):
        images, labels = (torch.from_numpy(array[rows]) for array in (data.train.images, data.train.labels))
        loss = recipe.loss(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(map(np.isfinite, losses))
    graph = lower(model, data.shape)
    assert [op.weight_encoding for op in graph.ops if isinstance(op, Linear)] == ["b1"] * 3
    assert sum(isinstance(op, Threshold) for op in graph.ops) == 2
    images = data.test.images
    answer = interpret(graph, images.reshape(len(images), -1))
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(images)).numpy()
    # One multiply and one add in float32 by the graph, against the last BatchNorm's own order of the same.
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(answer.argmax(1), expected.argmax(1))


def test_every_parameter_of_the_example_moves(recipe: recipes.Recipe) -> None:
    two_steps(recipe)


def test_the_gradient_of_the_example_is_what_its_page_says(recipe: recipes.Recipe) -> None:
    sign = recipe.model((1, 8, 8), 10).get_submodule("sign1")
    x = torch.tensor([-3.0, -2.0, -1.0, 0.0, 0.5, 2.0, 3.0], requires_grad=True)
    sign(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 0.5, 1.0, 0.75, 0.0, 0.0]
