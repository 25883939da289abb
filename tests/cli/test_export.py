"""`binarynet export` as docs/export.md shows it: names relative to where the user stands."""

import json
import shutil

import numpy as np
import pytest

from binarynet.cli import main
from binarynet.format import save
from binarynet.graph import Graph
from binarynet.graph.ir import Affine, Input, Linear

WAYS = {
    "c": ("made/c", "--check", "digits"),
    "onnx": ("made/net.onnx", "--check", "digits"),
    "qonnx": ("made/qonnx/net.onnx", "--check", "digits"),
    "verilog": ("made/v", "--check", "digits", "--simulator", "iverilog", "--fold", "8x64"),
    "weights": ("made/weights",),
}


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A small linear classifier of the digits, in the folder that is the current one."""
    rng = np.random.default_rng(0)
    weight = rng.choice([-1, 1], (10, 64)).astype(np.int8)
    ops = (
        Input("images", (), (64,), "b8"),
        Linear("classes", ("images",), weight),
        Affine("logits", ("classes",), np.full(10, 2**-10, np.float32), np.zeros(10, np.float32)),
    )
    monkeypatch.chdir(tmp_path)
    save(Graph(ops, {}), "net.bnn")
    return "net.bnn"


@pytest.mark.parametrize("target", WAYS)
def test_every_target_takes_a_relative_out_and_checks_what_it_wrote_there(target, model, capsys):
    out, *check = WAYS[target]
    if "iverilog" in check and not shutil.which("iverilog"):
        pytest.skip("no iverilog (Debian package iverilog)")
    limit = ["--limit", "5"] if check else []
    code = main(["export", model, "--to", target, "--out", out, *check, *limit, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    document = json.loads(printed.out)
    assert document["files"]
    if check:
        assert (document["check"]["equal"], document["check"]["images"]) == (5, 5)
