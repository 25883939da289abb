"""The training step against the plain way: two processes train in turn, on the same batches, from the same weights.

Each way has a process to itself, because what one does to the allocator and the threads is not to help the other.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
import torch

from binarynet.data import DataSet
from binarynet.errors import TrainingError
from binarynet.recipes import Recipe
from binarynet.train.loader import TrainingBatches
from binarynet.train.memory import keep_freed
from binarynet.train.plain import OUR_BYTES, PLAIN_BYTES, OurTraining, PlainTraining

Way = Literal["ours", "plain"]
_PRODUCTS = (
    "_Linear",
    "_LinearBackward",
    "_Conv2d",
    "_Conv2dBackward",
    "aten::mm",
    "aten::addmm",
    "aten::mkldnn_convolution",
    "aten::convolution_backward",
    "aten::mkldnn_convolution_backward",
)


@dataclass(frozen=True)
class WayTiming:
    """seconds: of each timed step; product_share: of the step's time in matrix products; losses: of every step.

    weight_bytes: that the passes over the weights, their gradients and Adam's state move in a step, counted from the
    code (`plain.PLAIN_BYTES`, `plain.OUR_BYTES`), not measured.
    """

    way: Way
    batch_size: int
    seconds: list[float]
    product_share: float
    weight_bytes: int
    losses: list[float]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))


def compare(recipe: Recipe, data: DataSet, *, steps: int, threads: int, turn: int = 5) -> dict[Way, WayTiming]:
    """`steps` training steps of both ways, `turn` of one and then of the other; the first turn is not timed."""
    ways: tuple[Way, Way] = ("ours", "plain")
    with _worker("ours", recipe, data, threads) as ours, _worker("plain", recipe, data, threads) as plain:
        seconds: dict[Way, list[float]] = {way: [] for way in ways}
        losses: dict[Way, list[float]] = {way: [] for way in ways}
        done = 0
        while done < steps:
            count = min(turn, steps - done)
            for way, worker in zip(ways, (ours, plain), strict=True):
                taken, found = _ask(worker, ("steps", count))
                losses[way] += found
                if done:
                    seconds[way] += taken
            done += count
        result: dict[Way, WayTiming] = {}
        for way, worker in zip(ways, (ours, plain), strict=True):
            share, weights = _ask(worker, ("profile", 2))
            moved = weights * (OUR_BYTES if way == "ours" else PLAIN_BYTES)
            result[way] = WayTiming(way, recipe.batch_size, seconds[way], share, moved, losses[way])
    return result


@contextmanager
def _worker(way: Way, recipe: Recipe, data: DataSet, threads: int) -> Iterator[Connection]:
    context = torch.multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, way, recipe, data, threads), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    except BaseException:
        process.terminate()
        raise
    finally:
        here.close()
        process.join(timeout=10)
        process.terminate()


def _ask(worker: Connection, question: tuple[str, int]) -> Any:
    worker.send(question)
    try:
        answer = worker.recv()
    except EOFError:
        raise TrainingError("a process that trained ended; what it wrote above says why.") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _serve(pipe: Connection, way: Way, recipe: Recipe, data: DataSet, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the process that asks, too, which ends this one
    torch.set_num_threads(threads)
    if way == "ours":
        keep_freed()
    torch.manual_seed(0)
    model = recipe.model(data.shape, len(data.classes)).train()
    weights = sum(parameter.numel() for parameter in model.parameters())
    try:
        training = (OurTraining if way == "ours" else PlainTraining)(recipe, model)
    except Exception as error:
        pipe.recv()
        pipe.send(error)
        return
    batches = _endless(recipe, data)
    torch.manual_seed(1)
    while True:
        try:
            what, count = pipe.recv()
        except EOFError:
            return
        if what == "steps":
            pipe.send(_steps(training, batches, count))
        else:
            with _silent(), torch.profiler.profile() as profile:
                _steps(training, batches, count)
            events = profile.key_averages()
            total = sum(event.self_cpu_time_total for event in events)
            pipe.send((sum(event.self_cpu_time_total for event in events if event.key in _PRODUCTS) / total, weights))


@contextmanager
def _silent() -> Iterator[None]:
    """The profiler announces itself on standard error, below Python."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _steps(
    training: OurTraining | PlainTraining, batches: Iterator[Any], count: int
) -> tuple[list[float], list[float]]:
    seconds, losses = [], []
    for _ in range(count):
        images, labels = next(batches)
        start = time.perf_counter()
        losses.append(training.step(images, labels).item())
        seconds.append(time.perf_counter() - start)
    return seconds, losses


def _endless(recipe: Recipe, data: DataSet) -> Iterator[Any]:
    batches = TrainingBatches(data.train, recipe.batch_size, seed=0)
    while True:
        yield from batches
        batches.epoch += 1
