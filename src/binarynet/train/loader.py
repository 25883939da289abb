"""Batches of uint8 images straight from memory: no worker processes, nothing done image by image.

Images that stay on disk (`binarynet.data.streamed`) are decoded by threads, `AHEAD` batches before they are needed.

The order of an epoch is a pure function of (seed, epoch), whatever the number of processes: N processes cut
the *global* batch in N equal parts, so that together they see at every step what one process sees alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from binarynet.data import Pictures, Split
from binarynet.errors import RecipeError, expect

Batch = tuple[Tensor, Tensor]
Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# What a stream of random numbers is for comes first in its seed, so that no two streams of a run are equal.
_ORDER, _AUGMENT, _TORCH = 1, 2, 3
AHEAD = 2  # batches that are decoded while another one is learnt


class TrainingBatches:
    """The batches of one epoch, in a new order each: set `epoch` (from 0), then iterate.

    split: the images to learn.
    batch_size: of all processes together; the images that do not fill a last batch are left out of that epoch
        (another epoch's order leaves out others), since BatchNorm should not see a batch of three.
    seed: of the order and of the augmentation.
    augment: changes the uint8 images (batch_size, c, h, w) of a global batch; its generator depends on
        (seed, epoch, step) alone. None leaves them as they are. Images on disk are cut as their `Crops` say instead,
        each by a generator of (seed, epoch, its row), and a process decodes its own alone.
    rank, world: which of how many processes this is.

    Yields (images, labels): (batch_size / world, c, h, w) uint8 and (batch_size / world,) int64.
    `RecipeError` where the batch size does not divide by the processes, or exceeds the images.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        seed: int,
        augment: Augment | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        expect("TrainingBatches: split", split, Split, 'a Split, such as binarynet.data.load("digits").train')
        expect("TrainingBatches: batch_size", batch_size, int, "a whole number")
        if batch_size < 1 or batch_size % world:
            raise RecipeError(
                f"batch_size={batch_size} does not divide into {world} equal parts, one for each process. "
                f"Choose a multiple of {world}, or another number of devices."
            )
        if batch_size > len(split):
            raise RecipeError(
                f"batch_size={batch_size} is more than the {len(split)} training images: no batch would be "
                "full. Choose a smaller one."
            )
        self.split, self.batch_size, self.seed, self.augment = split, batch_size, seed, augment
        self.epoch = 0
        part = batch_size // world
        self._mine = slice(rank * part, (rank + 1) * part)

    def __len__(self) -> int:
        return len(self.split) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        order = _generator(_ORDER, self.seed, epoch).permutation(len(self.split))
        if isinstance(self.split.images, Pictures):
            yield from self._streamed(self.split.images, order)
            return
        for step in range(len(self)):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            labels = self.split.labels[rows[self._mine]]
            if self.augment is None:
                images = self.split.images[rows[self._mine]]
            else:  # the whole global batch, as the draws for an image depend on its place in it
                generator = _generator(_AUGMENT, self.seed, epoch, step)
                images = self.augment(self.split.images[rows], generator)[self._mine]
            yield torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels)

    def _streamed(self, pictures: Pictures, order: np.ndarray) -> Iterator[Batch]:
        waiting: deque[tuple[np.ndarray, list[Future[Any]]]] = deque()
        pool = ThreadPoolExecutor(max(1, torch.get_num_threads()))
        try:
            for step in range(len(self)):
                rows = order[step * self.batch_size : (step + 1) * self.batch_size][self._mine]
                draws = [_generator(_AUGMENT, self.seed, self.epoch, int(row)) for row in rows]
                images = [pool.submit(pictures.training, int(row), draw) for row, draw in zip(rows, draws, strict=True)]
                waiting.append((rows, images))
                if len(waiting) > AHEAD:
                    yield self._arrived(*waiting.popleft())
            while waiting:
                yield self._arrived(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _arrived(self, rows: np.ndarray, images: list[Future[Any]]) -> Batch:
        decoded = np.stack([image.result() for image in images])  # n × (3, size, size) → (n, 3, size, size)
        return torch.from_numpy(decoded), torch.from_numpy(self.split.labels[rows])


class EvaluationBatches:
    """All images once, in order, in batches of at most `batch_size`; each of `world` processes takes a part.

    Yields (images, labels) as `TrainingBatches` does; the last batch may be smaller.
    """

    def __init__(self, split: Split, batch_size: int, *, rank: int = 0, world: int = 1) -> None:
        expect("EvaluationBatches: split", split, Split, 'a Split, such as binarynet.data.load("digits").test')
        self._begin, self._end = (len(split) * part // world for part in (rank, rank + 1))
        self.split, self.batch_size = split, batch_size

    def __len__(self) -> int:
        return -(-(self._end - self._begin) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(self._begin, self._end, self.batch_size):
            part = slice(start, min(start + self.batch_size, self._end))
            # Copies, because a tensor must not share memory with an array that may be read-only.
            yield torch.from_numpy(self.split.images[part].copy()), torch.from_numpy(self.split.labels[part].copy())


def torch_seed(seed: int, epoch: int, rank: int) -> int:
    """The seed of torch's global generator for an epoch: dropout and stochastic quantizers draw from it.

    So the random numbers of an epoch depend on nothing that came before, and a run that is resumed at the
    beginning of an epoch draws what an uninterrupted one draws, without a stored generator state.
    """
    return int(np.random.SeedSequence((_TORCH, seed, epoch, rank)).generate_state(1, np.uint64)[0])


def _generator(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
