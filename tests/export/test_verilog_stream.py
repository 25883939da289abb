"""AXI4-Stream packets that lose and gain words, and proofs of the handshake by yosys alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import binarynet.export.verilog as verilog
from binarynet.export import write
from binarynet.export.verilog.check import lint
from binarynet.export.verilog.options import Options
from binarynet.graph import interpret
from tests.export.building import need
from tests.runtime.graphs import Maker

BROKEN = {2, 4, 6, 7}  # packets that are short or long
PARTS = Path(verilog.__file__).parent / "parts"

# Sends packets from a file of "last data" and prints "class user"; the reader is slow now and then.
BENCH = """module bench;
    reg clk = 0, resetn = 0, valid = 0, last = 0, ready = 0;
    reg [7:0] data = 0;
    wire s_ready, m_valid, m_last, user;
    wire [7:0] class_;
    net_axis dut (.aclk(clk), .aresetn(resetn), .s_axis_tvalid(valid), .s_axis_tready(s_ready), .s_axis_tdata(data),
        .s_axis_tlast(last), .m_axis_tvalid(m_valid), .m_axis_tready(ready), .m_axis_tdata(class_),
        .m_axis_tlast(m_last), .m_axis_tuser(user));
    always #5 clk = !clk;
    integer file, code = 2, seed = 1, clocks = 0;
    reg loaded = 0;
    initial begin
        file = $fopen("packets.txt", "r");
        repeat (3) @(negedge clk);
        resetn = 1;
    end
    always @(negedge clk) if (resetn) begin
        if (!loaded && code == 2) begin
            code = $fscanf(file, "%b %h", last, data);
            loaded = code == 2;
        end
        valid = loaded;
        ready = ($random(seed) & 63) == 0;
    end
    always @(posedge clk) begin
        clocks = clocks + 1;
        if (!resetn && s_ready !== 0) $display("taken in reset");
        if (resetn && valid && s_ready) loaded = 0;
        if (resetn && m_valid && ready) $display("%0d %0d %0d", class_, user, m_last);
        if (clocks > 20000) $finish;
    end
endmodule
"""


def packets(tmp_path: Path) -> list[int]:
    """An export and ten packets for it, of which some are short or long; the oracle's classes."""
    need("iverilog")
    make = Maker((12,), "u4", seed=1)
    make.linear(16)
    make.threshold("mixed")
    make.linear(5)
    graph, codes = make.graph(), make.codes(10)
    write(graph, "verilog", tmp_path, Options("net", fold=("4x4", "input=2x1")))
    words = codes.reshape(10, 6, 2)
    lines = []
    for number, image in enumerate(words):
        sent = [int(a) | int(b) << 4 for a, b in image]
        sent = sent[:-1] if number == 2 else sent[1:] if number == 4 else [*sent, 7, 7] if number == 6 else sent
        sent = sent[:1] if number == 7 else sent
        lines += [f"{int(place == len(sent) - 1)} {word:x}\n" for place, word in enumerate(sent)]
    (tmp_path / "packets.txt").write_text("".join(lines))
    (tmp_path / "bench.v").write_text(BENCH)
    found: list[int] = interpret(graph, codes).argmax(axis=1).tolist()
    return found


def answers(folder: Path) -> list[list[int]]:
    subprocess.run(["iverilog", "-g2005", "-y", ".", "-s", "bench", "-o", "b", "bench.v"], cwd=folder, check=True)
    done = subprocess.run(["vvp", "-n", "b"], cwd=folder, capture_output=True, text=True, timeout=60)
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines() if line[0].isdigit()]


