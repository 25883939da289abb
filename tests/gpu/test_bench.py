"""``binarynet bench gpu``: its whole flow, tiny, in the interpreter; its tables; and what it says without a GPU."""

from __future__ import annotations

import json

import pytest
import torch

from binarynet.cli import main
from binarynet.gpu import bench
from binarynet.gpu.bench.timing import Chip
from binarynet.graph.ir import Linear
from tests.graph.graphs import small_mlp

DEVICE = torch.device("cpu")
OURS = ["xnor_gemm", "pack + xnor_gemm", "xnor_gemm → bits", "bit_gemm_dot", "bit_gemm_dot → bits"]
pytestmark = pytest.mark.skipif("not __import__('triton').knobs.runtime.interpret", reason="kernels run on a GPU here")


@pytest.fixture(scope="module")
def found() -> dict:
    return bench.measure(DEVICE, {"MNIST MLP": small_mlp(features=64, hidden=64)}, [33], (1,), 40, [2], seconds=0.01)


def test_every_kernel_has_a_row_for_every_shape(found):
    for shape in ((33, 33, 33), (1, 40, 40)):
        kernels = [row["kernel"] for row in found["products"] if (row["m"], row["n"], row["k"]) == shape]
        assert kernels == ["naive float32", *OURS, "cuBLAS float32"]


def test_the_naive_kernel_is_the_measure_of_the_others(found):
    for row in found["products"]:
        assert row["low"] <= row["median"] <= row["high"]
        assert (row["times naive"] == 1) == (row["kernel"] == "naive float32")


def test_all_engines_of_a_net_choose_the_same_classes(found):
    assert [row["engine"] for row in found["networks"]] == [
        "ours",
        "ours, xnor",
        "ours, dot",
        "torch float32",
        "naive float32",
    ]
    assert all(row["same classes"] == row["batch"] == 2 for row in found["networks"])
    ours, real = found["networks"][0]["weight bytes"], found["networks"][3]["weight bytes"]
    assert real == 4 * (64 * 64 + 64 * 3)
    assert ours == real / 32


def test_the_convnet_of_the_paper_is_that_of_its_twin():
    from binarynet.gpu.bench.networks import Twin
    from binarynet.graph import interpret

    graph = bench.papers_networks(width=8, filters=2, side=8)["CIFAR-10 ConvNet"]
    codes = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert (Twin(graph, DEVICE, torch.float32)(codes).numpy() == interpret(graph, codes.numpy())).all()
    assert [type(op).__name__ for op in graph.ops].count("Conv2d") == 6


def test_the_mlp_of_the_paper_has_its_layers():
    graph = bench.papers_networks(width=96, filters=1, side=8)["MNIST MLP"]
    shapes = [op.weight.shape for op in graph.ops if isinstance(op, Linear)]
    assert shapes == [(96, 784), (96, 96), (96, 96), (10, 96)]


def test_a_wrong_kernel_is_not_timed(monkeypatch):
    from binarynet.gpu import ops
    from binarynet.gpu.bench.products import measure_product

    monkeypatch.setattr(ops, "naive_gemm", lambda a, b: a @ b + 1)
    with pytest.raises(AssertionError, match=r"naive float32 \(4, 4, 4\): wrong sums"):
        measure_product(DEVICE, Chip.of(DEVICE), (4, 4, 4), 0.01)


def test_shares_count_multiply_adds_and_bytes_against_the_chip():
    chip = Chip("test", "9.0", 100, 1e9, 1e12, {"int8": 4096 * 100e9})
    assert chip.share("int8", 4096e9, 0.02) == 0.5
    assert chip.share("tf32", 1, 1) is None
    assert chip.bandwidth_share(1e9, 0.002) == 0.5
    assert Chip.of(DEVICE).bandwidth_share(1, 1) is None


def test_the_page_has_a_table_for_each_shape_and_net(found):
    chip = {"name": "Test 1", "rates": {}, "bandwidth": 0}
    page = bench.markdown({**found, "chip": chip, "command": "binarynet bench gpu", "machine": {"torch": "2"}})
    assert "## 33 × 33 by 33 × 33" in page
    assert "## 1 × 40 by 40 × 40" in page
    assert "## MNIST MLP" in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert len(tables) == len(found["products"]) + len(found["networks"]) + 2 * 3
    assert {line.count("|") for line in tables} == {8, 9}


def test_the_command_writes_both_files(found, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "find_gpu", lambda: DEVICE)
    monkeypatch.setattr(bench, "measure", lambda *given, **options: found)
    assert main(["bench", "gpu", "--out", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["products"] == found["products"]
    (page,), (data,) = tmp_path.glob("*.md"), tmp_path.glob("*.json")
    assert page.read_text().startswith("# GPU")
    assert json.loads(data.read_text()) == document


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "needs a CUDA GPU and a torch built for it"),
        (["--sizes", "1,x"], "--sizes 1,x: give positive whole numbers"),
    ],
)
def test_what_is_missing_is_said_in_one_line(arguments, told, monkeypatch, capsys):
    if arguments:
        monkeypatch.setattr(bench, "find_gpu", lambda: DEVICE)
    assert main(["bench", "gpu", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
