"""Every paper, once: train each recipe small, lower it, run it, and print one table.

    python benchmarks/papers.py [--data digits,mnist] [--only NAME] [--jobs 2] [--out runs/papers]

The settings are those of a quick look (MNIST: 512 wide, 6 epochs; convolutional nets 3), not of the papers. Each recipe
gets one thread, and there are as many at a time as this process has cores: small nets use them better than one at a
time would. Columns: test error of the torch module; bytes of the file; images on which native equals oracle (integers
``==``; nets with real operands: same class), and on which torch predicts the class of the oracle.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import torch

from binarynet import recipes
from binarynet.cli.lower import write_model
from binarynet.cli.printing import console, human_bytes
from binarynet.cli.table import Table
from binarynet.data import DataSet, load
from binarynet.errors import LoweringError, run_script
from binarynet.format import load as load_graph
from binarynet.report import oracle_logits, with_native, with_torch
from binarynet.train import fit

LONGEST_FIRST = ("bireal", "bwn", "xnornet", "dorefa")  # or one of them is alone at the end


def quick(name: str) -> recipes.Recipe:
    """The recipe with quick settings on MNIST; LeNets and residual nets keep their own shape.

    Without dropout, as 512 binary units half of which are dropped have not learnt much after 6 epochs.
    """
    recipe = recipes.get(name)
    if recipe.data != "mnist":
        return recipe
    wanted = {"epochs": "6", "width": "512", "layers": "3", "dropout": "0", "input_dropout": "0"}
    if "filters" in recipe.settings():
        wanted = {"epochs": "3"}
    return recipe.with_settings({key: text for key, text in wanted.items() if key in recipe.settings()})


@cache
def data_set(name: str, folder: Path | None) -> DataSet:
    return load(name, folder)


def one(name: str, data_folder: Path | None, folder: Path) -> dict[str, Any]:
    """Train, lower, compare; the row of the table. Runs in a process of its own, with one thread."""
    torch.set_num_threads(1)
    recipe = quick(name)
    data = data_set(recipe.data, data_folder)
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    result = fit(recipe, data, folder, progress=False, threads=1)
    row: dict[str, Any] = {"recipe": name, "test_error": result.test_error, "seconds": time.perf_counter() - start}
    try:
        write_model(result.model, name, data.shape, data.classes, data.name, folder / "model.bnn")
    except LoweringError as error:
        return {**row, "note": str(error)}
    graph = load_graph(folder / "model.bnn")
    images = data.test.images
    oracle = oracle_logits(graph, images)
    native = next(with_native(graph, images, oracle))  # the best instruction set of this CPU
    row |= {"bytes": (folder / "model.bnn").stat().st_size, "compared": native.what}
    row |= {"native": native.equal, "torch": with_torch(result.model, images, oracle).equal, "images": len(images)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="digits,mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path("runs/papers"))
    arguments = parser.parse_args()
    begin = time.perf_counter()
    wanted = [name for name in recipes.names() if recipes.get(name).data in arguments.data.split(",")]
    wanted = [name for name in wanted if arguments.only in name]
    wanted.sort(key=lambda name: (recipes.get(name).data != "mnist", not name.startswith(LONGEST_FIRST)))
    for data in sorted({recipes.get(name).data for name in wanted}):
        data_set(data, arguments.data_dir)  # downloaded once, not by several processes at a time
    rows: list[dict[str, Any]] = []
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(one, name, arguments.data_dir, arguments.out / name) for name in wanted]
        for job in as_completed(jobs):
            row = job.result()
            rows.append(row)
            console.print(f"{row['recipe']}: {row['test_error']:.2f} %, {row['seconds']:.0f} s", highlight=False)
            (arguments.out / "papers.json").write_text(json.dumps(rows, indent=2))
    shown = Table("recipe", ">test error", ">file", ">native = oracle", ">torch = oracle", "")
    for row in sorted(rows, key=lambda row: (recipes.get(row["recipe"]).data, row["recipe"])):
        n = row.get("images")
        shown.add_row(
            row["recipe"],
            f"{row['test_error']:.2f} %",
            human_bytes(row["bytes"]) if n else "—",
            f"{row['native']}/{n} {row['compared']}" if n else "—",
            f"{row['torch']}/{n}" if n else "—",
            row.get("note", "").split(":")[0],
        )
    console.print(shown)
    minutes = (time.perf_counter() - begin) / 60
    console.print(f"torch {torch.__version__}, {arguments.jobs} jobs of 1 thread, {minutes:.1f} minutes", style="dim")


if __name__ == "__main__":
    run_script(main)
