"""Write the papers' full-size networks with random weights, to be timed: speed does not depend on what was learnt.

python benchmarks/full_size.py [FOLDER]        # default runs/full-size: bnn-mnist.bnn, bnn-cifar10.bnn
binarynet bench runs/full-size/bnn-cifar10.bnn --batch 1,64 --every-isa
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from binarynet import recipes
from binarynet.errors import run_script
from binarynet.format import save
from binarynet.lower import lower

SHAPES = {"bnn-mnist": (1, 28, 28), "bnn-cifar10": (3, 32, 32)}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, shape in SHAPES.items():
        torch.manual_seed(0)
        model = recipes.get(name).model(shape, 10)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):  # both directions of thresholds
                nn.init.normal_(module.weight)
        save(lower(model, shape, {"recipe": name, "weights": "random"}), folder / f"{name}.bnn")
        print(folder / f"{name}.bnn", (folder / f"{name}.bnn").stat().st_size)


if __name__ == "__main__":
    run_script(lambda: main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/full-size")))
