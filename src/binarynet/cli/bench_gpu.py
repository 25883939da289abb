"""``binarynet bench gpu``: the papers' GPU experiment, on the GPU at hand."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from binarynet.atomic import write
from binarynet.cli.app import bench
from binarynet.cli.options import AsJson, numbers
from binarynet.cli.printing import console, show_json


@bench.command("gpu")
def gpu(
    sizes: Annotated[str, typer.Option(help="Sides of the square products.")] = "1024,2048,4096,8192,16384",
    batches: Annotated[str, typer.Option(help="Batch sizes of the networks.")] = "1,4,16,64,256,1024,4096",
    seconds: Annotated[float, typer.Option(help="Time for each measurement.")] = 0.2,
    out: Annotated[Path, typer.Option(help="Folder for DATE-GPU.json and .md.")] = Path("benchmarks/results"),
    as_json: AsJson = False,
) -> None:
    """Binary products and the papers' nets: xnor and tensor-core kernels, the naive kernel, cuBLAS, in one run."""
    from binarynet.bench import machine
    from binarynet.gpu.bench import find_gpu, markdown, measure, papers_networks

    device = find_gpu()
    found = measure(
        device, papers_networks(), numbers("sizes", sizes), batches=numbers("batches", batches), seconds=seconds
    )
    import torch
    import triton

    versions = {"torch": torch.__version__, "triton": triton.__version__}
    command = shlex.join(["binarynet", *sys.argv[1:]])
    document = {"command": command, "machine": {**machine(), **versions}, **found}
    out.mkdir(parents=True, exist_ok=True)
    name = found["chip"]["name"].lower().replace(" ", "-")
    target = out / f"{date.today().isoformat()}-{name}"
    write(target.with_name(f"{target.name}.json"), json.dumps(document, indent=1) + "\n")
    write(target.with_name(f"{target.name}.md"), markdown(document) + "\n")
    if as_json:
        show_json(document)
    else:
        console.print(markdown(document), markup=False, highlight=False)
        console.print(f"{target}.json, {target}.md", style="dim")
