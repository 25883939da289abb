"""``binarynet bench suite``: fixed workloads on this package and on other libraries, in one run, with the limits."""

from __future__ import annotations

import datetime
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.atomic import write
from binarynet.cli.app import bench
from binarynet.cli.options import AsJson, numbers, words
from binarynet.cli.printing import console, show_json
from binarynet.cli.table import Table
from binarynet.errors import RuntimeUnavailable

RESULTS = Path("benchmarks/results")


@bench.command("suite")
def suite(
    peers: Annotated[
        str,
        typer.Option(help="Libraries, separated by commas: torch, or one way of it, torch:int8.", show_default="all"),
    ] = "",
    workloads: Annotated[
        str,
        typer.Option(
            help="Of W1, W2 (products), W3 (MLP), W4 (ConvNet), W5 (XNOR-Net's convolution), W6 (AlexNet, ResNet-18), "
            "W7 (the models that come along), W8 (loading).",
        ),
    ] = "W1,W2,W3,W4,W5,W6,W7,W8",
    threads: Annotated[str, typer.Option(help="Numbers of threads, separated by commas.")] = "1,2",
    seconds: Annotated[float, typer.Option(min=0.0, help="Timing of each cell, in all its rounds.")] = 0.6,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny shapes, no waiting: only to see that it runs.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for JSON, Markdown and PNG.",
            show_default="benchmarks/results; with --quick runs/bench-quick",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Folder of earlier runs: a ratio that is more than 10 % worse than in the last one on this kind of "
            "processor is named, and the exit code is 1.",
            show_default="none",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Time fixed workloads here and in other libraries: ratios, and the distance to what the machine can do."""
    from binarynet.bench import machine
    from binarynet.bench.suite import run
    from binarynet.bench.suite.check import last, read, regressions
    from binarynet.bench.suite.page import document, page
    from binarynet.bench.suite.roofline import draw
    from binarynet.runtime import isa

    counts = numbers("threads", threads)
    kind = f"{_slug(machine()['processor'])}-{isa.active()}"
    kept = read(last(against, kind)) if against else None
    command = ["binarynet", "bench", "suite", *(["--peers", peers] if peers else []), "--workloads", workloads]
    command += ["--threads", threads, "--seconds", str(seconds), *(["--quick"] if quick else [])]
    begin = datetime.datetime.now().astimezone()
    found = run(
        words(peers),
        words(workloads),
        counts,
        seconds,
        tiny=quick,
        say=lambda text: None if as_json else console.print(text, style="dim", highlight=False),
    )
    setting = {
        "command": shlex.join(command),
        "began": begin.isoformat(timespec="seconds"),
        "took": f"{(datetime.datetime.now().astimezone() - begin).total_seconds():.0f} s",
        **machine(),
        "instruction sets": ", ".join(isa.available()),
    }
    stem = f"{begin:%Y-%m-%d}-{kind}"
    target = (out or (Path("runs/bench-quick") if quick else RESULTS)) / stem
    told = document(found, setting)
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target.with_name(f"{stem}.json"), json.dumps(told, indent=1))
    picture = _picture(draw, found)
    if picture:
        write(target.with_name(f"{stem}.png"), picture)
    write(target.with_name(f"{stem}.md"), page(found, setting, f"{stem}.png" if picture else None))
    worse, compared = regressions(told, kept) if kept else ([], 0)
    if as_json:
        show_json({**told, "compared": compared, "worse": [str(each) for each in worse]} if kept else told)
    else:
        _show(found)
        if kept:
            console.print(f"{compared} ratios compared with {kept['setting']['began']}, {len(worse)} are worse")
        for each in worse:
            console.print(str(each), highlight=False)
    if worse:
        raise typer.Exit(1)
    if as_json:
        return
    console.print(f"{target}.md, .json{', .png' if picture else ''}", style="dim", highlight=False)


def _slug(processor: str) -> str:
    """'Intel(R) Xeon(R) Gold 6430 CPU @ 2.10GHz' → 'intel-xeon-gold-6430'."""
    plain = re.sub(r"\((R|TM|C)\)|@.*|\b(CPU|Processor|\d+-Core)\b", " ", processor, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "cpu"


def _picture(draw: Callable[[Any, io.BytesIO], None], found: Any) -> bytes | None:
    made = io.BytesIO()
    try:
        draw(found, made)
    except RuntimeUnavailable as error:
        console.print(str(error), style="dim", highlight=False)
        return None
    return made.getvalue()


def _show(found: Any) -> None:
    from binarynet.bench.suite.page import Table as Cells
    from binarynet.bench.suite.page import percent, time, times

    cells = Cells(found)
    shown = Table(
        "work",
        ">threads",
        ">binarynet",
        ">× torch fp32",
        ">× fastest",
        "fastest peer",
        ">× exact",
        "fastest exact",
        ">of the limit",
        keys=2,
    )
    for work in found.works:
        for roof in found.roofs:
            row = cells.row(work, roof)
            shown.add_row(
                work.name,
                str(roof.threads),
                time(row["seconds"]),
                times(row["ratio_to_torch_float32"]),
                times(row["ratio_to_fastest"]),
                row["fastest"] or "—",
                times(row["ratio_to_fastest_exact"]),
                row["fastest_exact"] or "—",
                percent(row["share_of_limit"]),
            )
    console.print(shown)
    disturbed = sum(cell.disturbed for cell in found.cells)
    if disturbed:
        console.print(
            f"The machine was busy during {disturbed} of {len(found.cells)} cells: do not believe these figures."
        )
    for cell in found.cells:
        if cell.answers == "wrong" or (cell.note and "crashed" in cell.note):
            console.print(f"{cell.work}, {cell.name}, {cell.threads} threads: {cell.note or 'wrong answers'}")
