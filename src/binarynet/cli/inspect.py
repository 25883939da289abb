"""Verbs that look at a `.bnn` file and need no torch: inspect, verify."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from binarynet.atomic import write
from binarynet.cli.app import app
from binarynet.cli.options import AsJson, Isa, Kernel, ModelFile
from binarynet.cli.printing import console, human_bytes, human_time, show_json
from binarynet.cli.table import Table
from binarynet.graph import Graph
from binarynet.report import Layer, Summary


@app.command()
def inspect(
    file: ModelFile,
    as_json: AsJson = False,
    isa: Isa = None,
    kernel: Kernel = None,
    batch: Annotated[int, typer.Option(min=1, help="The batch size to plan for, besides 1.")] = 100,
    threads: Annotated[int, typer.Option(min=0, help="Threads to plan for; 0 = as many as a run takes.")] = 1,
    wide: Annotated[bool, typer.Option("--wide", help="Show all that is known of a layer.")] = False,
    analysis: Annotated[
        bool, typer.Option("--analysis", help="Repeated filters, memory and energy against float32, as the papers do.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the analysis.", show_default="the current one")] = None,
) -> None:
    """Show a model layer by layer: shapes, encodings, bits, binary MACs, the kernel that will run, and for how long.

    Times are expected, not measured: they come from a price list, this machine's after `binarynet tune`.
    `binarynet bench --layers` measures.
    """
    from binarynet.format import load
    from binarynet.report import summarise
    from binarynet.runtime import Session, prices

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
        how: dict[str, object] = {"isa": session.isa, "threads": session.threads, "load_seconds": load_seconds}
        how["prices"] = prices.source(session.isa)
        how["outputs"] = {name: list(shape) for name, shape in session.outputs.items()}
        show_json({**asdict(summary), "meta": dict(graph.meta), **how})
        return
    console.print(_layers(summary, batches, batch) if wide else _few(summary))
    together = ", ".join(f"{human_time(seconds)} for a batch of {size}" for size, seconds in summary.seconds.items())
    console.print(
        f"expected with {session.isa} on {session.threads} thread{'s' if session.threads > 1 else ''}: {together}; "
        f"loaded in {human_time(load_seconds)}, weights and tables take {human_bytes(summary.memory)} of memory"
    )
    console.print(f"{prices.source(session.isa)}", style="dim")
    console.print(
        f"{human_bytes(summary.file_bytes)} on disk, {human_bytes(summary.float32_bytes)} in float32 "
        f"({summary.shrink:.1f} times smaller); {summary.binary_macs / 1e6:,.1f} million binary MACs an image"
    )
    macs, moved, seconds = (f"{100 * share:.0f} %" for share in summary.real_share(1))
    console.print(
        f"in float32: {macs} of the MACs, {moved} of the bytes moved, {seconds} of the expected time of one image"
    )
    if graph.outputs:
        shapes = (f"{one.name} {'×'.join(map(str, one.shape))}" for one in graph.outputs)
        console.print(f"answers {', '.join(shapes)}; the first is the class")
    for key, text in graph.meta.items():
        console.print(f"{key}: {text.replace(chr(10), ', ')}", style="dim")


def _few(summary: Summary) -> Table:
    """What fits 80 columns."""
    shown = Table("layer", "op", "makes", ">binary MACs", ">stored", ">one image", "kernel")
    for layer in summary.layers:
        shown.add_row(
            layer.name,
            layer.op,
            layer.makes,
            f"{layer.binary_macs:,}" if layer.binary_macs else "",
            human_bytes(-(-layer.stored_bits // 8)) if layer.stored_bits else "",
            human_time(layer.expected[1].seconds) if 1 in layer.expected else "",
            layer.kernel.partition(",")[0],
        )
    return shown


def _layers(summary: Summary, batches: tuple[int, ...], batch: int) -> Table:
    """All of it."""
    times = [f">batch {size}" for size in batches]
    shown = Table("layer", "op", "makes", "weights", ">binary MACs", ">stored", ">moved", ">sees", *times, "kernel")
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
    return shown


def _kernels(layer: Layer, batch: int) -> str:
    """The kernel of batch 1, and what another batch runs on if that is something else."""
    large = layer.expected[batch].kernel if batch in layer.expected else layer.kernel
    if large == layer.kernel:
        return layer.kernel
    return f"{layer.kernel}; {large.partition(',')[0]} for {batch}"


def _analyse(graph: Graph, target: Path, as_json: bool) -> None:
    """Show the analysis, and leave it beside the model as JSON and PNG."""
    from binarynet.report.analysis import analyse
    from binarynet.report.picture import plot

    found = analyse(graph)
    document = found.document()
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target.with_suffix(".json"), json.dumps(document, indent=2))
    plot(found, target.with_suffix(".png"))
    if as_json:
        show_json(document)
        return
    shown = Table("layer", ">memory", ">float32", ">energy", ">float32", ">unique filters", ">up to sign")
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
