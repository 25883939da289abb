"""How long a folder of small pictures takes to read, in how much memory, and how fast training goes on from it.

    python benchmarks/pictures.py [--count 50000] [--steps 200]

Draws the pictures into a folder that is taken away at the end. Peak memory is that of the process above what it held
before reading, by the kernel's count (VmHWM). Steps of training on what was read and on the same images as plain arrays
take turns, twenty at a time; the ratio of the medians is what counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from binarynet import recipes
from binarynet.bench import machine
from binarynet.data import DataSet, Split
from binarynet.errors import run_script
from binarynet.train import TrainingBatches

SIDE, CLASSES = 32, 10


def write(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for name in range(CLASSES):
        (folder / str(name)).mkdir()
    for number in range(count):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / str(number % CLASSES) / f"{number}.png", compress_level=1)


def status(field: str) -> int:
    """Bytes of a field of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def step_seconds(splits: dict[str, Split], steps: int) -> dict[str, float]:
    import torch

    recipe = recipes.get("bnn-cifar10").with_settings({"width_multiplier": "0.125"})
    torch.manual_seed(0)
    model = recipe.model((3, SIDE, SIDE), CLASSES)
    optimizer, _ = recipe.optimizer(model)
    batches = {name: iter(TrainingBatches(split, recipe.batch_size, seed=0)) for name, split in splits.items()}
    times: dict[str, list[float]] = {name: [] for name in splits}
    for number in range(steps):
        name = list(splits)[number // 20 % len(splits)]
        start = time.perf_counter()
        images, labels = next(batches[name])
        recipe.loss(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        times[name].append(time.perf_counter() - start)
    return {name: median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--steps", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, asked.count)
        first = next((folder / "0").iterdir())
        with Image.open(first) as picture:
            picture.load()  # what Pillow holds is no part of the set
        before, start = status("VmRSS"), time.perf_counter()
        Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
        data = DataSet.from_folder(folder, progress=True)
        seconds, peak = time.perf_counter() - start, status("VmHWM") - before
    pixels = sum(part.images.nbytes for part in (data.train, data.validation, data.test))
    print(f"{asked.count:,} pictures of 3 × {SIDE} × {SIDE} in {seconds:.1f} s, {asked.count / seconds:,.0f} a second")
    print(f"peak {peak / 1e6:.0f} MB for {pixels / 1e6:.0f} MB of pixels: {peak / pixels:.2f} ×")
    arrays = Split(np.array(data.train.images), np.array(data.train.labels))
    found = step_seconds({"folder": data.train, "arrays": arrays}, asked.steps)
    print(f"a step from the folder takes {found['folder'] / found['arrays']:.3f} × one from arrays")
    print(", ".join(f"{key} {text}" for key, text in machine().items()))


if __name__ == "__main__":
    run_script(main)
