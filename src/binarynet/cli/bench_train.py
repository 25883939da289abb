"""``binarynet bench train``: our training step against the plain way."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated, Any

import typer

from binarynet.cli import complete
from binarynet.cli.app import bench
from binarynet.cli.images import parse_shape
from binarynet.cli.options import AsJson, Data, DataDir, Gradients, Shape, pairs
from binarynet.cli.printing import console, human_bytes, show_json
from binarynet.cli.table import Table
from binarynet.errors import InputError


@bench.command("train")
def train(
    recipe: Annotated[
        list[str] | None,
        typer.Argument(help="Recipes.", show_default="bnn-mnist and bnn-cifar10", autocompletion=complete.recipes),
    ] = None,
    data: Data = None,
    data_dir: DataDir = None,
    shape: Shape = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting, any number of times.", show_default="the recipe's"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=10, help="Training steps of each way.")] = 30,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 stands for the CPUs of this process.")] = 0,
    gradients: Gradients = None,
    layers: Annotated[bool, typer.Option("--layers", help="What ran each product, and its share of the peak.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train in turn in two processes, our way and as the public repositories do; time, ratio, loss curves."""
    from binarynet import recipes as catalogue
    from binarynet.bench import machine
    from binarynet.bench.train.speed import compare
    from binarynet.data import load
    from binarynet.nn import native

    if gradients is not None:
        native.checked_gradients(gradients, "--gradients")
    threads = threads or len(os.sched_getaffinity(0))
    given = pairs(settings or []) | ({"data": data} if data else {})
    found: dict[str, Any] = {}
    for name in recipe or ["bnn-mnist", "bnn-cifar10"]:
        chosen = catalogue.get(name).with_settings(given)
        if chosen.batch_size < 2:
            raise InputError(f"{name}: batch_size={chosen.batch_size}; BatchNorm needs two images.")
        images = load(chosen.data, data_dir, shape=parse_shape(shape), progress=True, **chosen.reading())
        found[name] = compare(chosen, images, steps=steps, threads=threads, gradients=gradients)
    with native.rounded_as(gradients):
        multiplied = {"products by": native.kernel() or "torch", "gradients": native.gradients()}
    if threads == 1:
        multiplied["times of"] = "the processor"
    setting = {**machine(), "threads": str(threads), "steps": str(steps), **multiplied}
    if as_json:
        show_json({"machine": setting, "recipes": {n: {w: asdict(t) for w, t in f.items()} for n, f in found.items()}})
        return
    shown = Table(
        "recipe",
        "way",
        ">ms / step",
        ">10 % … 90 %",
        ">images / s",
        ">in products",
        ">weights moved",
        ">peak memory",
        ">×",
        keys=2,
    )
    for name, ways in found.items():
        for way in ways.values():
            low, high = sorted(way.seconds)[len(way.seconds) // 10], sorted(way.seconds)[-1 - len(way.seconds) // 10]
            shown.add_row(
                name,
                _NAMES[way.rule],
                f"{way.median * 1e3:.0f}",
                f"{low * 1e3:.0f} … {high * 1e3:.0f}",
                f"{way.batch_size / way.median:,.0f}",
                f"{way.product_share:.0%}",
                human_bytes(way.weight_bytes) if way.weight_bytes else "",
                human_bytes(way.peak_bytes) if way.peak_bytes else "",
                f"{ways['plain'].median / way.median:.1f}",
            )
    console.print(shown)
    curves = Table("recipe", "way", *(f">to step {end}" for end in _ends(steps)), keys=2)
    for name, ways in found.items():
        for way in ways.values():
            curves.add_row(name, _NAMES[way.rule], *_means(way.losses, steps))
    console.print("\nmean training loss, same weights and batches at the start", highlight=False)
    console.print(curves)
    if layers:
        peaks = _Peaks(threads)
        for name, ways in found.items():
            products = Table(f"{name}: layer", "product", "by", ">ms", ">GMAC / s", ">of the peak", keys=2)
            for one in ways["ours"].layers:
                rate = one.multiplications / one.seconds
                share = peaks.share(one.by, rate)
                products.add_row(
                    one.layer,
                    one.product,
                    one.by,
                    f"{one.seconds * 1e3:.2f}",
                    f"{rate / 1e9:,.0f}",
                    "" if share is None else f"{share:.0%}",
                )
            console.print()
            console.print(products)
    console.print(", ".join(f"{key} {text}" for key, text in setting.items()), style="dim", highlight=False)


_NAMES = {"ours": "binarynet", "plain": "plain", "torch": "all by torch"}
# What an instruction set and a unit do at most: a peak of `binarynet.runtime.peaks`, and how many of its products
# a product of ours takes.
_PEAKS = {
    "amx bytes": ("amx int8", 1.0),
    "amx bfloat16": ("amx bf16", 1.0),
    "avx512 bits": ("avx512 popcount", 1.0),
    "avx512 bytes": ("avx512 vnni", 1.0),
    "avx512 bfloat16": ("avx512 fma", 2.0),
    "avx512 float32": ("avx512 fma", 1.0),
    "avx2 bits": ("avx2 popcount", 1.0),
    "avx2 float32": ("avx2 fma", 1.0),
}


class _Peaks:
    """What all threads together multiply at most, measured when it is asked for."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._found: dict[str, float] = {}

    def share(self, by: str, rate: float) -> float | None:
        """`rate`, in products a second, of the peak of what multiplied; None where no peak is known."""
        from binarynet.runtime import peaks

        unit, times = _PEAKS.get(by, ("", 1.0))
        if unit not in self._found:
            self._found[unit] = peaks.arithmetic_rate(unit, self.threads) if unit in peaks.arithmetic_units() else 0
        return rate / (times * self._found[unit]) if self._found[unit] else None


def _ends(steps: int) -> list[int]:
    return [steps * part // 5 for part in range(1, 6)]


def _means(losses: list[float], steps: int) -> list[str]:
    starts = [0, *_ends(steps)[:-1]]
    return [f"{sum(losses[a:b]) / (b - a):.4f}" for a, b in zip(starts, _ends(steps), strict=True)]
