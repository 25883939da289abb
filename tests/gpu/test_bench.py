"""``binarynet bench gpu``: its whole flow, tiny, in the interpreter; its tables; and what it says without a GPU."""

from __future__ import annotations

import json

import pytest
import torch

from binarynet.cli import main
from binarynet.gpu import bench
from binarynet.gpu.bench.products import measure_product
from binarynet.gpu.bench.timing import Chip
from binarynet.graph.ir import Linear
from tests.graph.graphs import small_mlp

DEVICE = torch.device("cpu")
BASELINES = ["papers' float32", "untiled float32"]
OURS = [
    "xnor_gemm", "pack + xnor_gemm", "xnor_gemm → bits", "bit_gemm_dot", "bit_gemm_dot → bits", "octet_gemm_dot",
    "octet_gemm_dot → bits",
]  # fmt: skip
PLAN = bench.Plan(seconds=0.01)
pytestmark = pytest.mark.skipif("not __import__('triton').knobs.runtime.interpret", reason="kernels run on a GPU here")


@pytest.fixture(scope="module")
def saved() -> list[dict]:
    return []


@pytest.fixture(scope="module")
def found(saved) -> dict:
    def save(document: dict) -> None:
        saved.append(json.loads(json.dumps(document)))

    graphs = {"MNIST MLP": small_mlp(features=64, hidden=64)}
    return bench.measure(DEVICE, graphs, [33], (1,), 40, [2], plan=PLAN, save=save)


def test_every_kernel_has_a_row_for_every_shape(found):
    for shape in ((33, 33, 33), (1, 40, 40)):
        kernels = [row["kernel"] for row in found["products"] if (row["m"], row["n"], row["k"]) == shape]
        assert kernels == [*BASELINES, *OURS, "cuBLAS float32"]
    assert found["failed"] == []


def test_the_papers_kernel_is_the_measure_of_the_others(found):
    for row in found["products"]:
        assert row["low"] <= row["median"] <= row["high"]
        assert (row["times baseline"] == 1) == (row["kernel"] == "papers' float32")


def test_all_engines_of_a_net_choose_the_same_classes(found):
    engines = ["ours", "ours, xnor", "ours, dot", "ours, int8", "torch float32", "papers' float32"]
    assert [row["engine"] for row in found["networks"]] == engines
    assert all(row["same classes"] == row["batch"] == 2 for row in found["networks"])
    weights = {row["engine"]: row["weight bytes"] for row in found["networks"]}
    assert weights["torch float32"] == 4 * (64 * 64 + 64 * 3)
    assert weights["ours, dot"] == weights["torch float32"] / 32


def test_what_was_found_is_handed_out_after_every_size(found, saved):
    counts = [(len(one["products"]), len(one["networks"])) for one in saved]
    assert counts == [(10, 0), (20, 0), (20, 6)]
    assert saved[-1]["products"] == found["products"]


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


def test_a_wrong_kernel_is_named_and_not_timed_and_the_others_are(monkeypatch):
    from binarynet.gpu import ops

    monkeypatch.setattr(ops, "tiled_gemm", lambda a, b: a @ b + 1)
    found = measure_product(DEVICE, Chip.of(DEVICE), (4, 4, 4), PLAN)
    assert found.failed == [
        {"what": "papers' float32, 4 × 4 by 4 × 4", "error": "AssertionError: 16 of 16 numbers are wrong"}
    ]
    assert [row["kernel"] for row in found.rows] == ["untiled float32", *OURS, "cuBLAS float32"]
    assert {row["times baseline"] for row in found.rows} == {None}


def test_wrong_bits_are_found_too(monkeypatch):
    from binarynet.gpu import ops

    right = ops.xnor_gemm_rows

    def wrong(*given):
        answer = right(*given)
        return answer ^ 1 if given[-1] == "b1" else answer

    monkeypatch.setattr(ops, "xnor_gemm_rows", wrong)
    found = measure_product(DEVICE, Chip.of(DEVICE), (4, 4, 4), bench.Plan(0.01, only=("xnor",)))
    assert [one["what"] for one in found.failed] == ["xnor_gemm → bits, 4 × 4 by 4 × 4"]
    assert [row["kernel"] for row in found.rows] == ["xnor_gemm", "pack + xnor_gemm"]


def test_a_kernel_that_cannot_run_costs_the_others_nothing(monkeypatch):
    from binarynet.gpu import ops

    def broken(*given):
        raise RuntimeError("out of resource: shared memory")

    monkeypatch.setattr(ops, "bit_gemm_dot", broken)
    graphs = {"MNIST MLP": small_mlp(features=64, hidden=64)}
    found = bench.measure(DEVICE, graphs, [4], (), 40, [2], plan=PLAN)
    assert len(found["products"]) == 8
    assert [row["engine"] for row in found["networks"]] == [
        "ours, xnor",
        "ours, int8",
        "torch float32",
        "papers' float32",
    ]
    assert {one["error"] for one in found["failed"]} == {"RuntimeError: out of resource: shared memory"}
    assert "## Not measured" in bench.markdown({**found, "command": "", "machine": {}})


