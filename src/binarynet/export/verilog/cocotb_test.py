"""NAME_cocotb.py: a test of NAME_axis in Python, for benches that are written with cocotb."""

from __future__ import annotations

import json
from collections.abc import Sequence

from binarynet.export.emit import line_comments, provenance
from binarynet.export.verilog import tables
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.roms import HERE
from binarynet.export.verilog.units import Design


def cocotb_test(design: Design, options: Options, sources: Sequence[str]) -> str:
    """The file's text: its constants, then what is the same for every design."""
    stream = design.input
    constants = {
        "NAME": options.api,
        "SOURCES": [*sources, f"{options.api}_axis.v"],
        "PARAMETERS": {"ROM_PATH": json.dumps(HERE)} if options.rom_path else {},
        "WORDS": stream.pixels * -(-stream.shape[2] // stream.lanes),
        "CLASSES": design.last.channels,
        "LOGIT_BITS": tables.logit_bits(design.last),
    }
    said = "".join(f"{name} = {json.dumps(value)}\n" for name, value in constants.items())
    head = line_comments(provenance(design.graph, options), "#")
    return _HEAD.replace("<api>", options.api).replace("<provenance>\n", head).replace("<constants>\n", said) + _REST


_HEAD = '''\
"""Sends the images of <api>_images.hex to <api>_axis as AXI4-Stream packets, and compares every class and every
integer with <api>_expected.hex. Needs cocotb 2 and Icarus Verilog, or a Verilator that cocotb takes:

    python <api>_cocotb.py [icarus|verilator]
"""

<provenance>
import random
import sys
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, with_timeout

<constants>
'''

_REST = '''HERE = Path(__file__).resolve().parent


def images():
    """Lists of words. A line holds a word in pieces of 32 bits, the lowest first."""
    lines = (HERE / f"{NAME}_images.hex").read_text().splitlines()
    words = [sum(int(piece, 16) << 32 * k for k, piece in enumerate(line.split())) for line in lines]
    return [words[start : start + WORDS] for start in range(0, len(words), WORDS)]


def expected():
    """(class, integers) of each image; integers are in two's complement."""
    lines = (HERE / f"{NAME}_expected.hex").read_text().splitlines()
    rows = [[int(word, 16) for word in line.split()] for line in lines]
    return [(row[0], [signed(value) for value in row[1:]]) for row in rows]


def signed(value):
    """The integer that LOGIT_BITS bits mean."""
    half = 1 << (LOGIT_BITS - 1)
    return (value & (2 * half - 1) ^ half) - half


class Source:
    """Offers words; what is offered stays until it is taken. Wires change at the falling edge alone, so what is read
    behind one is what the next rising edge sees, in every simulator."""

    def __init__(self, dut, pauses):
        self.dut, self.pauses = dut, pauses

    async def send(self, packet):
        dut = self.dut
        for number, word in enumerate(packet):
            while random.random() < self.pauses:
                await FallingEdge(dut.aclk)
            dut.s_axis_tvalid.value = 1
            dut.s_axis_tdata.value = word
            dut.s_axis_tlast.value = int(number == len(packet) - 1)
            taken = False
            while not taken:
                await ReadOnly()
                taken = dut.s_axis_tready.value == 1
                await FallingEdge(dut.aclk)
            dut.s_axis_tvalid.value = 0


class Sink:
    """Takes packets of one word, as (class, whether the image was broken, the integers before it)."""

    def __init__(self, dut, pauses):
        self.dut, self.pauses = dut, pauses

    async def take(self, count):
        dut, found, integers, held = self.dut, [], [], None
        while len(found) < count:
            dut.m_axis_tready.value = int(random.random() >= self.pauses)
            await ReadOnly()
            if dut.core.logit_valid.value == 1:  # one integer after the other, or all beside the class
                now, abreast = dut.core.logit.value.to_unsigned(), len(dut.core.logit) > LOGIT_BITS
                one_by_one = [now >> LOGIT_BITS * k for k in range(CLASSES)] if abreast else [now]
                integers = [*([] if abreast else integers), *map(signed, one_by_one)]
            now = int(dut.m_axis_tdata.value) if dut.m_axis_tvalid.value == 1 else None
            assert held is None or now == held, f"a class went from {held} to {now} before it was taken"
            held = now
            if now is not None and dut.m_axis_tready.value == 1:
                assert dut.m_axis_tlast.value == 1
                found.append((now, int(dut.m_axis_tuser.value), integers))
                integers, held = [], None
            await FallingEdge(dut.aclk)
        dut.m_axis_tready.value = 0
        return found


async def run(dut, packets, pauses):
    """What the design answers to packets, from a reset on."""
    random.seed(1)
    Clock(dut.aclk, 10, unit="ns").start()
    dut.aresetn.value = 0
    for wire in (dut.s_axis_tvalid, dut.s_axis_tdata, dut.s_axis_tlast, dut.m_axis_tready):
        wire.value = 0
    await ClockCycles(dut.aclk, 4)
    await FallingEdge(dut.aclk)
    dut.aresetn.value = 1

    async def send():
        source = Source(dut, pauses)
        for packet in packets:
            await source.send(packet)

    sending = cocotb.start_soon(send())
    found = await with_timeout(Sink(dut, pauses).take(len(packets)), 1000, "ms")
    await sending
    return found


@cocotb.test()
async def every_class_and_integer_is_the_oracles(dut):
    found = await run(dut, images(), 0.0)
    assert found == [(number, 0, integers) for number, integers in expected()]


@cocotb.test()
async def pauses_change_nothing(dut):
    found = await run(dut, images()[:4], 0.3)
    assert found == [(number, 0, integers) for number, integers in expected()[:4]]


@cocotb.test()
async def a_packet_that_lost_a_word_is_marked_and_the_next_one_is_whole(dut):
    if WORDS == 1:
        return
    first, second = images()[0], images()[1]
    broken, whole = await run(dut, [first[:-1], second], 0.1)
    assert broken[1] == 1
    assert whole == (expected()[1][0], 0, expected()[1][1])


def main():
    from cocotb_tools.runner import get_runner

    runner = get_runner(sys.argv[1] if len(sys.argv) > 1 else "icarus")
    top = f"{NAME}_axis"
    runner.build(
        sources=[HERE / file for file in SOURCES],
        hdl_toplevel=top,
        parameters=PARAMETERS,
        build_dir=HERE / "cocotb_build",
        timescale=("1ns", "1ps"),
        always=True,
    )
    results = runner.test(
        test_module=Path(__file__).stem, hdl_toplevel=top, build_dir=HERE / "cocotb_build", test_dir=HERE
    )
    from cocotb_tools.check_results import get_results

    count, failed = get_results(results)
    print(f"{'FAIL' if failed or not count else 'PASS'} {count - failed} of {count} tests")
    sys.exit(bool(failed or not count))


if __name__ == "__main__":
    main()
'''
