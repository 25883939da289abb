"""The command line as a user meets it: what it prints, what it writes, and how it fails."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from binarynet import __version__
from binarynet.cli import main
from binarynet.format import load
from binarynet.recipes.measured import best
from binarynet.runtime import isa

CONVNET = Path(__file__).parents[1] / "data" / "small_convnet.bnn"
SMALL = ["--set", "width=64", "--epochs", "3", "--threads", "1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of a small net, trained once for this module."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "bnn-digits", *SMALL, "--out", str(folder), "--json"]) == 0
    return folder


def answer(capsys, *arguments):
    """The JSON that a command prints."""
    code = main([*map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


def test_training_leaves_a_whole_run_folder(run):
    assert {"config.json", "metrics.csv", "result.json", "model.bnn"} <= {path.name for path in run.iterdir()}
    graph = load(run / "model.bnn")
    assert graph.meta["recipe"] == "bnn-digits"
    assert len(graph.classes) == 10


def test_eval_gives_the_accuracy_of_training_and_proves_the_engines_equal(run, capsys):
    result = json.loads((run / "result.json").read_text())
    found = answer(capsys, "eval", run / "model.bnn", "--check", "oracle,torch")
    assert found["accuracy"] == pytest.approx(100 - result["test_error"], abs=1e-9)
    assert [a["equal"] for a in found["agreement"]] == [found["images"]] * len(found["agreement"])
    assert {a["engine"] for a in found["agreement"]} >= {"native portable", "torch"}


def test_a_limit_shortens_the_comparison_and_not_the_accuracy(run, capsys):
    all_images = answer(capsys, "eval", run / "model.bnn")
    found = answer(capsys, "eval", run / "model.bnn", "--check", "oracle", "--limit", "7")
    assert (found["images"], found["right"]) == (all_images["images"], all_images["right"])
    assert {a["equal"] for a in found["agreement"]} == {7}


@pytest.mark.parametrize("verb", [["eval"], ["export", "--to", "c", "--out", "out"]])
def test_a_limit_of_no_comparison_is_refused(verb, run, capsys):
    assert main([*verb, str(run / "model.bnn"), "--limit", "7"]) == 2
    assert "there is no --check" in capsys.readouterr().err


def test_eval_on_the_oracle_gives_the_same_answer(run, capsys):
    native = answer(capsys, "eval", run / "model.bnn")
    oracle = answer(capsys, "eval", run / "model.bnn", "--engine", "oracle")
    assert native["right"] == oracle["right"]


def test_lowering_again_gives_the_same_bytes(run, tmp_path, capsys):
    assert main(["lower", str(run), "--out", str(tmp_path / "again.bnn")]) == 0
    assert (tmp_path / "again.bnn").read_bytes() == (run / "model.bnn").read_bytes()


def test_inspect_counts_what_is_there(run, capsys):
    found = answer(capsys, "inspect", run / "model.bnn")
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["linear1"]["binary_macs"] == 64 * 64
    assert layers["linear1"]["stored_bits"] == 64 * 64
    assert found["binary_macs"] == 3 * 64 * 64 + 64 * 10
    assert layers["linear2"]["bytes_moved"] == 64 * 64 // 8 + 64 // 8, "its accumulators stay in registers"
    assert found["file_bytes"] == (run / "model.bnn").stat().st_size
    assert found["isa"] in isa.available()
    assert main(["inspect", str(run / "model.bnn")]) == 0
    assert "binary MACs" in capsys.readouterr().out


def test_inspect_says_what_each_layer_runs_on_and_for_how_long(run, capsys):
    found = answer(capsys, "inspect", run / "model.bnn", "--batch", "50")
    layers = {layer["name"]: layer for layer in found["layers"]}
    for name in ("linear1", "linear2", "classes"):
        assert layers[name]["kernel"].startswith(("popcount", "tiles", "vertical", "bitsliced", "lookup"))
        one, many = (layers[name]["expected"][batch] for batch in ("1", "50"))
        assert 0 < one["seconds"] < many["seconds"]
        assert many["kernel"].startswith(("popcount", "tiles", "vertical", "bitsliced", "lookup"))
    assert layers["sign1"]["expected"] == {}, "it is part of linear1"
    assert sum(layer["expected"]["50"]["seconds"] for layer in layers.values() if layer["expected"]) == pytest.approx(
        found["seconds"]["50"]
    )
    assert found["memory"] == sum(layer["memory"] for layer in layers.values()) > 3 * 64 * 64 // 8
    assert found["load_seconds"] > 0
    assert main(["inspect", str(run / "model.bnn"), "--kernel", "popcount", "--batch", "1"]) == 0
    assert "for a batch of 1;" in capsys.readouterr().out


def test_bench_shows_each_layer_expected_and_measured(run, capsys):
    found = answer(capsys, "bench", run / "model.bnn", "--layers", "--batch", "1,9", "--seconds", "0.02")
    steps = [(row["batch"], row["planned"]["op"], row["planned"]["fused"]) for row in found["rows"]]
    assert steps[-4:] == [(9, f"linear{n}", [f"sign{n}"]) for n in (1, 2, 3)] + [(9, "classes", ["logits"])]
    for row in found["rows"]:
        assert row["planned"]["seconds"] > 0
        assert 0 < row["measured"]["low"] <= row["measured"]["median"] <= row["measured"]["high"]
    assert main(["bench", str(run / "model.bnn"), "--layers", "--seconds", "0.01"]) == 0
    assert "expected" in capsys.readouterr().out


def test_inspect_follows_the_receptive_field(capsys):
    found = answer(capsys, "inspect", CONVNET)
    reach = {layer["name"]: layer["reach"] for layer in found["layers"]}
    assert reach["conv1"] == [3, 3]
    assert reach["pool1"] == [4, 4]
    assert reach["classes"] == [6, 6]


def test_bench_prints_a_ratio_to_torch(run, capsys):
    found = answer(capsys, "bench", run / "model.bnn", "--batch", "1,7", "--seconds", "0.02", "--every-isa")
    assert {row["engine"] for row in found["rows"]} >= {"binarynet portable", "torch float32"}
    assert all(row["ratio"] > 0 and row["low"] <= row["median"] <= row["high"] for row in found["rows"])
    assert found["machine"]["processor"]


def test_bench_of_a_file_is_short_for_bench_model(run, capsys):
    long = answer(capsys, "bench", "model", run / "model.bnn", "--batch", "1", "--seconds", "0.01")
    short = answer(capsys, "bench", "--batch", "1", run / "model.bnn", "--seconds", "0.01")
    assert [row["engine"] for row in long["rows"]] == [row["engine"] for row in short["rows"]]
    assert main(["bench", "--help"]) == 0
    assert "suite" in capsys.readouterr().out


def test_bench_train_trains_both_ways_along_the_same_curve(capsys):
    found = answer(capsys, "bench", "train", "bnn-digits", "--set", "width=64", "--steps", "10", "--threads", "1")
    ours, plain = (found["recipes"]["bnn-digits"][way] for way in ("ours", "plain"))
    assert len(ours["seconds"]) == len(plain["seconds"]) == 5  # the first turn is not timed
    assert ours["losses"][0] == pytest.approx(plain["losses"][0], rel=1e-5)
    assert ours["losses"][-1] == pytest.approx(plain["losses"][-1], rel=0.02)
    assert 0 < ours["weight_bytes"] < plain["weight_bytes"]


def test_bench_train_compares_a_recipe_without_a_plain_way_with_itself_by_torch(capsys):
    small = ["--set", "width=32", "--steps", "10", "--threads", "1"]
    found = answer(capsys, "bench", "train", "bnn-torch7-digits", *small)
    assert set(found["recipes"]["bnn-torch7-digits"]) == {"plain", "ours"}


def test_recipes_lists_every_recipe_with_its_settings(capsys):
    found = answer(capsys, "recipes")
    assert found["bnn-mnist"]["settings"]["width"] == 4096
    assert main(["recipes", "bnn-mnist"]) == 0
    assert "width=4096" in capsys.readouterr().out


def test_the_list_of_recipes_shows_reported_and_our_errors(capsys):
    assert main(["recipes"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("bnn-mnist"))
    ours = best("bnn-mnist")
    assert "0.96 %" in row
    assert f"{ours.test_error:.2f} %" in row
    assert main(["recipes", "bnn-mnist"]) == 0
    assert ours.command in capsys.readouterr().out


def test_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_demo_goes_the_whole_way(capsys, monkeypatch):
    from binarynet import recipes

    recipe = recipes.get("bnn-digits").with_settings({"epochs": "2", "width": "32"})
    monkeypatch.setattr(recipes, "get", lambda name: recipe)
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    assert "native portable: 296/296 equal logits" in printed
    assert "torch: 296/296 equal predictions" in printed


WRONG = {
    "inspect nothing.bnn": r"nothing\.bnn: cannot be read",
    "verify {broken}": "the checksum does not match",
    "verify {text}": "not a safetensors file",
    "train bnn-minst": "Did you mean 'bnn-mnist'",
    "train bnn-digits --set widht=3": "Did you mean 'width'",
    "train bnn-digits --set width=x": "needs a whole number",
    "train bnn-digits --set width": "name=value",
    "train bnn-digits --data cifra10": "Did you mean 'cifar10'",
    "train bnn-digits --epochs 0": "greater than or equal to 1",
    "train bnn-mnist --data-dir nowhere": "nowhere",
    "eval {convnet}": "give --data",
    "eval {convnet} --data digits": r"\(296, 1, 8, 8\)",
    "eval {convnet} --data digits --check magic": "Choose oracle, torch",
    "eval {convnet} --data digits --engine warp": "unknown engine 'warp'",
    "run {convnet} {text}": "neither a .npy array nor a picture",
    "run {convnet} {convnet} --isa z80": "unknown instruction set 'z80'",
    "inspect {convnet} --kernel warp": "unknown kernel 'warp'; there are: popcount, tiles, vertical, bitsliced",
    "inspect {convnet} --kernel multiply": "conv1: cannot run on the kernel 'multiply'; it can run on popcount",
    "inspect {convnet} --isa portable --kernel tiles": "the instruction set 'portable' has no kernel 'tiles'",
    "bench {convnet} --layers --every-isa": "--layers shows one instruction set",
    "bench {convnet} --batch 0": "positive whole numbers",
    "bench nothing.bnn": r"nothing\.bnn: cannot be read",
    "bench suite --peers abacus": "no peer 'abacus'",
    "bench suite --workloads W9": "no workload 'W9'",
    "bench suite --threads 0": "positive whole numbers",
    "lower nowhere": "nowhere",
    "inspekt": "No such command 'inspekt'. Did you mean 'inspect'",
    "inspect mnist-smal": "Did you mean 'mnist-small'",
    "export {convnet} --to verilgo --out x": "Did you mean 'verilog'",
    "export {convnet} --to c --out x --check digts": "Did you mean 'digits'",
    "eval {convnet} --data digits --split tset": "Did you mean 'test'",
    "eval {convnet} --data digits --engine nativ": "Did you mean 'native'",
    "eval {convnet} --data digits --check orcale": "Did you mean 'oracle'",
    "train bnn-digits --precision bf61": "Did you mean 'bf16'",
    "train bnn-digits --epoch 3": "--epochs",
    "bench gpuu": "No such command 'gpuu'. Did you mean 'gpu'",
    "bench suite --peers torhc": "Did you mean 'torch'",
    "recipes bnn-mnst": "Did you mean 'bnn-mnist'",
    "demo --recipe bnn-digts": "Did you mean 'bnn-digits'",
}


@pytest.mark.parametrize("command", WRONG)
def test_bad_input_is_one_line_and_exit_code_2(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damaged = bytearray(CONVNET.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "broken.bnn").write_bytes(damaged)
    (tmp_path / "text.txt").write_text("no model and no picture")
    paths = {"broken": "broken.bnn", "text": "text.txt", "convnet": str(CONVNET)}
    assert main(command.format(**paths).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("binarynet: ")
    assert error.count("\n") == 1
    assert re.search(WRONG[command], error)


MISSING = {
    "torch": ("train bnn-digits", "CPU build first.*gigabytes of CUDA.*pip install 'binarynet\\[train\\]'$"),
    "lightning": ("train bnn-digits", r"pip install 'binarynet\[train\]'$"),
    "PIL": ("run digits picture.png", "pip install pillow$"),
    "typer": ("verify digits", r"the command line needs 'typer': pip install 'binarynet\[cli\]'$"),
    "rich": ("verify digits", r"the command line needs 'rich': pip install 'binarynet\[cli\]'$"),
    "pooch": ("eval digits --data cifar10 --data-dir nowhere", "nowhere|pip install pooch"),
    "onnx": ("export digits --to onnx --out x.onnx", r"pip install 'binarynet\[onnx\]'$"),
    "triton": ("run digits picture.npy --device cuda", r"pip install 'binarynet\[gpu\]'"),
}


@pytest.mark.parametrize("package", MISSING)
def test_a_missing_package_is_named_with_the_command_that_brings_it(package, tmp_path):
    command, words = MISSING[package]
    code = f"import sys; sys.modules[{package!r}] = None; import binarynet.cli; sys.argv[1:] = {command.split()}; "
    done = subprocess.run(
        [sys.executable, "-c", code + "binarynet.cli.main()"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert re.search(words, done.stderr.strip()), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_without_torch_bench_says_so_and_how_to_get_it(tmp_path):
    code = "import sys; sys.modules['torch'] = None; import binarynet.cli; "
    code += "binarynet.cli.main(['bench', 'digits', '--batch', '1', '--seconds', '0.01'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("pip install 'binarynet[train]'\n"), "nothing in brackets is swallowed"


def test_inspect_analysis_shows_and_saves_what_the_papers_count(tmp_path, capsys):
    found = answer(capsys, "inspect", CONVNET, "--analysis", "--out", tmp_path)
    assert found == json.loads((tmp_path / "small_convnet-analysis.json").read_text())
    assert (tmp_path / "small_convnet-analysis.png").stat().st_size > 1000
    assert main(["inspect", str(CONVNET), "--analysis", "--out", str(tmp_path)]) == 0
    assert "unique filters" in capsys.readouterr().out
