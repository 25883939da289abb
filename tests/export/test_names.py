"""Names and texts of a model are written by anybody: in no target do they become code, and any of them compiles."""

from __future__ import annotations

import re
import subprocess
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from binarynet.errors import ExportError, FormatError, GraphError
from binarynet.export import TARGETS, Options, options_of, write
from binarynet.export.emit import Names, comment, harmless, line_comments, put, quoted
from binarynet.export.verilog.check import logits, simulate
from binarynet.format import from_bytes, to_bytes
from binarynet.graph import Graph, interpret
from binarynet.graph.ir import Affine, Input, Linear
from tests.export.building import STRICT, assert_c_equals_the_oracle, need
from tests.format.test_container import resigned
from tests.graph.graphs import signs, small_mlp, threshold

# Ends a comment, in whatever way, and then is code. No identifier holds a brace, so one in the code shows an escape.
CODE = "INJECTED{"
CONTROL = [
    f"a\n{CODE}",
    f"a\r{CODE}",
    "a\0b",
    "a\x1b[31m",
    "a\x7f",
    "\x85",
    "a\u2028b",
    "a\u202eb",
    "a\u200bb",
    "\ud800",
]
PRINTABLE = [
    f"*/ {CODE} /*",
    f"**// {CODE}",
    f"/*/ {CODE}",
    f"*\\ / {CODE}",
    f"??/ {CODE}",
    f"???/ {CODE}",
    f"*??/{CODE}",
    f"// {CODE} \\",
    "\\",
    "*\\",
    "/",
    "*",
    "?",
    f'"; {CODE} "',
    f"'{CODE}'",
    f"`include {CODE}",
    f"$(shell {CODE})",
    f"#define {CODE}",
    "%s%n",
    "synthesis translate_off",
    "synopsys translate_off",
    "verilator lint_off",
    "verilator public",
    "../../etc/passwd",
    "/etc/passwd",
    "NAN",
    "INT8_MAX",
    "UINT64_C",
    "HUGE_VALF",
    "main",
    "int",
    "endmodule",
    "begin",
    "net",
    "net_logits",
    "image",
    "images",
    "logits",
    "1",
    "-1",
    "e\u0301 \N{GREEK SMALL LETTER GAMMA} 日本",
    "x" * 1000,
    "x" * 999 + "y",
    " ",
    ":",
]


def named(names: list[str]) -> Graph:
    """A network with an op for each name, two at least."""
    rng = np.random.default_rng(len(names))
    input_, *inner, classes, last = names
    ops, source = [Input(input_, (), (9,), "b8")], input_
    for k in range(0, len(inner) - 1, 2):
        width = 9 if k == 0 else 5
        ops += [Linear(inner[k], (source,), signs(rng, 5, width)), threshold(rng, inner[k + 1], inner[k], 5, 900)]
        source = inner[k + 1]
    depth = 5 if len(inner) > 1 else 9
    ops += [Linear(classes, (source,), signs(rng, 3, depth))]
    ops += [Affine(last, (classes,), np.ones(3, np.float32), np.zeros(3, np.float32))]
    texts = {name: f"{name}\n*/ {CODE}\n\x1b[31m \\" for name in names[:20]}
    return Graph(tuple(ops), {**texts, "classes": f'{CODE}"\\\n??/\x1b[31m\r*/\n%s'})


GRAPHS = [named(PRINTABLE[:1] + PRINTABLE[k : k + 16] + [f"{k}.{CODE}", f"{k}/{CODE}"]) for k in range(1, 48, 16)]


def codes(graph: Graph, images: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (images, *graph.input.shape)).astype(np.uint8)


def without_comments(text: str, verilog: bool = False) -> str:
    """What a compiler sees: of C after trigraphs and joined lines, as ISO C does it before it looks for comments."""
    if not verilog:
        text = text.replace("??/", "\\").replace("\\\n", "")
    pattern = r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/'
    return re.sub(pattern, lambda found: '""' if found[0][0] == '"' else " ", text, flags=re.DOTALL)


