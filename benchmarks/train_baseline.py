"""Trains a recipe in the plain way of the public BNN repositories, alone: python benchmarks/train_baseline.py bnn-mnist

`binarynet bench train` times it against the package's own step; here it can be profiled, or run on another machine.
"""

from __future__ import annotations

import argparse
import time

import torch

from binarynet import recipes
from binarynet.bench.train.plain import PlainTraining
from binarynet.data import load
from binarynet.errors import run_script
from binarynet.train.loader import TrainingBatches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default="bnn-mnist")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    recipe = recipes.get(arguments.recipe)
    data = load(recipe.data)
    torch.manual_seed(0)
    training = PlainTraining(recipe, recipe.model(data.shape, len(data.classes)).train())
    batches = iter(TrainingBatches(data.train, recipe.batch_size, seed=0))
    for step in range(1, arguments.steps + 1):
        images, labels = next(batches)
        start = time.perf_counter()
        loss = training.step(images, labels).item()
        print(f"step {step}: loss {loss:.4f}, {(time.perf_counter() - start) * 1e3:.0f} ms")


if __name__ == "__main__":
    run_script(main)