def test_a_lost_word_costs_one_image_and_no_other(tmp_path):
    classes = packets(tmp_path)
    found = answers(tmp_path)
    bad = BROKEN
    assert [user for _, user, _ in found] == [int(number in bad) for number in range(10)]
    assert all(last == 1 for *_, last in found)
    assert [one[0] for number, one in enumerate(found) if number not in bad] == np.delete(classes, sorted(bad)).tolist()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("(filling | in_last)", "1'b0"), ("!filling & !in_last", "1'b0"), ("filling | !in_last;", "1'b0;")],
)
def test_a_frame_that_loses_tlast_is_seen(right, wrong, tmp_path):
    classes = packets(tmp_path)
    file = tmp_path / "binarynet_frame.v"
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))
    found = answers(tmp_path)
    bad = BROKEN
    wanted = [[classes[number], 0, 1] for number in range(10) if number not in bad]
    assert [one for number, one in enumerate(found) if number not in bad] != wanted or [one[1] for one in found] != [
        int(number in bad) for number in range(10)
    ]


def test_the_wrapper_is_lint_clean(tmp_path):
    need("verilator")
    make = Maker((6,), "u3", seed=1)
    make.linear(5)
    write(make.graph(), "verilog", tmp_path, Options("net"))
    lint(tmp_path, "net_axis")


# What each unit promises: what it offers stays until it is taken, and in the clock after a reset it offers nothing.
PROOF = """module proof (input wire clk, input wire reset, input wire in_valid, input wire out_ready,
    input wire [{width}-1:0] in_data);
    wire in_ready, out_valid;
    wire [{out}-1:0] out_data;
    {module} #({parameters}) unit (.clk(clk), .reset(reset), .in_valid(in_valid), .in_ready(in_ready),
        .in_data(in_data), .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data));
    reg begun = 0, offered = 0, was_reset = 0;
    reg [{out}-1:0] before;
    always @(posedge clk) begin
        begun <= 1;
        was_reset <= reset;
        offered <= out_valid & !out_ready & !reset;
        before <= out_data;
        if (begun & offered) assert (out_valid & out_data == before);
        if (begun & was_reset) assert (!out_valid);
    end
endmodule
"""
UNITS = {
    "binarynet_threshold": (8, 2, ".OUTPUTS(2), .BITS(4)"),
    "binarynet_narrow": (8, 2, ".BITS(1), .IN(8), .OUT(2), .TOTAL(8)"),
    "binarynet_widen": (2, 8, ".BITS(1), .IN(2), .OUT(8), .TOTAL(8)"),
    "binarynet_slice": (4, 4, ".WIDTH(4)"),
    "binarynet_argmax": (3, 2, ".CLASSES(4), .KEY_BITS(3)"),
}


@pytest.mark.parametrize("module", UNITS)
def test_what_a_unit_offers_stays_until_it_is_taken_by_induction(module, tmp_path):
    need("yosys")
    width, out, parameters = UNITS[module]
    text = PROOF.format(width=width, out=out, module=module, parameters=parameters)
    assert proved(tmp_path, text)
    if module != "binarynet_widen":  # and a unit that takes words while it waits is refuted
        name = tmp_path / f"{module}.v"
        source = (PARTS / name.name).read_text()
        right = "in_ready = !out_valid | done" if "narrow" in module else "in_ready = !out_valid | out_ready"
        right = "move = !out_valid | out_ready" if "slice" in module else right
        assert right in source
        name.write_text(source.replace(right, right.split()[0] + " = 1'b1"))
        assert not proved(tmp_path, text)


def proved(folder: Path, text: str) -> bool:
    (folder / "proof.v").write_text(text)
    parts = [folder / part.name if (folder / part.name).exists() else part for part in PARTS.glob("binarynet_*.v")]
    wanted = ("argmax", "codes", "loop", "narrow", "rom", "sequence", "slice", "threshold", "widen")
    read = " ".join(str(part) for part in parts if part.stem.removeprefix("binarynet_") in wanted)
    script = f"read_verilog {read}; read_verilog -formal proof.v; hierarchy -top proof; proc; flatten; opt; memory_map;"
    script += " opt; async2sync; opt; sat -tempinduct -prove-asserts -seq 1 -maxsteps 8 -verify proof"
    done = subprocess.run(["yosys", "-q", "-p", script], cwd=folder, capture_output=True, text=True, timeout=60)
    return done.returncode == 0
