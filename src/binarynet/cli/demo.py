"""``binarynet demo``: the whole way once, on data that needs no download."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.lower import write_model
from binarynet.cli.printing import console, human_bytes
from binarynet.cli.table import Table


@app.command()
def demo(
    recipe: Annotated[str, typer.Option(help="The recipe to show.", autocompletion=complete.recipes)] = "bnn-digits",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and noise.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Keep the run folder here.", show_default="it is not kept")] = None,
) -> None:
    """Train on handwritten digits, lower, save, load, prove all engines equal, and time them against torch."""
    with tempfile.TemporaryDirectory() as temporary:
        _demo(recipe, seed, keep or Path(temporary) / "run", keep)


def _demo(name: str, seed: int, folder: Path, kept: Path | None) -> None:
    import numpy as np
    import torch

    from binarynet import recipes
    from binarynet.bench import interleaved, machine
    from binarynet.bench.twin import float_twin
    from binarynet.data import load
    from binarynet.format import load as load_graph
    from binarynet.report import oracle_logits, summarise, with_native, with_torch
    from binarynet.runtime import Session
    from binarynet.train import Interrupted, fit

    recipe = recipes.get(name)
    data = load(recipe.data)
    console.print(f"1  train {name} on {len(data.train):,} images, {recipe.epochs} epochs", highlight=False)
    try:
        result = fit(recipe, data, folder, seed=seed)
    except Interrupted as stopped:
        what = "Nothing was kept" if kept is None else f"{kept} is kept"
        raise Interrupted(f"Stopped. {what}.", stopped.exit_code) from None
    file = folder / "model.bnn"
    console.print("2  lower to integers, save, load", highlight=False)
    write_model(result.model, name, data.shape, data.classes, data.name, file)
    graph = load_graph(file)
    images, labels = data.test.images, data.test.labels
    console.print(f"3  prove: all {len(images)} test images, every engine against the oracle", highlight=False)
    expected = oracle_logits(graph, images)
    agreements = [*with_native(graph, images, expected), with_torch(result.model, images, expected)]
    for agreement in agreements:
        console.print(f"   {agreement}", highlight=False)
    console.print("4  time: one image, and a batch of 100, one thread", highlight=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    session, twin = Session(graph, threads=1), float_twin(graph)
    timings = {}
    with torch.no_grad():
        for batch in (1, 100):
            some = np.ascontiguousarray(images[np.arange(batch) % len(images)])
            real = torch.from_numpy(some.reshape(batch, -1) if len(graph.input.shape) == 1 else some).float()
            timings[batch] = interleaved(
                {"ours": lambda x=some: session.logits(x), "torch": lambda x=real: twin(x)}  # type: ignore[misc]
            )
    torch.set_num_threads(threads)

    accuracy = 100 * float((session.predict(images) == labels).mean())
    summary = summarise(graph, file.stat().st_size, session)
    shown = Table("", ">torch float32", f">binarynet ({session.isa})", ">ratio")
    shown.add_row("test accuracy", f"{100 - result.test_error:.2f} % ¹", f"{accuracy:.2f} %", "")
    shown.add_row(
        "size",
        human_bytes(summary.float32_bytes),
        human_bytes(summary.file_bytes),
        f"{summary.shrink:.1f} × smaller",
    )
    for batch, timing in timings.items():
        ours, theirs = timing["ours"].median, timing["torch"].median
        what = f"latency, {batch} image{'s' if batch > 1 else ''} ²"
        shown.add_row(what, f"{theirs * 1e6:,.0f} µs", f"{ours * 1e6:,.0f} µs", f"{theirs / ours:.1f} × faster")
    console.print()
    console.print(shown)
    where = machine()
    console.print("¹ the binary net, evaluated in torch", style="dim")
    console.print(f"² median of {timings[1]['ours'].runs} runs in turn, one thread, {where['processor']}", style="dim")
    if not all(agreement.holds for agreement in agreements):
        console.print("the engines do NOT agree; please report this", style="bold red")
        raise typer.Exit(1)
