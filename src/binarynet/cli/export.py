"""``binarynet export``: a model as C, or as bare numbers, and the proof that the C answers the same."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.cli.app import app, console, human_bytes, show_json
from binarynet.cli.model import AsJson, ModelFile
from binarynet.cli.train import DataDir
from binarynet.errors import InputError


@app.command()
def export(
    file: ModelFile,
    to: Annotated[str, typer.Option("--to", help="c, or weights (.npz, raw .bin, C arrays).", metavar="TARGET")],
    out: Annotated[Path, typer.Option(help="Folder to write; it is made.", metavar="DIR")],
    api: Annotated[
        str | None, typer.Option(help="What public names begin with; default: the file's name.", metavar="PREFIX")
    ] = None,
    word: Annotated[int, typer.Option(help="Bits of a machine word: 32 for microcontrollers, or 64.")] = 64,
    check: Annotated[
        str | None,
        typer.Option(
            help="Compile what was written and compare it with the oracle on this data set.", metavar="DATASET"
        ),
    ] = None,
    data_dir: DataDir = None,
    split: Annotated[str, typer.Option(help="What --check reads: test, validation or train.")] = "test",
    as_json: AsJson = False,
) -> None:
    """Write a model for a machine without Python. With --check, prove it equal; exit code 1 if it is not."""
    from binarynet.export import Options, write
    from binarynet.export.emit import identifier
    from binarynet.format import load

    if check is not None and to != "c":
        raise InputError(f"--check compiles and runs the target c, not {to}")
    graph = load(file)
    name = api if api is not None else identifier(file.stem)[:40]
    words = f" --word {word}" if word != 64 else ""
    command = f"binarynet export {shlex.quote(file.name)} --to {to} --api {name}{words} --out {shlex.quote(out.name)}"
    files = write(graph, to, out, Options(name, word, command))
    agreement = _check(graph, out, name, check, split, data_dir) if check is not None else None
    if as_json:
        document: dict[str, Any] = {"target": to, "files": [str(path) for path in files]}
        show_json(document | ({"check": vars(agreement)} if agreement else {}))
    else:
        for path in files:
            console.print(f"{path}: {human_bytes(path.stat().st_size)}", highlight=False)
        if agreement:
            console.print(f"{agreement} with the oracle")
    if agreement and not agreement.holds:
        raise typer.Exit(1)


def _check(graph: Any, folder: Path, api: str, data: str, split: str, data_dir: Path | None) -> Any:
    """Compile with the system's compiler, run on a whole split, compare with the oracle."""
    from binarynet.data import load_split
    from binarynet.export.c.check import answers, compiled
    from binarynet.graph import Encoding
    from binarynet.report import Agreement, oracle_logits
    from binarynet.runtime.images import adapt

    images = load_split(data, split, data_dir).images  # type: ignore[arg-type]
    codes = adapt(images, graph.input.shape, Encoding.parse(graph.input.encoding))
    found = answers(compiled(folder, api), graph, codes)
    expected = oracle_logits(graph, images)
    equal = (found == expected).reshape(len(images), -1).all(axis=1)
    return Agreement(f"c on {data} {split}", "logits", int(equal.sum()), len(images))