def assert_no_code(folder: Path) -> None:
    """In no file but JSON, whose texts are data, and arrays; source may hold it in comments and strings."""
    for file in folder.rglob("*"):
        if file.is_dir() or file.name == "net" or file.suffix in (".json", ".bin", ".npz", ".onnx"):
            continue
        text = file.read_text(encoding="utf-8")
        source = file.suffix in (".c", ".h", ".cpp", ".ino", ".v")
        if file.suffix in (".core", ".py"):  # YAML and Python: comments stand on lines of their own
            text = re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE)
        assert CODE not in (without_comments(text, file.suffix == ".v") if source else text), file.name
        assert all(char.isprintable() or char in "\n\t" for char in text), file.name


@pytest.mark.parametrize("name", CONTROL, ids=ascii)
def test_a_control_character_in_a_name_or_key_is_refused(name, tmp_path):
    for graph in (named([name, "b", "c"]), named(["a", name, "c"]), Graph(small_mlp().ops, {name: "text"})):
        for target in TARGETS:
            with pytest.raises(GraphError, match="control character U"):
                write(graph, target, tmp_path / "out")
    # Half of a surrogate pair is no character, so no JSON text either.
    refused = "half of a surrogate pair" if "\ud800" <= name[0] <= "\udfff" else "control character U"
    with pytest.raises(FormatError, match=refused):
        from_bytes(resigned(lambda graph, header, data: graph.update(meta={name: "text"})))
    with pytest.raises(FormatError, match=refused):
        from_bytes(resigned(lambda graph, header, data: graph["ops"][0].update(name=name)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("graph", GRAPHS, ids=["first", "second", "third"])
class TestAnyName:
    def test_survives_a_file(self, graph):
        assert to_bytes(from_bytes(to_bytes(graph))) == to_bytes(graph)

    @pytest.mark.parametrize("word", [32, 64])
    def test_is_no_code_in_c(self, graph, word, tmp_path):
        assert_c_equals_the_oracle(graph, codes(graph), tmp_path, word, flags=STRICT)
        assert_no_code(tmp_path)
        if word == 64:  # a trigraph is one in ISO mode alone
            flags = ("-std=c99", "-Wtrigraphs", "-Wcomment", "-Werror", "-fsyntax-only")
            subprocess.run(["gcc", *flags, "net.c", "main.c"], cwd=tmp_path, check=True)

    def test_is_no_code_in_verilog(self, graph, tmp_path):
        need("iverilog")
        options = options_of("verilog")("net")
        write(graph, "verilog", tmp_path, options)
        assert_no_code(tmp_path)
        for file in tmp_path.glob("*.v"):
            for order in ("synthesis", "synopsys", "verilator", "pragma", "cadence"):
                assert not re.search(rf"(//|/\*)\s*{order}", file.read_text(encoding="utf-8")), file.name
        found = simulate(tmp_path, graph, options, codes(graph), "iverilog")
        assert found.passed
        np.testing.assert_array_equal(logits(graph, found), interpret(graph, codes(graph)))

    @pytest.mark.parametrize("board", ["arduino", "esp-idf", "platformio", "zephyr"])
    def test_is_no_code_for_boards(self, graph, board, tmp_path):
        need("gcc")
        write(graph, board, tmp_path, Options("net"))
        assert_no_code(tmp_path)
        (file,) = tmp_path.rglob("net.c")
        subprocess.run(["gcc", *STRICT, "-std=c99", "-c", "net.c"], cwd=file.parent, check=True)

    def test_is_no_code_in_the_arrays(self, graph, tmp_path):
        need("gcc")
        write(graph, "weights", tmp_path, Options("net"))
        assert_no_code(tmp_path)
        subprocess.run(["gcc", *STRICT, "-std=c99", "-c", "net_weights.c"], cwd=tmp_path, check=True)

    @pytest.mark.parametrize("target", ["onnx", "qonnx"])
    def test_makes_an_onnx_file_that_answers_the_same(self, graph, target, tmp_path):
        pytest.importorskip("qonnx")
        options = options_of(target)("net")
        write(graph, target, tmp_path, options)
        found = TARGETS[target].answers(graph, tmp_path, options, codes(graph))
        np.testing.assert_array_equal(found, interpret(graph, codes(graph)))


@pytest.mark.parametrize("target", ["arduino", "c", "verilog", "weights", "zephyr"])
def test_the_writers_escape_control_characters_themselves(target, tmp_path, monkeypatch):
    """Even if the verifier let them pass: a key that joins two lines left its comment, and --check ran what it said."""
    monkeypatch.setattr(import_module("binarynet.graph.verify"), "_unfit", lambda name: "")
    names = [name for name in CONTROL if name not in ("a\0b", "\ud800")]  # no member of a .npz, no UTF-8
    names += [f"*\\\n/ {CODE} /*", f"\n{CODE}", f"\\\n{CODE}", f"*??/\n/ {CODE}"]
    graph = named([name for k in range(2) for name in (f"{k}{name}" for name in names)])
    graph = Graph(graph.ops, dict(graph.meta) | {name: name for name in names})
    write(graph, target, tmp_path, Options("net", command=f"binarynet export '\n{CODE}'"))
    assert_no_code(tmp_path)
    if target == "c":
        assert_c_equals_the_oracle(graph, codes(graph), tmp_path, flags=STRICT)


def test_verilator_takes_any_name(tmp_path):
    need("verilator")
    names = [name for name in PRINTABLE if len(name) < 100]
    write(named(names), "verilog", tmp_path, Options("net"))
    subprocess.run(["verilator", "--lint-only", "-Wno-fatal", "--top-module", "net", "net.v"], cwd=tmp_path, check=True)


def test_random_texts_end_no_comment_and_begin_no_line():
    rng = np.random.default_rng(0)
    parts = ["*", "/", "?", "\\", '"', "\n", "\r", "\t", "\0", "\x1b", "\u2028", "\u202e", "\ud800", " ", "a", "??/"]
    for _ in range(20_000):
        text = "".join(rng.choice(parts, rng.integers(1, 9)))
        shown = harmless(text)
        assert shown.isprintable()
        assert not re.search(r"\*/|/\*|\\|\?\?", shown)
        for made in (comment([text, text]), line_comments([text, text]), f"/* {shown}: 3 */", f"x = {quoted(text)};"):
            assert text.isalpha() or without_comments(made).strip() in ("", 'x = "";'), ascii(text)


def test_the_last_gate_refuses_what_no_writer_should_have_let_through(tmp_path):
    with pytest.raises(ExportError, match=r"net\.c: U\+001B has no place in source"):
        put(tmp_path, "net.c", "/* \x1b */")
    assert not list(tmp_path.iterdir())


def test_a_string_of_c_is_the_text_that_a_terminal_may_see(tmp_path):
    need("gcc")
    text = 'a"\\\x1b[31m\n??/%s é \u202e0'
    (tmp_path / "a.c").write_text(f"#include <stdio.h>\nint main(void) {{ return puts({quoted(text)}) < 0; }}\n")
    subprocess.run(["gcc", *STRICT, "-std=c99", "-o", "a", "a.c"], cwd=tmp_path, check=True)
    shown = subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout.decode()
    assert shown == 'a"\\\\x1b[31m\n??/%s é \\u202e0\n'


def test_identifiers_are_short_and_no_macros():
    names = Names()
    assert names.unique("NAN") == "nan"
    assert names.unique("nan") == "nan_2"
    assert len({names.unique("x" * 1000) for _ in range(3)} | {names.unique("x" * 999)}) == 4
    assert all(len(names.unique("y" * 1000)) < 90 for _ in range(3))
