"""Verbs that read a `.bnn` file and need no torch: inspect, run, verify."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from binarynet.cli.app import app, console, human_bytes, human_time, show_json, table
from binarynet.errors import InputError
from binarynet.graph import Graph
from binarynet.models import find
from binarynet.report import Layer

ModelFile = Annotated[
    Path,
    typer.Argument(metavar="MODEL.bnn", callback=find, help="A model file, or the name of a model that comes along."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Isa = Annotated[
    str | None,
    typer.Option(help="Instruction set to use; without it, the best this CPU has.", metavar="NAME"),
]
Kernel = Annotated[
    str | None,
    typer.Option(
        help="What every Linear and Conv2d must run on: popcount, tiles, counters, lookup or multiply; without it, "
        "BINARYNET_KERNEL, else the cheapest for each.",
        metavar="NAME",
    ),
]
Threads = Annotated[int, typer.Option(min=0, help="Threads; 0 = BINARYNET_NUM_THREADS, or all cores.")]


@app.command()
def inspect(
    file: ModelFile,
    as_json: AsJson = False,
    isa: Isa = None,
    kernel: Kernel = None,
    batch: Annotated[int, typer.Option(min=1, help="The batch size to plan for, besides 1.")] = 100,
    threads: Annotated[int, typer.Option(min=0, help="Threads to plan for; 0 = as many as a run takes.")] = 1,
    analysis: Annotated[
        bool, typer.Option("--analysis", help="Repeated filters, memory and energy against float32, as the papers do.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the analysis; default: this one.")] = None,
) -> None:
    """Show a model layer by layer: shapes, encodings, bits, binary MACs, the kernel that will run, and for how long.

    Times are expected, not measured: they come from the price list in native/kernels/costs. `binarynet bench --layers`
    measures.
    """
    from binarynet.format import load
    from binarynet.report import summarise
    from binarynet.runtime import Session

    start = time.perf_counter()
    graph = load(file)
    session = Session(graph, isa=isa, kernel=kernel, threads=threads)
    load_seconds = time.perf_counter() - start
    batches = tuple(dict.fromkeys((1, batch)))
    summary = summarise(graph, file.stat().st_size, session, batches)
    if analysis:
        _analyse(graph, (out or Path()) / f"{file.stem}-analysis", as_json)
        return
    if as_json:
        how = {"isa": session.isa, "threads": session.threads, "load_seconds": load_seconds}
        show_json({**asdict(summary), "meta": dict(graph.meta), **how})
        return
    times = [f">batch {size}" for size in batches]
    shown = table("layer", "op", "makes", "weights", ">binary MACs", ">stored", ">moved", ">sees", *times, "kernel")
    for layer in summary.layers:
        shown.add_row(
            layer.name,
            layer.op,
            layer.makes,
            layer.weights,
            f"{layer.binary_macs:,}" if layer.binary_macs else "",
            human_bytes(-(-layer.stored_bits // 8)) if layer.stored_bits else "",
            human_bytes(layer.bytes_moved),
            f"{layer.reach[0]}×{layer.reach[1]}",
            *(human_time(layer.expected[size].seconds) if size in layer.expected else "" for size in batches),
            _kernels(layer, batch),
        )
    console.print(shown)
    together = ", ".join(f"{human_time(seconds)} for a batch of {size}" for size, seconds in summary.seconds.items())
    console.print(
        f"expected with {session.isa} on {session.threads} thread{'s' if session.threads > 1 else ''}: {together}; "
        f"loaded in {human_time(load_seconds)}, weights and tables take {human_bytes(summary.memory)} of memory"
    )
    console.print(
        f"{human_bytes(summary.file_bytes)} on disk, {human_bytes(summary.float32_bytes)} in float32 "
        f"({summary.shrink:.1f} times smaller); {summary.binary_macs / 1e6:,.1f} million binary MACs an image"
    )
    for key, text in graph.meta.items():
        console.print(f"{key}: {text.replace(chr(10), ', ')}", style="dim")


def _kernels(layer: Layer, batch: int) -> str:
    """The kernel of batch 1, and what another batch runs on if that is something else."""
    large = layer.expected[batch].kernel if batch in layer.expected else layer.kernel
    if large == layer.kernel:
        return layer.kernel
    return f"{layer.kernel}; {large.partition(',')[0]} for {batch}"


def _analyse(graph: Graph, target: Path, as_json: bool) -> None:
    """Show the analysis, and leave it beside the model as JSON and PNG."""
    from binarynet.report.analysis import analyse, plot

    found = analyse(graph)
    document = found.document()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".json").write_text(json.dumps(document, indent=2))
    plot(found, target.with_suffix(".png"))
    if as_json:
        show_json(document)
        return
    shown = table("layer", ">memory", ">float32", ">energy", ">float32", ">unique filters", ">up to sign")
    repeated = {one.layer: one for one in found.filters}
    for layer in found.layers:
        one = repeated.get(layer.layer)
        shown.add_row(
            layer.layer,
            human_bytes(layer.cost.parameter_bytes),
            human_bytes(layer.float32.parameter_bytes),
            f"{layer.cost.energy_pj / 1e6:,.3f} µJ",
            f"{layer.float32.energy_pj / 1e6:,.3f} µJ",
            f"{100 * one.share:.1f} %" if one else "",
            f"{100 * one.share_up_to_sign:.1f} %" if one else "",
        )
    shown.add_section()
    total, real = found.cost, found.float32
    shown.add_row(
        "all",
        human_bytes(total.parameter_bytes),
        human_bytes(real.parameter_bytes),
        f"{total.energy_pj / 1e6:,.3f} µJ",
        f"{real.energy_pj / 1e6:,.3f} µJ",
    )
    console.print(shown)
    console.print(f"{target}.json, {target}.png; the energy is a model (45 nm), not a measurement", style="dim")


@app.command()
def verify(file: ModelFile, as_json: AsJson = False) -> None:
    """Check a model file: checksum, structure, shapes, encodings, sizes. Exit code 2 says what is wrong and where."""
    from binarynet.format import load

    graph = load(file)
    if as_json:
        show_json({"file": str(file), "valid": True, "ops": len(graph.ops)})
    else:
        console.print(f"{file}: valid, {len(graph.ops)} ops, {human_bytes(file.stat().st_size)}")


@app.command()
def run(
    file: ModelFile,
    inputs: Annotated[list[Path], typer.Argument(metavar="FILE…", help=".npy arrays or image files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print classes and logits as JSON.")] = False,
    engine: Annotated[
        str | None, typer.Option(help="native, oracle (slow and obvious) or triton; default: what the device has.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda with the extra gpu.")] = "cpu",
    isa: Isa = None,
    threads: Threads = 0,
) -> None:
    """Classify .npy arrays (one image or a batch) and image files."""
    from binarynet.runtime import load

    session = load(file, engine=engine, device=device, isa=isa, threads=threads)
    answers: list[dict[str, Any]] = []
    for path in inputs:
        logits = session.logits(_images(path, session.input_shape))
        classes = logits.reshape(len(logits), -1).argmax(axis=1)
        for index, (number, row) in enumerate(zip(classes, logits, strict=True)):
            name = session.classes[number] if session.classes else str(number)
            answers.append(
                {
                    "file": str(path),
                    "index": index,
                    "class": int(number),
                    "name": name,
                    "logits": row.tolist(),
                }
            )
    if as_json:
        show_json(answers)
        return
    for answer in answers:
        place = f"[{answer['index']}]" if sum(a["file"] == answer["file"] for a in answers) > 1 else ""
        console.print(f"{answer['file']}{place}: {answer['name']}", markup=False, highlight=False)


def _images(path: Path, shape: tuple[int, ...]) -> Any:
    """A .npy file as it is (one image gets a batch axis), or a picture brought to the model's size and channels."""
    if path.suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{path}: not a .npy array: {error}") from None
        return array[None] if array.size == np.prod(shape) else array
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(path)
        picture.load()
    except UnidentifiedImageError:
        raise InputError(f"{path}: neither a .npy array nor an image that Pillow can read") from None
    height, width, channels = shape if len(shape) == 3 else _square(shape[0])
    if channels not in (1, 3):
        raise InputError(f"{path}: the model takes {channels} channels; a picture has 1 or 3. Pass a .npy array.")
    pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB").resize((width, height)))
    return pixels.reshape(1, height, width, channels).transpose(0, 3, 1, 2)


def _square(features: int) -> tuple[int, int, int]:
    """The image a flat input stands for: square and grey, or square and RGB."""
    for channels in (1, 3):
        side = round((features / channels) ** 0.5)
        if side * side * channels == features:
            return side, side, channels
    raise InputError(f"the model takes {features} features, which is no square picture; pass a .npy array")
