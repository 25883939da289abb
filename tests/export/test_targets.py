"""The table of targets, and the verb that leads to it."""

from __future__ import annotations

import json
import resource
from importlib import import_module

import numpy as np
import pytest

from binarynet.cli import main
from binarynet.errors import ExportError, GraphError
from binarynet.export import TARGETS, Options, write
from binarynet.export.c.layers import function
from binarynet.export.c.options import Options as COptions
from binarynet.export.c.plan import Layer, Stored
from binarynet.export.emit import Names, real
from binarynet.format import save
from binarynet.graph import Encoding, Graph, Op, Value
from tests.export.building import need
from tests.graph.graphs import small_convnet, small_mlp

import_module("binarynet.cli.export")  # adds the verb to the app


def test_targets_are_found_by_name():
    assert {"c", "verilog", "weights"} <= set(TARGETS)
    assert "emit" not in TARGETS
    for target in TARGETS.values():
        assert (target.export.__doc__ or "").strip()


def test_an_unknown_target_lists_the_known_ones(tmp_path):
    with pytest.raises(ExportError, match=r"unknown target 'cobol'. Known: .*c, .*weights"):
        write(small_mlp(), "cobol", tmp_path)


def test_a_graph_that_is_not_well_formed_is_not_exported(tmp_path):
    with pytest.raises(GraphError):
        write(Graph(()), "c", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["c", "verilog", "weights"])
def test_every_file_that_is_written_is_returned(target, tmp_path):
    files = write(small_convnet(), target, tmp_path, Options("net"))
    assert sorted(files) == sorted(tmp_path.iterdir())


def test_an_op_without_a_rule_is_named_with_its_target():
    class Sort(Op):
        pass

    x = Stored("input", "i32", Value((3,), Encoding.parse("i32")))
    layer = Layer(Sort("order", ("input",)), (), (x,), x, "order")
    with pytest.raises(ExportError, match=r"order \(Sort\): the target c has no rule"):
        function(layer, Names(), COptions())


def test_a_real_literal_brings_back_its_bits():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    values = np.append(values[np.isfinite(values)], np.float32([0, 1, 1e-45, 3.4028235e38, 16777216]))
    again = np.array([np.float32(real(value).rstrip("f")) for value in values])
    np.testing.assert_array_equal(again.view(np.uint32), values.view(np.uint32))
    assert all("." in real(value) or "e" in real(value) for value in values)


def test_the_command_exports_and_proves_it_equal_on_a_data_set(tmp_path, capsys):
    need("gcc")
    file = tmp_path / "digits net.bnn"
    save(small_mlp(features=64, classes=10), file)
    assert main(["export", str(file), "--to", "c", "--out", str(tmp_path / "out"), "--check", "digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["check"]["equal"] == found["check"]["images"] == 296
    head = (tmp_path / "out" / "digits_net.h").read_text(encoding="utf-8")
    assert "Command: binarynet export 'digits net.bnn' --to c --api digits_net --out out" in head


def test_the_command_simulates_hardware_and_says_how_long_it_takes(tmp_path, capsys):
    need("iverilog")
    save(small_mlp(features=64, classes=10), tmp_path / "digits.bnn")
    out = tmp_path / "out"
    arguments = ["--to", "verilog", "--out", str(out), "--fold", "4x16", "--fold", "linear1=5x8", "--limit", "12"]
    assert (
        main(["export", str(tmp_path / "digits.bnn"), *arguments, "--check", "digits", "--simulator", "iverilog"]) == 0
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "verilog by iverilog on digits test: 12/12 equal logits with the oracle; " in said
    assert "64 from image to image" in said
    head = (out / "digits.v").read_text(encoding="ascii")
    assert "--to verilog --api digits --fold 4x16 --fold linear1=5x8 --out out" in head


def test_the_command_writes_the_bare_numbers(tmp_path, capsys):
    save(small_mlp(), tmp_path / "net.bnn")
    arguments = ["export", str(tmp_path / "net.bnn"), "--to", "weights", "--out", str(tmp_path / "out"), "--word", "32"]
    assert main(arguments) == 0
    assert "net.npz" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "cobol"], "unknown target"),
        (["--to", "c", "--api", "int"], "identifier"),
        (["--to", "c", "--word", "24"], "choose 16, 32, 64"),
        (["--to", "weights", "--check", "digits"], "--check runs what was written"),
        (["--to", "c", "--fold", "4x4"], "--fold is an option of verilog; the target c has none of it"),
        (["--to", "verilog", "--fold", "4"], "write OUTPUTSxINPUTS"),
        (["--to", "verilog", "--api", "wire"], "keyword of Verilog"),
    ],
)
def test_bad_arguments_are_one_line_and_code_2(arguments, said, tmp_path, capsys):
    save(small_mlp(), tmp_path / "net.bnn")
    assert main(["export", str(tmp_path / "net.bnn"), "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("target", ["c", "verilog", "weights", "onnx"])
def test_a_full_disk_leaves_an_older_export_as_it_was(target, tmp_path):
    """A full disk once left half a C file beside a header of another model. No file may grow beyond 2 kB here."""
    write(small_mlp(), target, tmp_path, Options("net"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(small_mlp(features=300, hidden=200), target, tmp_path, Options("net"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    write(small_mlp(features=300, hidden=200), target, tmp_path, Options("net"))
    assert {path.name for path in tmp_path.iterdir()} == set(before)
