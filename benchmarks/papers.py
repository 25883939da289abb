"""Every paper, once: train each recipe small, lower it, run it, and print one table.

    python benchmarks/papers.py [--data digits,mnist] [--only NAME] [--out runs/papers]

The settings are those of a quick look (MNIST: 512 wide, at most 6 epochs), not of the papers. A recipe that says that
it does not lower has no file and no engines to compare. Columns: test error of the torch module; bytes of the file;
images on which native equals oracle (integers ``==``; nets with real operands: same class) and torch predicts alike.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from binarynet import recipes
from binarynet.cli.app import console, human_bytes, table
from binarynet.cli.train import write_model
from binarynet.data import DataSet, load
from binarynet.errors import LoweringError
from binarynet.format import load as load_graph
from binarynet.report import oracle_logits, with_native, with_torch
from binarynet.train import fit

QUICK = {"digits": {}, "mnist": {"epochs": "6", "width": "512", "layers": "3"}}


def quick(name: str) -> recipes.Recipe:
    """The recipe with those of the quick settings that it has; LeNets and residual nets keep their own shape."""
    recipe = recipes.get(name)
    wanted = dict(QUICK[recipe.data])
    if not {"width", "layers"} <= set(recipe.settings()) or "network" in recipe.settings():
        wanted = {key: text for key, text in wanted.items() if key == "epochs"}
    if "epochs" in wanted:
        wanted["epochs"] = str(min(int(wanted["epochs"]), recipe.epochs))
    return recipe.with_settings(wanted)


def one(name: str, data: DataSet, folder: Path) -> dict[str, Any]:
    """Train, lower, compare; the row of the table."""
    recipe = quick(name)
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    result = fit(recipe, data, folder, progress=False)
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
    parser.add_argument("--out", type=Path, default=Path("runs/papers"))
    arguments = parser.parse_args()
    rows = []
    for data_name in arguments.data.split(","):
        data = load(data_name, arguments.data_dir)
        for name in recipes.names():
            if recipes.get(name).data != data_name or arguments.only not in name:
                continue
            row = one(name, data, arguments.out / name)
            rows.append(row)
            console.print(f"{name}: {row['test_error']:.2f} %, {row['seconds']:.0f} s", highlight=False)
            (arguments.out / "papers.json").write_text(json.dumps(rows, indent=2))
    shown = table("recipe", ">test error", ">file", ">native = oracle", ">torch = oracle", "")
    for row in rows:
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
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", style="dim")


if __name__ == "__main__":
    main()
