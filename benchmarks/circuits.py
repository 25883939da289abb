"""What constant weights allow in a circuit: how often 2-D kernels repeat, and look-up tables with and without sharing.

    python benchmarks/circuits.py [MODEL.bnn|RUN] [--layer conv3] [--outputs 16] [--family xilinx]
    python benchmarks/circuits.py [MODEL.bnn|RUN] --counts        how often kernels repeat, alone: no yosys
    python benchmarks/circuits.py RUN --save MODEL.bnn            keeps what was lowered

RUN is the folder of a training, also of one that goes on: its best epoch so far is lowered.

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

from binarynet.errors import InputError, run_script
from binarynet.export.verilog import parts
from binarynet.export.verilog.options import Options
from binarynet.export.verilog.plan import planned
from binarynet.export.verilog.report import Area, area
from binarynet.export.verilog.unrolled.literals import added
from binarynet.export.verilog.unrolled.text import Layer
from binarynet.export.verilog.unrolled.unit import Unrolled
from binarynet.format import load, save
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


def graph_of(model: Path) -> tuple[Graph, str]:
    """The graph of a file or of a run folder, and what to say of it.

    Raises:
        TrainingError: the folder holds no finished epoch.
        FormatError: the file is no model.
    """
    if not model.is_dir():
        return load(model), model.name
    from binarynet.lower import lower  # torch, for run folders alone
    from binarynet.train import load_run
    from binarynet.train.checkpoint import read_best
    from binarynet.train.folder import RunFolder

    folder = RunFolder(model)
    config, best = folder.read_config(), read_best(folder.best)
    net = load_run(model)[1]
    said = f"{config['recipe']}, epoch {best['epoch']}, {best['validation_error']:.1f} % validation errors"
    return lower(net, tuple(config["data"]["shape"]), allow_real=True), said


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


def percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.01 else f"{share:.0%}"


def counts(graph: Graph) -> list[str]:
    """Lines of Markdown: how often 2-D kernels of each binary convolution repeat, and how often random ones would."""
    lines = ["| layer | 2-D kernels | unique in the layer | unique on their channel | the same of random ones |"]
    lines += ["|---|---|---|---|---|"]
    random = np.random.default_rng(0)
    for op in graph.ops:
        if isinstance(op, Conv2d) and op.weight_encoding == "b1" and op.weight.shape[1] > 1:
            there, here = repeated(op.weight)
            chance = repeated(random.choice([-1, 1], op.weight.shape).astype(np.int8))
            kernels = op.weight.shape[0] * op.weight.shape[3]
            by_chance = ", ".join(map(percent, chance))
            lines.append(f"| {op.name} | {kernels:,} | {percent(there)} | {percent(here)} | {by_chance} |")
    return lines


def tables(graph: Graph, layer: str, outputs: int, family: str) -> list[str]:
    """Lines of Markdown: one layer, or the first outputs of it, synthesised in each of the ways."""
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
        made = Layer(unit, "net", size)
        rows[f"{name}, groups of {made.size}"] = built(made.text(), family)
    inputs = unit.weight[0].size
    lines = [
        f"| {layer}, {len(unit.weight)} outputs, {inputs} inputs each, {family} | LUTs | flip-flops |",
        "|---|---|---|",
    ]
    return lines + [f"| {name} | {one.luts:,} | {one.flipflops:,} |" for name, one in rows.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=MODEL)
    parser.add_argument("--layer", default="conv3")
    parser.add_argument("--outputs", type=int, default=16)
    parser.add_argument("--family", default="xilinx")
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    if given.outputs < 1:
        raise InputError(f"--outputs {given.outputs}: one at least")
    graph, said = graph_of(given.model)
    if given.save:
        save(graph, given.save)
    print("\n".join([f"{said}:", "", *counts(graph)]))
    if not given.counts:
        print("\n".join(["", *tables(graph, given.layer, given.outputs, given.family)]))


if __name__ == "__main__":
    run_script(main)
