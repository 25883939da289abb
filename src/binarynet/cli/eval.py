"""``binarynet eval``: the accuracy of a model, and the proof that the engines agree."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from binarynet.cli.app import app
from binarynet.cli.images import data_of, split_of
from binarynet.cli.options import AsJson, Data, DataDir, Isa, ModelFile, SplitName, Threads
from binarynet.cli.printing import console, show_json
from binarynet.errors import InputError, closest

_PIECE = 4096  # images in memory, of those that are read from disk when they are asked for


@app.command(name="eval")
def evaluate(
    file: ModelFile,
    data: Data = None,
    data_dir: DataDir = None,
    split: SplitName = "test",
    engine: Annotated[str, typer.Option(help="native, or oracle (slow and obvious).")] = "native",
    isa: Isa = None,
    threads: Threads = 0,
    check: Annotated[
        str,
        typer.Option(
            help="oracle: every ISA of this CPU must equal it; torch: predictions of the run's module.",
            show_default="no comparison",
        ),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            help="How many images --check takes at most; the accuracy is that of all.", min=1, show_default="all"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model's accuracy, and with --check prove that the engines agree. Exit code 1 if they do not."""
    from binarynet.format import load as load_graph
    from binarynet.report import Agreement, oracle_logits, with_native, with_torch
    from binarynet.runtime import Session

    wanted = [part.strip() for part in check.split(",") if part.strip()]
    for part in wanted:
        if part not in ("oracle", "torch"):
            also = closest(part, ("oracle", "torch"))
            raise InputError(f"--check {part}:{also} Choose oracle, torch, or both separated by a comma.")
    if limit is not None and not wanted:
        raise InputError("--limit says how many images --check takes, and there is no --check. Give both, or none.")
    graph = load_graph(file)
    name = data_of(graph, file, data)
    images = split_of(graph, name, split, data_dir)
    session = Session(graph, engine=engine, isa=isa, threads=threads)
    parts = [slice(start, start + _PIECE) for start in range(0, len(images), _PIECE)]
    right = sum(int((session.predict(images.images[part]) == images.labels[part]).sum()) for part in parts)
    agreements: list[Agreement] = []
    if wanted:
        compared = images.images[:limit]
        expected = oracle_logits(graph, compared)
        agreements += with_native(graph, compared, expected)
        if "torch" in wanted:
            from binarynet.train import load_run

            _, model = load_run(file.parent)
            agreements.append(with_torch(model, compared, expected))
    accuracy = 100 * right / len(images)
    if as_json:
        document: dict[str, Any] = {"data": name, "split": split, "images": len(images), "right": right}
        document |= {"accuracy": accuracy, "engine": engine, "isa": session.isa}
        document["agreement"] = [vars(agreement) for agreement in agreements]
        show_json(document)
    else:
        console.print(f"{name} {split}: {right}/{len(images)} right, accuracy {accuracy:.2f} % ({session.engine})")
        for agreement in agreements:
            console.print(f"{agreement} with the oracle")
    if not all(agreement.holds for agreement in agreements):
        raise typer.Exit(1)
