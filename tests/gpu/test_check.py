"""``make gpu-check`` where there is no GPU, and its parts in small."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
import torch

from binarynet.gpu import driver, one_bit
from tests.gpu.compiling import machine_code

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gpu_{name}", ROOT / "benchmarks" / "gpu" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


check, rate, train = script("check"), script("rate"), script("train")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_each_part_says_why_it_did_nothing_and_files_appear(tmp_path, capsys):
    assert check.main(["--out", str(tmp_path), "--only", "rate, few"]) == 0
    rate_line, few, last = (tmp_path / "summary.txt").read_text().splitlines()
    assert re.match(r"rate: did nothing: .* needs a CUDA GPU and a torch built for it; torch .* finds none", rate_line)
    assert re.match(r"few: did nothing: .* needs a CUDA GPU", few)
    assert last.endswith("no GPU")
    assert {path.name for path in tmp_path.iterdir()} == {"summary.txt", "tables.md", "rate.jsonl", "parts.tgz"}
    with tarfile.open(tmp_path / "parts.tgz") as archive:
        assert {"parts/rate.log", "parts/few.log"} <= set(archive.getnames())
    assert rate_line in capsys.readouterr().out


def test_the_parts_fit_into_their_time_and_the_tests_are_among_them(tmp_path):
    parts = check.parts(tmp_path)
    assert sum(part.limit for part in parts if not part.optional) == 485
    names = [part.name for part in parts]
    assert names == ["install", "rate", "square", "few", "mlp", "convnet", "tests", "train"]
    for part in parts:  # every script and option that a part names exists
        for word in part.command[1:]:
            assert not word.endswith(".py") or (ROOT / word).exists()


def part(*command: str, limit: int = 20) -> object:
    return check.Part("one", limit, (sys.executable, "-c", *command))


def test_a_part_that_hangs_is_ended_with_all_that_it_started_and_the_others_go_on(tmp_path):
    hang = part(
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])", limit=1
    )
    code, seconds = check.run(hang, tmp_path, {})
    assert code is None
    assert seconds < 20
    assert check.told(hang, code, seconds, tmp_path, gpu=True) == ("one: stopped after 1 s; it printed nothing", True)


@pytest.mark.parametrize(
    ("code", "gpu", "told", "failed"),
    [
        (0, True, "one: done, 3 s of 20", False),
        (1, True, "one: failed (exit code 1); the reason, 3 s of 20", True),
        (1, False, "one: failed (exit code 1); the reason, 3 s of 20", True),
        (2, True, "one: failed (exit code 2); the reason, 3 s of 20", True),
        (2, False, "one: did nothing: the reason", False),
    ],
)
def test_what_became_of_a_part_is_one_line(tmp_path, code, gpu, told, failed):
    one = part(f"print('the reason'); raise SystemExit({code})")
    assert check.run(one, tmp_path, {})[0] == code
    assert check.told(one, code, 3.2, tmp_path, gpu) == (told, failed)


def test_what_was_measured_before_a_kill_is_gathered(tmp_path):
    folder, out = tmp_path / "parts", tmp_path / "out"
    (folder / "square").mkdir(parents=True)
    (folder / "triton").mkdir()
    (folder / "triton" / "cached").write_text("large")
    (folder / "square" / "2026-01-01-chip.md").write_text("# square\n")
    (folder / "train.md").write_text("# train\n")
    (folder / "rate.jsonl").write_text("{}\n")
    check.gather(folder, out, ["square: stopped"])
    assert (out / "tables.md").read_text() == "# square\n\n# train\n"
    assert (out / "rate.jsonl").read_text() == "{}\n"
    with tarfile.open(out / "parts.tgz") as archive:
        assert "parts/train.md" in archive.getnames()
        assert not [name for name in archive.getnames() if "triton" in name]


@pytest.mark.skipif(driver.why_not() is not None, reason=f"compiling CUDA C++ {driver.why_not()}")
def test_each_kernel_of_the_rates_is_the_instruction_that_it_is_called_by():
    found = machine_code(driver.compiled(*rate.source(), one_bit.ARCHITECTURE))
    wanted = {
        "group_one_bit": r"BGMMA\.64x256x256\.AND\.POPC",
        "group_octets": r"IGMMA\.64x256x32\.S8\.S8",
        "warp_and": r"BMMA\.168256\.AND\.POPC",
        "warp_xor": r"BMMA\.168256\.AND\.POPC",  # there is no xor: two of these and integer instructions
        "warp_octets": r"IMMA\.16832\.S8\.S8",
    }
    assert set(found) == set(wanted) == set(rate.INSTRUCTIONS)
    for name, (code, _, stack) in found.items():
        assert re.search(wanted[name], code), name
        assert "SR_CLOCKLO" in code, name
        assert stack == 0, name


def test_training_steps_are_measured_and_what_fails_is_named(tmp_path, monkeypatch):
    out = tmp_path / "train.json"
    assert train.measure(torch.device("cpu"), ["bnn-digits"], out, steps=2, settings={"width": "16"}) == 0
    found = json.loads(out.read_text())
    assert [row["way"] for row in found["rows"]] == ["float32", "bfloat16"]
    assert all(row["low"] <= row["median"] <= row["high"] for row in found["rows"])
    assert "| bnn-digits |" in out.with_suffix(".md").read_text()
    monkeypatch.setattr(train, "step_of", lambda *given: 1 / 0)
    assert train.measure(torch.device("cpu"), ["bnn-digits"], out, steps=2) == 2
    assert json.loads(out.read_text())["failed"][0]["what"] == "bnn-digits, float32"
