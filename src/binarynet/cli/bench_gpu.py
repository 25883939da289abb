"""``binarynet bench gpu``: the papers' GPU experiment, on the GPU at hand."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from binarynet.atomic import write
from binarynet.cli.app import bench
from binarynet.cli.options import AsJson, numbers
from binarynet.cli.printing import console, show_json
from binarynet.errors import InputError

NONE = "none"


@bench.command("gpu")
def gpu(
    sizes: Annotated[str, typer.Option(help="Sides of the square products, or none.")] = "1024,2048,4096,8192,16384",
    rows: Annotated[str, typer.Option(help="Rows of the products with an 8192² matrix, or none.")] = "1,2,4,8,16",
    networks: Annotated[str, typer.Option(help="Which of mlp,convnet, or none.")] = "mlp,convnet",
    batches: Annotated[str, typer.Option(help="Batch sizes of the networks.")] = "1,4,16,64,256,1024,4096",
    only: Annotated[str, typer.Option(help="Kernels and engines whose name holds one of these texts.")] = "",
    skip_naive_above: Annotated[int, typer.Option(help="Largest side for the papers' baseline kernels.")] = 8192,
    replay: Annotated[bool, typer.Option(help="Run few rows and small batches as CUDA graphs.")] = True,
    seconds: Annotated[float, typer.Option(help="Time for each measurement.")] = 0.2,
    out: Annotated[Path, typer.Option(help="Folder for DATE-GPU.json and .md.")] = Path("benchmarks/results"),
    as_json: AsJson = False,
) -> None:
    """Binary products and the papers' nets: our kernels, the papers' baseline, cuBLAS, in one run.

    Both files are written anew after every size. What fails is named in them, the rest goes on, and the exit code is 1.
    """
    from binarynet.bench import machine
    from binarynet.gpu.bench import Plan, find_gpu, markdown, measure, papers_networks

    plan = Plan(seconds, tuple(text.strip() for text in only.split(",") if text.strip()), skip_naive_above, replay)
    asked = _numbers("sizes", sizes), _numbers("rows", rows), numbers("batches", batches)
    names = _names(networks)
    device = find_gpu()
    import torch
    import triton

    setting = {
        "command": shlex.join(["binarynet", *sys.argv[1:]]),
        "machine": {**machine(), "torch": torch.__version__, "triton": triton.__version__},
    }
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def save(found: dict[str, Any]) -> None:
        name = found["chip"]["name"].lower().replace(" ", "-")
        target = out / f"{date.today().isoformat()}-{name}"
        document = {**setting, **found}
        written[:] = [target.with_name(f"{target.name}{ending}") for ending in (".json", ".md")]
        write(written[0], json.dumps(document, indent=1) + "\n")
        write(written[1], markdown(document) + "\n")

    graphs = papers_networks(which=names)
    found = measure(device, graphs, asked[0], asked[1], batches=asked[2], plan=plan, save=save)
    save(found)
    document = {**setting, **found}
    if as_json:
        show_json(document)
    else:
        console.print(markdown(document), markup=False, highlight=False)
        console.print(", ".join(map(str, written)), style="dim")
    if document["failed"]:
        raise typer.Exit(1)


def _numbers(option: str, text: str) -> list[int]:
    return [] if text.strip() == NONE else numbers(option, text)


def _names(text: str) -> tuple[str, ...]:
    from binarynet.gpu.bench import NETWORKS

    names = () if text.strip() == NONE else tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in NETWORKS:
            raise InputError(f"--networks {text}: there are {', '.join(NETWORKS)}, or {NONE}")
    return names
