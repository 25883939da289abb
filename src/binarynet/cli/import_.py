"""``binarynet import``: a QONNX file of another program as a model, and the proof that it predicts the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from binarynet.cli import complete
from binarynet.cli.app import app
from binarynet.cli.images import split_of
from binarynet.cli.options import AsJson, DataDir, SplitName
from binarynet.cli.printing import console, human_bytes, show_json


@app.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX file with the quantizers of QONNX.")],
    out: Annotated[Path, typer.Option(help="The model file to write.", metavar="MODEL.bnn")],
    pixels: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="What the file's input is of a raw byte: byte/255, byte; or no byte but bipolar (±1) or real.",
            show_default="byte if the file says that its input is an unsigned integer, else byte/255",
        ),
    ] = None,
    allow_real: Annotated[
        bool, typer.Option("--allow-real", help="Let products read reals or hold real weights (float32).")
    ] = False,
    check: Annotated[
        str | None,
        typer.Option(
            help="Run the file in the qonnx package on this data set and compare.",
            metavar="DATASET",
            show_default="no comparison",
            autocompletion=complete.data_sets,
        ),
    ] = None,
    data_dir: DataDir = None,
    split: SplitName = "test",
    as_json: AsJson = False,
) -> None:
    """Read a QONNX file, such as Brevitas exports, into a model. With --check, exit code 1 if a class differs."""
    from binarynet.format import save
    from binarynet.importer import import_onnx

    said: list[str] = []
    graph = import_onnx(file, pixels, {"imported": file.name}, allow_real=allow_real, say=said.append)
    save(graph, out)
    agreement = _check(graph, file, pixels, check, split, data_dir) if check is not None else None
    if as_json:
        document: dict[str, Any] = {
            "file": str(out),
            "input": str(graph.input.encoding),
            "ops": len(graph.ops),
            "said": said,
        }
        show_json(document | ({"check": vars(agreement)} if agreement else {}))
    else:
        for line in said:
            console.print(line, highlight=False)
        console.print(f"{out}: {human_bytes(out.stat().st_size)}, {len(graph.ops)} ops", highlight=False)
        if agreement:
            console.print(f"{agreement} with the oracle")
    if agreement and not agreement.holds:
        raise typer.Exit(1)


def _check(graph: Any, file: Path, pixels: str | None, data: str, split: str, data_dir: Path | None) -> Any:
    """The classes of the file, run by the qonnx package, beside the oracle's."""
    from binarynet.export.qonnx import CHECKED, executed
    from binarynet.importer import shown
    from binarynet.report import Agreement, oracle_logits

    images = split_of(graph, data, split, data_dir).images[:CHECKED]
    found = executed(file, shown(file, images, pixels)).reshape(len(images), -1)
    expected = oracle_logits(graph, images).reshape(len(images), -1)
    equal = np.count_nonzero(found.argmax(axis=1) == expected.argmax(axis=1))
    return Agreement(f"{file.name} on {data} {split}", "predictions", int(equal), len(images))
