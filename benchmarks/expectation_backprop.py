"""Test errors of a net of expectation backpropagation in its three evaluations, and the sampled one as a file.

python benchmarks/expectation_backprop.py RUN [--networks 1,4,16] [--data-dir DIR] [--out FOLDER]

EBP-D is the most probable network, EBP-P the mean answer of all, S networks the mean answer of S that are drawn. The
weights are those of the run's best epoch, which its validation images chose; the test images choose nothing here.
Each ensemble is written as FOLDER/networks-S.bnn (default: the run) and answered by the engine: the error printed is
the file's.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from torch import nn

import binarynet
from binarynet.data import DataSet, load
from binarynet.errors import InputError, run_script
from binarynet.format import save
from binarynet.lower import lower
from binarynet.nn.papers.sampled_networks import sampled
from binarynet.recipes.expectation_backprop import ExpectationBackprop
from binarynet.train.evaluate import evaluate
from binarynet.train.load import load_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument(
        "--networks", type=_counts, default="1,4,16", help="how many are drawn: numbers from 1 on, by commas"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, help="where the files go (default: the run)")
    arguments = parser.parse_args()
    recipe, net = load_run(arguments.run)
    if not isinstance(recipe, ExpectationBackprop) or recipe.weights != "binary" or not isinstance(net, nn.Sequential):
        raise InputError(f"{arguments.run} is no run of expectation-backprop with binary weights")
    data = load(recipe.data, arguments.data_dir)
    for evaluation in ("ebp-d", "ebp-p"):
        answering = dataclasses.replace(recipe, evaluation=evaluation).model(data.shape, len(data.classes))
        answering.load_state_dict(net.state_dict())
        print(f"{evaluation:12} {evaluate(answering, data.test, recipe.loss).error:.2f} %", flush=True)
    folder = arguments.out or arguments.run
    folder.mkdir(parents=True, exist_ok=True)
    for count in arguments.networks:
        file = folder / f"networks-{count}.bnn"
        settings = {"recipe": "expectation-backprop", "networks": str(count), "seed": str(arguments.seed)}
        save(lower(sampled(net, count, arguments.seed), data.shape, settings), file)
        print(f"{count:>3} networks {_error(file, data):.2f} %  {file.stat().st_size:,} bytes  {file.name}", flush=True)


def _counts(text: str) -> list[int]:
    counts = [int(part) if part.isascii() and part.isdigit() else 0 for part in text.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give whole numbers from 1 on, separated by commas")
    return counts


def _error(file: Path, data: DataSet) -> float:
    """Of the file, on the whole test set, in percent."""
    session = binarynet.load(file)
    wrong = 0
    for start in range(0, len(data.test.images), 1000):
        images, labels = data.test.images[start : start + 1000], data.test.labels[start : start + 1000]
        wrong += int((session.predict(images) != labels).sum())
    return 100 * wrong / len(data.test.images)


if __name__ == "__main__":
    run_script(main)
