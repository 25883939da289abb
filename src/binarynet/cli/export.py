"""``binarynet export``: a model for other machines and tools, and the proof that what was written answers the same."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.cli import complete
from binarynet.cli.app import app, console, human_bytes, show_json
from binarynet.cli.model import AsJson, ModelFile
from binarynet.cli.train import DataDir
from binarynet.errors import InputError


@app.command()
def export(
    file: ModelFile,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="c, verilog, onnx, qonnx, or weights (.npz, raw .bin, C arrays).",
            metavar="TARGET",
            autocompletion=complete.targets,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; it is made. Or FILE.onnx.", metavar="DIR")],
    api: Annotated[
        str | None, typer.Option(help="What public names begin with.", metavar="PREFIX", show_default="the file's name")
    ] = None,
    word: Annotated[int, typer.Option(help="Bits of a machine word: 32 for microcontrollers, or 64.")] = 64,
    check: Annotated[
        str | None,
        typer.Option(
            help="Build and run what was written and compare it with the oracle on this data set.",
            metavar="DATASET",
            show_default="no comparison",
            autocompletion=complete.data_sets,
        ),
    ] = None,
    data_dir: DataDir = None,
    split: Annotated[str, typer.Option(help="What --check reads: test, validation or train.")] = "test",
    limit: Annotated[
        int | None,
        typer.Option(help="How many images --check takes at most.", min=1, show_default="what the target runs"),
    ] = None,
    fold: Annotated[
        list[str] | None,
        typer.Option(
            help="verilog: OUTPUTSxINPUTS in parallel, for a layer LAYER=OUTPUTSxINPUTS; any number of times.",
            metavar="FOLD",
            show_default="8x32",
        ),
    ] = None,
    simulator: Annotated[
        str | None,
        typer.Option(
            help="verilog: what --check runs, verilator or iverilog.", metavar="NAME", show_default="what is there"
        ),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="verilog: LUTs, flip-flops and memories by yosys, the clock by nextpnr.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model for a machine without Python. With --check, prove it equal; exit code 1 if it is not."""
    from binarynet.export import TARGETS, Options, write
    from binarynet.export.emit import identifier
    from binarynet.format import load

    if check is not None and to in TARGETS and to != "verilog" and not hasattr(TARGETS[to], "answers"):
        raise InputError(f"--check runs what was written; the target {to} writes nothing that runs")
    if to != "verilog" and (fold or simulator or report):
        raise InputError(f"--fold, --simulator and --report are for the target verilog, not {to}")
    graph = load(file)
    name = api if api is not None else identifier(file.stem)[:40]
    words = f" --word {word}" if word != 64 else ""
    folds = tuple(fold or ())
    folded = "".join(f" --fold {shlex.quote(text)}" for text in folds)
    command = (
        f"binarynet export {shlex.quote(file.name)} --to {to} --api {name}{words}{folded} --out {shlex.quote(out.name)}"
    )
    single = out.suffix == ".onnx"
    folder = out.parent if single else out
    options = Options(name, word, command, fold=folds, name=out.stem if single else "")
    files = write(graph, to, folder, options)
    agreement, said = None, ""
    if check is not None:
        agreement, said = _check(graph, to, folder, options, simulator, check, split, limit, data_dir)
    lines = _report(out, name) if report else []
    if as_json:
        document: dict[str, Any] = {"target": to, "files": [str(path) for path in files]}
        document |= {"check": vars(agreement)} if agreement else {}
        show_json(document | ({"report": lines} if lines else {}))
    else:
        for path in files:
            console.print(f"{path}: {human_bytes(path.stat().st_size)}", highlight=False)
        if agreement:
            console.print(f"{agreement} with the oracle{said}")
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if agreement and not agreement.holds:
        raise typer.Exit(1)


def _report(folder: Path, api: str) -> list[str]:
    from binarynet.export.verilog.report import report

    return report(folder, api)


def _check(
    graph: Any,
    to: str,
    folder: Path,
    options: Any,
    simulator: str | None,
    data: str,
    split: str,
    limit: int | None,
    data_dir: Path | None,
) -> tuple[Any, str]:
    """Run what was written on a split, or as much of it as the target runs; how it compares, and what it says."""
    from binarynet.data import load_split
    from binarynet.export import TARGETS
    from binarynet.export.verilog import check as verilog
    from binarynet.graph import Encoding
    from binarynet.report import compared, oracle_logits
    from binarynet.runtime.images import adapt

    most = limit if limit is not None else getattr(TARGETS[to], "CHECKED", None)
    images = load_split(data, split, data_dir).images[:most]  # type: ignore[arg-type]
    codes = adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding))
    engine, said = to, ""
    if to == "verilog":
        made = verilog.simulate(folder, graph, options, codes, verilog.simulator(simulator))
        found = verilog.logits(graph, made)
        engine = f"verilog by {made.simulator}"
        said = f"; {made.latency:,} clocks to the first class, {made.interval:,} from image to image"
    else:
        found = TARGETS[to].answers(graph, folder, options, codes)
    return compared(f"{engine} on {data} {split}", graph, found, oracle_logits(graph, images)), said
