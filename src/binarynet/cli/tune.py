"""``binarynet tune``: measure this machine's prices once."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.options import AsJson
from binarynet.cli.printing import console, show_json
from binarynet.cli.table import Table
from binarynet.errors import InputError, closest


@app.command()
def tune(
    isa: Annotated[
        str | None,
        typer.Option(
            help="Instruction set to measure.",
            metavar="NAME",
            show_default="all that this CPU has",
            autocompletion=complete.instruction_sets,
        ),
    ] = None,
    milliseconds: Annotated[float, typer.Option(min=0.01, max=1000.0, help="For each network and batch.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Fit the prices that plans are made with to this machine, in seconds, and keep them in the user's cache.

    From prices follow the kernel of each layer and the times that `binarynet inspect` expects; answers never depend on
    them. What else runs meanwhile makes them worse.
    """
    import numpy as np

    from binarynet.runtime import prices
    from binarynet.runtime.isa import available
    from binarynet.runtime.tune import tune as measure

    if isa is not None and isa not in available():
        raise InputError(f"there is no instruction set {isa!r} here.{closest(isa, available())}")
    begin = datetime.datetime.now().astimezone()
    found: dict[str, dict[str, float]] = {}
    rows: list[dict[str, Any]] = []
    for name in [isa] if isa else available():
        found[name], steps = measure(name, milliseconds=milliseconds)
        middle, low, high = prices.spread([ratio for ratio, _, _ in steps])
        within = float(np.mean([0.75 <= ratio <= 1.33 for ratio, _, _ in steps]))
        rows.append({"isa": name, "steps": len(steps), "median": middle, "low": low, "high": high, "within": within})
    target = prices.keep(found, f"{begin:%Y-%m-%d %H:%M}")
    took = (datetime.datetime.now().astimezone() - begin).total_seconds()
    if as_json:
        show_json({"file": str(target), "seconds": took, "sets": rows, "prices": found})
        return
    shown = Table("instruction set", ">steps", ">expected ÷ measured", ">of 80 %", ">within 0.75 … 1.33")
    for row in rows:
        shown.add_row(
            str(row["isa"]),
            str(row["steps"]),
            f"{row['median']:.2f}",
            f"{row['low']:.2f} … {row['high']:.2f}",
            f"{100 * row['within']:.0f} %",
        )
    console.print(shown)
    console.print(f"{target}, in {took:.1f} s", style="dim")
