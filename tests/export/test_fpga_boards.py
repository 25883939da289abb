"""examples/deploy_fpga: bytes in over a serial line, the oracle's class out, in simulation; a bitstream."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from binarynet.data import load_split
from binarynet.export import write
from binarynet.export.verilog.check import lint
from binarynet.export.verilog.options import Options
from binarynet.format import save
from binarynet.graph import interpret
from tests.export.building import need
from tests.graph.graphs import small_mlp

BOARDS = Path(__file__).parents[2] / "examples" / "deploy_fpga"


def board(folder: Path) -> None:
    """A net with the files of the boards beside it."""
    write(
        small_mlp(features=64, hidden=16, classes=10), "verilog", folder, Options("net", fold=("1x8",), family="ice40")
    )
    for file in BOARDS.glob("*.v"):
        shutil.copy(file, folder)


def simulated(folder: Path) -> str:
    """The last line of the board's bench."""
    subprocess.run(["iverilog", "-g2005", "-y", ".", "-s", "bench", "-o", "b", "bench.v"], cwd=folder, check=True)
    done = subprocess.run(["vvp", "-n", "b"], cwd=folder, capture_output=True, text=True, timeout=60)
    return done.stdout.strip().splitlines()[-1]


def test_bytes_in_classes_out(tmp_path):
    need("iverilog")
    board(tmp_path)
    assert simulated(tmp_path) == "PASS 8 images behind two broken ones"


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("serial_net.v", "wire more = cut & end_ & !extra", "wire more = 1'b0"),  # a lost last byte is filled in
        ("serial_net.v", "broken ? 8'd255 : class_", "class_"),
        ("serial_net.v", "idle + 1'b1", "idle"),
        ("uart_receive.v", "{line[1], data[7:1]}", "{data[6:0], line[1]}"),
        ("uart_send.v", "{1'b1, shift[8:1]}", "{1'b1, shift[8:2], 1'b0}"),
    ],
)
def test_the_bench_of_the_board_sees_mistakes(file, right, wrong, tmp_path):
    need("iverilog")
    board(tmp_path)
    text = (tmp_path / file).read_text()
    assert text.count(right) == 1
    (tmp_path / file).write_text(text.replace(right, wrong))
    bench = (tmp_path / "bench.v").read_text()
    (tmp_path / "bench.v").write_text(bench.replace("CLOCKS = 1000000", "CLOCKS = 5000"))
    assert "FAIL" in simulated(tmp_path)


@pytest.mark.parametrize("top", ["icebreaker", "ulx3s"])
def test_the_boards_are_lint_clean(top, tmp_path):
    need("verilator")
    board(tmp_path)
    lint(tmp_path, top)


@pytest.mark.parametrize(
    ("top", "constraints", "how"), [("icebreaker", "pcf", "set_io {} "), ("ulx3s", "lpf", '"{}" SITE')]
)
def test_every_port_has_a_pin(top, constraints, how):
    text = (BOARDS / f"{top}.v").read_text()
    pins = (BOARDS / f"{top}.{constraints}").read_text()
    ports = [line.split("//")[0].strip().rstrip(",").split()[-1] for line in text.splitlines() if "put wire" in line]
    wanted = []
    for port in ports:
        wanted += [f"{port}[{bit}]" for bit in range(8)] if port == "led" else [port]
    assert len(wanted) >= 5
    assert all(how.format(port) in pins for port in wanted)


def test_one_command_goes_from_a_model_to_a_bitstream(tmp_path):
    need("make", "yosys", "nextpnr-ice40", "icepack")
    save(small_mlp(features=16, hidden=8, classes=4), tmp_path / "net.bnn")
    words = [f"MODEL={tmp_path / 'net.bnn'}", "FOLD=--fold 1x4", f"OUT={tmp_path / 'out'}"]
    command = ["make", "-s", "-C", str(BOARDS), f"BINARYNET={sys.executable} -m binarynet.cli", "icebreaker", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "icebreaker" / "icebreaker.bin").stat().st_size > 100_000
    assert "Max frequency" in done.stdout


def test_the_host_prints_the_boards_classes_beside_the_models(tmp_path):
    """A thread answers at the other end of the line, the third image wrongly."""
    graph = small_mlp(features=64, hidden=16, classes=10)
    save(graph, tmp_path / "net.bnn")
    classes = interpret(graph, load_split("digits", "test").images[:3].reshape(-1, 64)).argmax(axis=1)
    near, far = pty.openpty()
    got: list[bytes] = []

    def answer() -> None:
        for said in (classes[0], 255, (classes[2] + 1) % 10):
            image = b""
            while len(image) < 64:
                image += os.read(near, 64 - len(image))
            got.append(image)
            os.write(near, bytes([int(said)]))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    script = [sys.executable, str(BOARDS / "classify.py"), os.ttyname(far), str(tmp_path / "net.bnn"), "--images", "3"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60)
    thread.join(10)
    os.close(near)
    os.close(far)
    assert done.returncode == 1, done.stderr
    first, second, third, last = done.stdout.splitlines()
    assert first == f"image 0: class {classes[0]}; the model says {classes[0]}"
    assert second == f"image 1: broken: the board lost a byte; the model says {classes[1]}"
    assert third == f"image 2: class {(classes[2] + 1) % 10}; the model says {classes[2]}"
    assert last == "1 of 3 as the model says"
    np.testing.assert_array_equal(np.frombuffer(got[0], np.uint8), load_split("digits", "test").images[0].reshape(-1))
