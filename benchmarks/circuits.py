"""What constant weights allow in a circuit: how often 2-D kernels repeat, and look-up tables with and without sharing.

    python benchmarks/circuits.py [MODEL.bnn] [--layer conv3] [--outputs 16] [--family xilinx]

BinaryNet (Courbariaux et al., 2016) says that 42 % of the 2-D filters of its CIFAR net are unique, and that dedicated
hardware could skip the rest. Here each way is built and synthesised by yosys: counters alone, kernels that
are equal or opposite on one input channel shared, and sign classes (docs/circuits.md).
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from binarynet.errors import run_script
from binarynet.export.verilog import parts
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.report import Area, area
from binarynet.export.verilog.unrolled.literals import added
from binarynet.export.verilog.unrolled.text import Layer
from binarynet.export.verilog.unrolled.unit import Unrolled
from binarynet.format import load
from binarynet.graph import Graph
from binarynet.graph.ir import Conv2d

MODEL = Path(__file__).parent.parent / "zoo" / "mnist-small" / "model.bnn"


def keys(weight: np.ndarray) -> np.ndarray:
    """(out, kernel height, kernel width, in) of ±1 → (out, in): each kernel as a number, the same for its inverse."""
    bits = (weight * weight[:, :1, :1] > 0).reshape(len(weight), -1, weight.shape[3])
    found: np.ndarray = (bits.astype(np.int64) << np.arange(bits.shape[1])[:, None]).sum(axis=1)
    return found


def repeated(weight: np.ndarray) -> tuple[float, float]:
    """The share of 2-D kernels that are unique in the layer, and on their input channel."""
    number = keys(weight)
    there = len(np.unique(number)) / number.size
    return there, float(np.mean([len(np.unique(column)) / len(column) for column in number.T]))


def first(unit: Unrolled, outputs: int) -> Unrolled:
    """The layer with its first outputs alone."""
    assert unit.threshold is not None
    assert unit.makes is not None
    few = replace(
        unit.threshold, thresholds=unit.threshold.thresholds[:outputs], rising=unit.threshold.rising[:outputs]
    )
    makes = replace(unit.makes, shape=(*unit.makes.shape[:2], outputs), lanes=outputs)
    return replace(unit, weight=unit.weight[:outputs], threshold=few, outputs=outputs, makes=makes)


def built(text: str, family: str) -> Area:
    """The cells of a module ``net``."""
    with tempfile.TemporaryDirectory() as folder:
        for name, part in {**parts(), "net.v": text}.items():
            (Path(folder) / name).write_text(part)
        return area(Path(folder), "net", family)


def kernels_shared(weight: np.ndarray, lut: int) -> str:
    """Sums of all outputs, where each distinct kernel of a channel is counted once: no window, no threshold."""
    out, height, width, channels = weight.shape
    taps, number = height * width, keys(weight)
    bits, wide = taps.bit_length(), (taps * channels).bit_length() + 1
    lines: list[str] = []
    names: dict[tuple[int, int], str] = {}
    for channel in range(channels):
        for row in range(out):
            if (number[row, channel], channel) not in names:
                name = names[number[row, channel], channel] = f"k{len(names)}"
                kernel = weight[row, :, :, channel].reshape(-1)
                kernel = kernel * kernel[0]  # the one of the two that begins with +1
                vector = ", ".join(f"{'' if k > 0 else '~'}x[{t * channels + channel}]" for t, k in enumerate(kernel))
                lines.append(f"wire [{bits - 1}:0] {name}; binarynet_count #(.INPUTS({taps}), .LUT({lut})) c{name} (")
                lines.append(f".bits({{{vector}}}), .count({name}));")
    size = channels.bit_length()
    for row in range(out):  # a kernel that begins with -1 counts the other way round: its digits inverted
        terms = []
        for digit in range(bits):
            picked = [(names[number[row, c], c], weight[row, 0, 0, c] > 0) for c in range(channels)]
            vector = ", ".join(f"{'' if plus else '~'}{name}[{digit}]" for name, plus in picked)
            lines.append(f"wire [{size - 1}:0] s{row}_{digit}; binarynet_count #(.INPUTS({channels}), .LUT({lut}))")
            lines.append(f"d{row}_{digit} (.bits({{{vector}}}), .count(s{row}_{digit}));")
            terms.append(f"{{{wide - size - digit}'d0, s{row}_{digit}{f', {digit}{chr(39)}d0' if digit else ''}}}")
        lines.append(f"always @(posedge clk) y[{wide * row}+:{wide}] <= {added(terms)};")
    ports = f"input clk, input [{taps * channels - 1}:0] x, output reg [{out * wide - 1}:0] y"
    return f"module net ({ports});\n" + "\n".join(lines) + "\nendmodule\n"


def tables(graph: Graph, layer: str, outputs: int, family: str) -> list[str]:
    """Lines of Markdown."""
    lines = ["| layer | 2-D kernels | unique in the layer | unique on their channel | the same of random ones |"]
    lines += ["|---|---|---|---|---|"]
    random = np.random.default_rng(0)
    for op in graph.ops:
        if isinstance(op, Conv2d) and op.weight_encoding == "b1" and op.weight.shape[1] > 1:
            there, here = repeated(op.weight)
            chance = repeated(random.choice([-1, 1], op.weight.shape).astype(np.int8))
            kernels = op.weight.shape[0] * op.weight.shape[3]
            lines.append(f"| {op.name} | {kernels:,} | {there:.0%} | {here:.0%} | {chance[0]:.0%}, {chance[1]:.0%} |")
    options = Options("net", unroll=(layer,), family=family)
    unit = next(unit for unit in planned(graph, options).units if unit.name == layer)
    assert isinstance(unit, Unrolled)
    unit = first(unit, min(outputs, len(unit.weight)))
    rows = {
        "equal and opposite kernels of a channel shared (sums alone)": built(
            kernels_shared(unit.weight, unit.lut), family
        )
    }
    for size, name in ((1, "counters alone"), (None, "sign classes")):
        made = Layer(unit, "net")
        made.size = size or made.size
        rows[f"{name}, groups of {made.size}"] = built(made.text(), family)
    lines += ["", f"| {layer}, {len(unit.weight)} outputs, {family} | LUTs | flip-flops |", "|---|---|---|"]
    return lines + [f"| {name} | {one.luts:,} | {one.flipflops:,} |" for name, one in rows.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=MODEL)
    parser.add_argument("--layer", default="conv3")
    parser.add_argument("--outputs", type=int, default=16)
    parser.add_argument("--family", default="xilinx")
    given = parser.parse_args()
    print("\n".join(tables(load(given.model), given.layer, given.outputs, given.family)))


if __name__ == "__main__":
    run_script(main)
