"""The training step against the plain way: two processes train in turn, on the same batches, from the same weights.

Each way has a process to itself, because what one does to the allocator and the threads is not to help the other.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from binarynet.bench.train.plain import OUR_BYTES, PLAIN_BYTES, OurTraining, PlainTraining, TorchTraining
from binarynet.data import DataSet
from binarynet.errors import InputError, TrainingError
from binarynet.nn import native
from binarynet.nn.fused import record
from binarynet.recipes import Recipe
from binarynet.train.loader import TrainingBatches
from binarynet.train.memory import keep_freed, peak_resident, resident

Way = Literal["ours", "plain"]
_Training = OurTraining | PlainTraining | TorchTraining
_PRODUCTS = (
    "_Linear",
    "_LinearBackward",
    "_Conv2d",
    "_Conv2dBackward",
    "_Product",
    "_ProductBackward",
    "aten::mm",
    "aten::addmm",
    "aten::mkldnn_convolution",
    "aten::convolution_backward",
    "aten::mkldnn_convolution_backward",
)


@dataclass(frozen=True)
class WayTiming:
    """seconds: of each timed step, by `record.clock`; product_share: of the step's time in matrix products.

    losses: of every step.
    weight_bytes: that the passes over the weights, their gradients and Adam's state move in a step, counted from the
    code (`plain.PLAIN_BYTES`, `plain.OUR_BYTES`), not measured; 0 where nobody has counted.
    peak_bytes: of memory, above what the process held before there was a network; 0 where the system does not say.
    rule: "plain", or "torch" where the plain way is our network with everything left to torch.
    layers: what ran each product, the fastest of some steps.
    """

    way: Way
    rule: str
    batch_size: int
    seconds: list[float]
    product_share: float
    weight_bytes: int
    peak_bytes: int
    losses: list[float]
    layers: list[record.Ran]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))


def compare(
    recipe: Recipe, data: DataSet, *, steps: int, threads: int, turn: int = 5, gradients: str | None = None
) -> dict[Way, WayTiming]:
    """`steps` training steps of both ways, `turn` of one and then of the other; the first turn is not timed.

    gradients: how they enter our products, one of `nn.native.GRADIENTS`; None: as the environment says.
    """
    ways: tuple[Way, Way] = ("ours", "plain")
    setting = recipe, data, threads, gradients
    with _worker("ours", *setting) as ours, _worker("plain", *setting) as plain:
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
            rule, peak = _ask(worker, ("memory", 0))
            share, weights = _ask(worker, ("profile", 2))
            moved = weights * {"ours": OUR_BYTES, "plain": PLAIN_BYTES, "torch": 0}[rule]
            layers = _ask(worker, ("layers", 3)) if way == "ours" else []
            result[way] = WayTiming(way, rule, recipe.batch_size, seconds[way], share, moved, peak, losses[way], layers)
    return result


@contextmanager
def _worker(way: Way, recipe: Recipe, data: DataSet, threads: int, gradients: str | None) -> Iterator[Connection]:
    context = torch.multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, way, recipe, data, threads, gradients), daemon=True)
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


def _serve(pipe: Connection, way: Way, recipe: Recipe, data: DataSet, threads: int, gradients: str | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the process that asks, too, which ends this one
    torch.set_num_threads(threads)
    if way == "ours":
        keep_freed()
    torch.manual_seed(0)
    before = resident()
    with native.rounded_as(gradients):
        model = recipe.model(data.shape, len(data.classes)).train()
        weights = sum(parameter.numel() for parameter in model.parameters())
        try:
            training: _Training = OurTraining(recipe, model) if way == "ours" else _plain(recipe, model)
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
            elif what == "memory":
                pipe.send((training.name, max(0, peak_resident() - before)))
            elif what == "layers":
                pipe.send(_layers(training, batches, count))
            else:
                with _silent(), torch.profiler.profile() as profile:
                    _steps(training, batches, count)
                events = profile.key_averages()
                total = sum(event.self_cpu_time_total for event in events)
                products = sum(event.self_cpu_time_total for event in events if event.key in _PRODUCTS)
                pipe.send((products / total, weights))


def _plain(recipe: Recipe, model: nn.Module) -> _Training:
    try:
        return PlainTraining(recipe, model)
    except InputError:  # a network that nobody has written out in the plain way
        return TorchTraining(recipe, model)


def _layers(training: _Training, batches: Iterator[Any], count: int) -> list[record.Ran]:
    """What ran each product of a step, with the fastest of `count` times."""
    found: dict[tuple[str, str], record.Ran] = {}
    for _ in range(count):
        with record.recorded(training.model) as ran:
            _steps(training, batches, 1)
        for one in ran:
            place = one.layer, one.product
            if place not in found or one.seconds < found[place].seconds:
                found[place] = one
    return list(found.values())


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


def _steps(training: _Training, batches: Iterator[Any], count: int) -> tuple[list[float], list[float]]:
    seconds, losses = [], []
    for _ in range(count):
        images, labels = next(batches)
        start = record.clock()
        losses.append(training.step(images, labels).item())
        seconds.append(record.clock() - start)
    return seconds, losses


def _endless(recipe: Recipe, data: DataSet) -> Iterator[Any]:
    batches = TrainingBatches(data.train, recipe.batch_size, seed=0)
    while True:
        yield from batches
        batches.epoch += 1
