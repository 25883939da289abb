"""A training step of the papers' networks on a GPU: python train.py OUT.json [RECIPE …]

In float32, in bfloat16 by autocast, and both under torch.compile; images are random, so no data set is needed. The file
is written after every way, and what fails is named in it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from binarynet import recipes
from binarynet.atomic import write
from binarynet.errors import RuntimeUnavailable
from binarynet.gpu.bench import find_gpu
from binarynet.recipes import Recipe

SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32), "digits": (1, 8, 8)}
WAYS = {
    "float32": (False, False),
    "bfloat16": (True, False),
    "float32, compiled": (False, True),
    "bfloat16, compiled": (True, True),
}


def step_of(recipe: Recipe, device: torch.device, half: bool, compiled: bool) -> Callable[[], float]:
    """One step on a fixed batch as a function of nothing; it answers the loss."""
    torch.manual_seed(0)
    shape = SHAPES[recipe.data]
    model = recipe.model(shape, 10).to(device).train()
    optimizer, _ = recipe.optimizer(model)
    forward = torch.compile(model) if compiled else model
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (recipe.batch_size, *shape), dtype=np.uint8)).to(device)
    labels = torch.from_numpy(random.integers(0, 10, recipe.batch_size)).to(device)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            logits = forward(images)
        loss = recipe.loss(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return float(loss.detach())  # waits for the device

    return step


def measure(
    device: torch.device, names: list[str], out: Path, steps: int = 30, settings: dict[str, str] | None = None
) -> int:
    """How many ways failed. Each step ends with the loss on the host, as the loop of a run now and then does."""
    found: dict[str, Any] = {"torch": torch.__version__, "device": str(device), "rows": [], "failed": []}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
    for name in names:
        recipe = recipes.get(name).with_settings(settings or {})
        for way, (half, compiled) in WAYS.items():
            if compiled and device.type == "cpu":
                continue  # a CPU's compiler says nothing of a GPU's
            try:
                step = step_of(recipe, device, half, compiled)
                losses = [step() for _ in range(3)]  # compiles, chooses algorithms
                times = []
                for _ in range(steps):
                    start = time.perf_counter()
                    losses.append(step())
                    times.append(time.perf_counter() - start)
                low, median, high = (float(value) for value in np.quantile(times, [0.1, 0.5, 0.9]))
                row = {
                    "recipe": name,
                    "batch": recipe.batch_size,
                    "way": way,
                    "median": median,
                    "low": low,
                    "high": high,
                }
                found["rows"].append({**row, "first loss": losses[0], "last loss": losses[-1]})
            except Exception as error:  # whatever one way meets, the others are measured
                found["failed"].append({"what": f"{name}, {way}", "error": f"{type(error).__name__}: {error}"[:2000]})
            write(out, json.dumps(found, indent=1) + "\n")
    write(out.with_suffix(".md"), markdown(found) + "\n")
    return len(found["failed"])


def markdown(found: dict[str, Any]) -> str:
    lines = ["## Training steps", "", "| recipe | batch | way | ms | 10 % … 90 % |", "|---|---|---|---|---|"]
    for row in found["rows"]:
        low, median, high = (f"{1e3 * row[key]:.2f}" for key in ("low", "median", "high"))
        lines.append(f"| {row['recipe']} | {row['batch']} | {row['way']} | {median} | {low} … {high} |")
    return "\n".join([*lines, *(f"* {one['what']}: {one['error']}" for one in found["failed"])])


if __name__ == "__main__":
    target, *asked = sys.argv[1:]
    try:
        sys.exit(bool(measure(find_gpu(), asked or ["bnn-mnist", "bnn-cifar10"], Path(target))))
    except RuntimeUnavailable as error:
        sys.exit(print(error, file=sys.stderr) or 2)
