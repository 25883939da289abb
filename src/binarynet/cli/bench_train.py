"""``binarynet bench train``: our training step against the plain way."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated, Any

import typer

from binarynet.cli import complete
from binarynet.cli.app import bench, console, human_bytes, show_json
from binarynet.cli.model import AsJson
from binarynet.cli.table import Table
from binarynet.cli.train import DataDir, pairs
from binarynet.errors import InputError


@bench.command("train")
def train(
    recipe: Annotated[
        list[str] | None,
        typer.Argument(help="Recipes.", show_default="bnn-mnist and bnn-cifar10", autocompletion=complete.recipes),
    ] = None,
    data_dir: DataDir = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting, any number of times.", show_default="the recipe's"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=10, help="Training steps of each way.")] = 30,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 stands for the CPUs of this process.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train in turn in two processes, our way and as the public repositories do; time, ratio, loss curves."""
    from binarynet import recipes as catalogue
    from binarynet.data import load
    from binarynet.report import machine
    from binarynet.train.speed import compare

    threads = threads or len(os.sched_getaffinity(0))
    given = pairs(settings or [])
    found: dict[str, Any] = {}
    for name in recipe or ["bnn-mnist", "bnn-cifar10"]:
        chosen = catalogue.get(name).with_settings(given)
        if chosen.batch_size < 2:
            raise InputError(f"{name}: batch_size={chosen.batch_size}; BatchNorm needs two images.")
        found[name] = compare(chosen, load(chosen.data, data_dir), steps=steps, threads=threads)
    setting = {**machine(), "threads": str(threads), "steps": str(steps)}
    if as_json:
        show_json({"machine": setting, "recipes": {n: {w: asdict(t) for w, t in f.items()} for n, f in found.items()}})
        return
    shown = Table(
        "recipe", "way", ">ms / step", ">10 % … 90 %", ">images / s", ">in products", ">weights moved", ">×", keys=2
    )
    for name, ways in found.items():
        for way in ways.values():
            low, high = sorted(way.seconds)[len(way.seconds) // 10], sorted(way.seconds)[-1 - len(way.seconds) // 10]
            shown.add_row(
                name,
                "binarynet" if way.way == "ours" else "plain",
                f"{way.median * 1e3:.0f}",
                f"{low * 1e3:.0f} … {high * 1e3:.0f}",
                f"{way.batch_size / way.median:,.0f}",
                f"{way.product_share:.0%}",
                human_bytes(way.weight_bytes),
                f"{ways['plain'].median / way.median:.1f}",
            )
    console.print(shown)
    curves = Table("recipe", "way", *(f">to step {end}" for end in _ends(steps)), keys=2)
    for name, ways in found.items():
        for way in ways.values():
            curves.add_row(name, "binarynet" if way.way == "ours" else "plain", *_means(way.losses, steps))
    console.print("\nmean training loss, same weights and batches at the start", highlight=False)
    console.print(curves)
    console.print(", ".join(f"{key} {text}" for key, text in setting.items()), style="dim", highlight=False)


def _ends(steps: int) -> list[int]:
    return [steps * part // 5 for part in range(1, 6)]


def _means(losses: list[float], steps: int) -> list[str]:
    starts = [0, *_ends(steps)[:-1]]
    return [f"{sum(losses[a:b]) / (b - a):.4f}" for a, b in zip(starts, _ends(steps), strict=True)]
