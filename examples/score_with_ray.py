"""Many images over a cluster by Ray Data: Parquet in, Parquet out, every row once.

    python examples/score_with_ray.py MODEL IMAGES.parquet OUT [--address auto] [--workers 2]

Each worker holds a `binarynet.scale.Scorer` with an engine of its own. A worker that dies is replaced, and what it
had begun is done again: Ray keeps the answers of a task only when all of it is done.

    python examples/score_with_ray.py --demo 1000000

makes so many digits, starts two workers on this machine, kills one of them on the way, and counts: rows lost, rows
twice, answers that differ from those of one process.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from binarynet.errors import run_script
from binarynet.scale import Scorer

BATCH = 4096  # rows


class Answers(Scorer):
    """A worker's: one core, one thread. ``told``: a folder where it notes each batch (for the demo)."""

    def __init__(self, model: str, column: str | None = None, told: str | None = None) -> None:
        super().__init__(model, column, threads=1)
        self._told = told and Path(told) / str(os.getpid())

    def __call__(self, table: pa.Table) -> pa.Table:
        answers = super().__call__(table)
        if self._told:
            with open(self._told, "ab") as file:
                file.write(b".")
        return answers


def score(model: str, images: str, out: str, workers: int, column: str | None = None, told: str | None = None) -> None:
    """Answer the rows of a Parquet file, or of a folder of them, with so many workers of the cluster that Ray is in."""
    import ray.data

    rows = ray.data.read_parquet(images)
    rows = rows.repartition(target_num_rows_per_block=4 * BATCH)  # small files would be one block, for one worker
    answers = rows.map_batches(
        Answers,
        fn_constructor_args=(model, column, told),
        batch_format="pyarrow",
        batch_size=BATCH,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    answers.write_parquet(out)


def make_digits(count: int, folder: Path) -> None:
    """So many rows of the test digits, with a number each, in files of 20,000."""
    import numpy as np

    from binarynet.data import load_split

    digits = load_split("digits", "test").images.reshape(-1, 64)
    kind = pa.schema([("id", pa.int64()), ("image", pa.binary(64))])
    folder.mkdir()
    for first in range(0, count, 20_000):
        numbers = np.arange(first, min(first + 20_000, count))
        buffers = [None, pa.py_buffer(digits[numbers % len(digits)].tobytes())]
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(64), len(numbers), buffers)
        pq.write_table(pa.table({"id": numbers, "image": column}, schema=kind), folder / f"{first:09}.parquet")


def counted(out: Path, count: int) -> tuple[int, int, int]:
    """Rows lost, rows twice, and answers that one process gives otherwise."""
    import numpy as np

    import binarynet
    from binarynet.data import load_split

    found = pq.read_table(out, columns=["id", "class"])
    numbers, classes = found.column("id").to_numpy(), found.column("class").to_numpy()
    times = np.bincount(numbers, minlength=count)
    expected = binarynet.load("digits").predict(load_split("digits", "test").images)
    wrong = int((classes != expected[numbers % len(expected)]).sum())
    return int((times == 0).sum()), int((times > 1).sum()), wrong


def demo(count: int, kill: bool) -> int:
    """Two workers, one of which is killed while it works."""
    import ray

    answered: list[int] = []
    stop = threading.Event()

    def killer(told: Path) -> None:
        """Kills one worker once both have answered, and a fifth is done."""
        while True:
            batches = {int(file.name): file.stat().st_size for file in told.iterdir()}
            if len(batches) == 2 and sum(batches.values()) * BATCH > count / 5:
                break
            if stop.wait(0.02):
                return
        os.kill(min(batches), signal.SIGKILL)
        answered.append(sum(batches.values()) * BATCH)

    ray.init(
        address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error"
    )  # two read and write
    with tempfile.TemporaryDirectory() as folder:
        images, out, told = (Path(folder) / name for name in ("images", "out", "told"))
        told.mkdir()
        make_digits(count, images)
        if kill:
            threading.Thread(target=killer, args=(told,), daemon=True).start()
        begin = time.monotonic()
        score("digits", str(images), str(out), workers=2, told=str(told))
        seconds = time.monotonic() - begin
        stop.set()
        lost, twice, wrong = counted(out, count)
        workers = len(list(told.iterdir()))
    ray.shutdown()
    fate = f"one of two workers killed when about {answered[0]:,} were answered" if answered else "no worker was killed"
    print(f"{count:,} images in {seconds:.0f} s, {fate}, {workers} in all: {lost} lost, {twice} twice, {wrong} wrong")
    return int(bool(lost or twice or wrong or (kill and not answered)))


def main() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", metavar="MODEL IMAGES.parquet OUT")
    parser.add_argument("--address", default=None, help="of a cluster; without it Ray starts one here")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--column", help="where the images are")
    parser.add_argument("--demo", type=int, metavar="IMAGES")
    parser.add_argument("--no-kill", action="store_true")
    options = parser.parse_args()
    if options.demo:
        return demo(options.demo, not options.no_kill)
    if len(options.paths) != 3:
        parser.error("MODEL, IMAGES.parquet and OUT, or --demo")
    import ray

    ray.init(address=options.address, logging_level="warning")
    score(*options.paths, workers=options.workers, column=options.column)
    return 0


if __name__ == "__main__":
    run_script(main)
