"""``binarynet bench``: a model against its float32 twin in torch, measured in turn in one run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from binarynet.cli.app import bench
from binarynet.cli.install import TORCH
from binarynet.cli.options import AsJson, Isa, Kernel, ModelFile, numbers
from binarynet.cli.printing import console, human_time, show_json
from binarynet.cli.table import Table
from binarynet.errors import InputError


@bench.command("model")
def model(
    file: ModelFile,
    batch: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1,100",
    threads: Annotated[int, typer.Option(min=1, help="Threads for both.")] = 1,
    isa: Isa = None,
    every_isa: Annotated[bool, typer.Option("--every-isa", help="One row for each instruction set.")] = False,
    seconds: Annotated[float, typer.Option(help="Time for each measurement.")] = 2.0,
    layers: Annotated[
        bool, typer.Option("--layers", help="Each layer, expected and measured, instead of the comparison.")
    ] = False,
    kernel: Kernel = None,
    as_json: AsJson = False,
) -> None:
    """Time a model against the same net in torch float32 (if torch is installed): median, spread, ratio."""
    import numpy as np

    from binarynet.bench import interleaved, machine
    from binarynet.format import load
    from binarynet.runtime import Session
    from binarynet.runtime import isa as isas

    sizes = numbers("batch", batch)
    graph = load(file)
    if every_isa and isa:
        raise InputError("--isa and --every-isa exclude each other")
    if layers:
        if every_isa:
            raise InputError("--layers shows one instruction set; give --isa instead of --every-isa")
        _layers(Session(graph, isa=isa, threads=threads, kernel=kernel), graph, sizes, seconds, str(file), as_json)
        return
    names = isas.available() if every_isa else (isa or isas.active(),)
    sessions = {f"binarynet {name}": Session(graph, isa=name, threads=threads, kernel=kernel) for name in names}
    twin = _twin(graph, threads)
    shape, rng = graph.input.shape, np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for size in sizes:
        images = _images(rng, size, graph)
        calls: dict[str, Any] = {
            name: (lambda s=session, x=images: s.logits(x, layout="nhwc")) for name, session in sessions.items()
        }
        if twin is not None:
            real = np.float32(images.transpose(0, 3, 1, 2) if len(shape) == 3 else images)
            calls["torch float32"] = twin(np.ascontiguousarray(real))
        for name, timing in interleaved(calls, seconds).items():
            rows.append({"batch": size, "engine": name, **asdict(timing)})
    for row in rows:
        base = [r["median"] for r in rows if r["batch"] == row["batch"] and r["engine"] == "torch float32"]
        row["ratio"] = base[0] / row["median"] if base else None
    setting = {**machine(), "threads": str(threads), "model": str(file)}
    if as_json:
        show_json({"machine": setting, "rows": rows})
        return
    shown = Table(">batch", "engine", ">median", ">10 % … 90 %", ">images / s", ">× torch float32", keys=2)
    for row in rows:
        low, middle, high = (human_time(row[key]) for key in ("low", "median", "high"))
        ratio = f"{row['ratio']:.1f}" if row["ratio"] else "—"
        rate = f"{row['batch'] / row['median']:,.0f}"
        shown.add_row(str(row["batch"]), row["engine"], middle, f"{low} … {high}", rate, ratio)
    console.print(shown)
    console.print(", ".join(f"{key} {text}" for key, text in setting.items()), style="dim", highlight=False)
    if twin is None:
        console.print(f"torch is not installed, so there is nothing to compare with: {TORCH}")


def _layers(session: Any, graph: Any, sizes: list[int], seconds: float, file: str, as_json: bool) -> None:
    """Print what each step is expected to take and what it took."""
    import numpy as np

    from binarynet.bench import machine, timed_steps

    rng = np.random.default_rng(0)
    steps = [step for size in sizes for step in timed_steps(session, _images(rng, size, graph), seconds)]
    setting = {**machine(), "isa": session.isa, "threads": str(session.threads), "model": file}
    if as_json:
        show_json({"machine": setting, "rows": [asdict(step) for step in steps]})
        return
    shown = Table(">batch", "layer", "with", ">expected", ">median", ">10 % … 90 %", ">share", "kernel", keys=2)
    for size in sizes:
        here = [step for step in steps if step.batch == size]
        whole = sum(step.measured.median for step in here)
        for step in here:
            took = step.measured
            spread = f"{human_time(took.low)} … {human_time(took.high)}"
            share = f"{100 * took.median / whole:.0f} %"
            times = (human_time(step.planned.seconds), human_time(took.median), spread, share)
            shown.add_row(str(size), step.planned.op, ", ".join(step.planned.fused), *times, step.planned.kernel)
        expected = sum(step.planned.seconds for step in here)
        shown.add_row(str(size), "all", "", human_time(expected), human_time(whole))
        shown.add_section()
    console.print(shown)
    console.print(", ".join(f"{key} {text}" for key, text in setting.items()), style="dim", highlight=False)


def _twin(graph: Any, threads: int) -> Any:
    """Images → a call of the float32 twin on them; None without torch."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    from binarynet.bench.twin import float_twin

    torch.set_num_threads(threads)
    module = float_twin(graph)

    def on(images: Any) -> Any:
        batch = torch.from_numpy(images)

        def call() -> Any:
            with torch.inference_mode():
                return module(batch)

        return call

    return on


def _images(rng: Any, size: int, graph: Any) -> Any:
    """Random input codes, as images (n, height, width, channels) or vectors."""
    import numpy as np

    shape = (size, *graph.input.shape)
    if graph.input.encoding == "f32":
        return rng.random(shape, dtype=np.float32)
    bits = int(graph.input.encoding[1:])
    return rng.integers(0, 2**bits, shape).astype(np.uint8)
