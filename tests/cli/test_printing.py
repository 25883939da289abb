"""What a file, a path or an argument says is printed as text: no markup, no emoji, nothing steers the terminal."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from binarynet.cli import main
from binarynet.format import save
from binarynet.graph import Graph
from tests.format.test_container import resigned
from tests.graph.graphs import small_mlp

NAMES = ("[/red]", "[bold]x", ":smile:", "[link=http://x]y[/link]", "é γ")
CLASSES = ("[/red]", "\x1b[31mred\x1b[2J", "\u202eevil\x9b1m\r\x07")


def hostile(folder: Path) -> Path:
    """A model whose ops, keys, texts and classes are markup and escape sequences."""
    graph = small_mlp()
    new = dict(zip([op.name for op in graph.ops], NAMES, strict=True))
    ops = [replace(op, name=new[op.name], sources=tuple(new[name] for name in op.sources)) for op in graph.ops]
    file = folder / "[red]\x1b[31m:smile:.bnn"
    save(Graph(tuple(ops), {"[/blue]": "[/green] \x1b]0;title\x07", "classes": "\n".join(CLASSES)}), file)
    return file


def assert_text(printed: str) -> None:
    assert printed
    assert all(char.isprintable() or char == "\n" for char in printed), ascii(printed)


@pytest.mark.parametrize(
    "verb",
    [
        ["inspect"],
        ["inspect", "--json"],
        ["verify"],
        ["verify", "--json"],
        ["run", "x.npy"],
        ["run", "x.npy", "--json"],
        ["export", "--to", "weights", "--out", "[red]\x1b[32m"],
        ["export", "--to", "c", "--out", "out", "--json"],
        ["bench", "--layers", "--seconds", "0.02", "--batch", "1"],
    ],
    ids=" ".join,
)
def test_every_verb_prints_names_as_they_are(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).integers(0, 256, (20, 10)).astype(np.uint8))
    file = hostile(tmp_path)
    code = main([verb[0], str(file), *verb[1:]])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert_text(printed.out)
    if "--json" in verb:  # one document, or one a line
        for text in printed.out.splitlines() if verb[0] == "run" else [printed.out]:
            json.loads(text)
    if verb == ["inspect"]:
        assert all(name in printed.out for name in (*NAMES, "[/blue]: [/green] \\x1b]0;title\\x07"))
    if verb == ["run", "x.npy"]:
        names = {line.split(": ", 1)[1] for line in printed.out.splitlines()}
        assert names <= {"[/red]", "\\x1b[31mred\\x1b[2J", "\\u202eevil\\x9b1m\\r\\x07"}
        assert names


def test_a_refusal_quotes_a_file_as_text(tmp_path, capsys):
    file = tmp_path / "\x1b[31m.bnn"
    file.write_bytes(resigned(lambda graph, header, data: graph["ops"][1].update(name="[/red]\x1b[2J\nbinarynet: ok")))
    for verb in (["inspect"], ["verify"], ["run"]):
        assert main([verb[0], str(file), *verb[1:]]) == 2
        printed = capsys.readouterr()
        assert_text(printed.err)
        assert printed.err.count("\n") == 1, "one line"
        assert not printed.out


@pytest.mark.parametrize("argument", ["\x1b[31m", "[/red]", os.fsdecode(b"\xff\xfe"), "--\x1b[2J"])
def test_a_wrong_argument_is_quoted_as_text(argument, capsys):
    for words in (["inspect", argument], [argument], ["verify", "digits", argument], ["recipes", argument]):
        assert main(words) == 2
        assert_text(capsys.readouterr().err)