def test_kernels_and_baselines_can_be_left_out():
    only = measure_product(
        DEVICE, Chip.of(DEVICE), (4, 4, 4), bench.Plan(0.01, only=("bits", "papers"), skip_naive_above=4)
    )
    assert [row["kernel"] for row in only.rows] == ["papers' float32", *(name for name in OURS if "bits" in name)]
    large = measure_product(DEVICE, Chip.of(DEVICE), (4, 4, 4), bench.Plan(0.01, skip_naive_above=3))
    assert [row["kernel"] for row in large.rows] == [*OURS, "cuBLAS float32"]


def test_libraries_may_not_shorten_sums_while_they_are_measured():
    from binarynet.gpu.bench.timing import exact_libraries

    matmul = torch.backends.cuda.matmul
    before = matmul.allow_bf16_reduced_precision_reduction, torch.backends.cudnn.allow_tf32
    with exact_libraries():
        assert not matmul.allow_tf32
        assert not matmul.allow_bf16_reduced_precision_reduction
        assert not matmul.allow_fp16_reduced_precision_reduction
        assert not torch.backends.cudnn.allow_tf32
    assert before == (matmul.allow_bf16_reduced_precision_reduction, torch.backends.cudnn.allow_tf32)


def test_shares_count_multiply_adds_and_bytes_against_the_chip():
    chip = Chip("test", "9.0", 100, 1e9, 1e12, {"int8": 4096 * 100e9})
    assert chip.share("int8", 4096e9, 0.02) == 0.5
    assert chip.share("tf32", 1, 1) is None
    assert chip.bandwidth_share(1e9, 0.002) == 0.5
    assert Chip.of(DEVICE).bandwidth_share(1, 1) is None


def test_the_page_has_a_table_for_each_shape_and_net(found):
    chip = {"name": "Test 1", "rates": {}, "bandwidth": 0}
    assert found["left out"] == {"bit_gemm_wgmma": "needs a GPU of compute capability 9.0"}
    page = bench.markdown({**found, "chip": chip, "command": "binarynet bench gpu", "machine": {"torch": "2"}})
    assert "## 33 × 33 by 33 × 33" in page
    assert "## 1 × 40 by 40 × 40" in page
    assert "## MNIST MLP" in page
    assert "* without bit_gemm_wgmma, which needs a GPU of compute capability 9.0" in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert len(tables) == len(found["products"]) + len(found["networks"]) + 2 * 3
    assert {line.count("|") for line in tables} == {9}


def test_the_command_writes_both_files_after_every_size(found, monkeypatch, tmp_path, capsys):
    seen = []

    def measure(*given, plan, save, **options):
        seen.append((given[2:], options, plan))
        save({**found, "networks": []})
        seen.append(len(json.loads(next(tmp_path.glob("*.json")).read_text())["networks"]))
        return found

    monkeypatch.setattr(bench, "find_gpu", lambda: DEVICE)
    monkeypatch.setattr(bench, "measure", measure)
    command = ["bench", "gpu", "--out", str(tmp_path), "--json", "--sizes", "none", "--rows", "3", "--networks", "mlp"]
    assert main([*command, "--only", "xnor, papers", "--skip-naive-above", "64", "--no-replay"]) == 0
    options = {"batches": [1, 4, 16, 64, 256, 1024, 4096]}
    assert seen == [(([], [3]), options, bench.Plan(0.2, ("xnor", "papers"), 64, False)), 0]
    document = json.loads(capsys.readouterr().out)
    assert document["products"] == found["products"]
    (page,), (data,) = tmp_path.glob("*.md"), tmp_path.glob("*.json")
    assert page.read_text().startswith("# GPU")
    assert json.loads(data.read_text()) == document


def test_the_command_measures_a_tiny_product_from_end_to_end(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "find_gpu", lambda: DEVICE)
    command = ["bench", "gpu", "--out", str(tmp_path), "--sizes", "4", "--rows", "none", "--networks", "none"]
    assert main([*command, "--seconds", "0.001", "--only", "papers,xnor"]) == 0
    assert "| papers' float32 |" in capsys.readouterr().out
    document = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert [row["kernel"] for row in document["products"]] == ["papers' float32", *OURS[:3]]


def test_the_command_ends_with_1_where_something_failed(found, monkeypatch, tmp_path, capsys):
    failed = {**found, "failed": [{"what": "xnor_gemm, 4 × 4 by 4 × 4", "error": "3 of 16 numbers are wrong"}]}
    monkeypatch.setattr(bench, "find_gpu", lambda: DEVICE)
    monkeypatch.setattr(bench, "measure", lambda *given, **options: failed)
    assert main(["bench", "gpu", "--out", str(tmp_path), "--networks", "none"]) == 1
    assert "* xnor_gemm, 4 × 4 by 4 × 4: 3 of 16 numbers are wrong" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "needs a CUDA GPU and a torch built for it"),
        (["--sizes", "1,x"], "--sizes 1,x: give positive whole numbers"),
        (["--rows", "0"], "--rows 0: give positive whole numbers"),
        (["--batches", "none"], "--batches none: give positive whole numbers"),
        (["--networks", "resnet"], "--networks resnet: there are mlp, convnet, or none"),
    ],
)
def test_what_is_missing_is_said_in_one_line(arguments, told, capsys):
    assert main(["bench", "gpu", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
