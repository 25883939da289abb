"""The networks for ImageNet at their whole width: lowered at 224 × 224 pixels and held to torch, in one table.

    python benchmarks/imagenet.py [--only NAME] [--out FOLDER]

Weights are random, the norms' statistics settled. `lower` holds each step to torch's own numbers on an image: whole
numbers with ==, reals by their rounding; a network that does not hold ends this with exit code 1. The tests do the
same with narrow networks (tests/recipes/test_imagenet.py).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from binarynet import recipes
from binarynet.cli.printing import console, human_bytes
from binarynet.cli.table import Table
from binarynet.errors import LoweringError, run_script
from binarynet.format import from_bytes, to_bytes
from binarynet.lower import lower
from binarynet.recipes.imagenet import CLASSES
from binarynet.runtime import Session

NETS: tuple[tuple[str, dict[str, str]], ...] = (
    ("bwn-imagenet", {}),
    ("bwn-imagenet", {"network": "resnet18"}),
    ("xnornet-imagenet", {}),
    ("xnornet-imagenet", {"network": "resnet18"}),
    ("dorefa-imagenet", {}),
    ("qnn-imagenet", {}),
    ("qnn-imagenet", {"network": "googlenet"}),
    ("bireal-imagenet", {"depth": "34"}),
    ("reactnet-imagenet", {}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, help="where to keep the files, such as for binarynet bench model --layers")
    given = parser.parse_args()
    wanted = given.only
    shown, failed = Table("network", ">file", ">ops", ">seconds to lower", "compared", ">native, ms"), False
    for name, settings in (net for net in NETS if wanted in net[0]):
        torch.manual_seed(0)
        model = recipes.get(name).with_settings(settings).model((3, 224, 224), CLASSES)
        images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224), np.uint8))
        with torch.no_grad():
            model(images)
        said: list[str] = []
        start = time.perf_counter()
        title = " ".join([name, *(f"{key}={text}" for key, text in settings.items())])
        try:
            content = to_bytes(lower(model.eval(), (3, 224, 224), allow_real=True, images=images, say=said.append))
        except LoweringError as error:
            shown.add_row(title, "—", "—", "—", str(error), "—")
            failed = True
            continue
        seconds = time.perf_counter() - start
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
            (given.out / f"{'-'.join([name, *settings.values()])}.bnn").write_bytes(content)
        graph = from_bytes(content)
        session = Session(graph)
        codes = images.numpy()[:1]
        session.logits(codes)
        start = time.perf_counter()
        session.logits(codes)
        native = 1000 * (time.perf_counter() - start)
        proof = next(line for line in said if line.startswith("proved on"))
        shown.add_row(title, human_bytes(len(content)), str(len(graph.ops)), f"{seconds:.0f}", proof, f"{native:.1f}")
        console.print(f"{title}: {proof}", highlight=False)
    console.print(shown)
    sys.exit(failed)


if __name__ == "__main__":
    run_script(main)
