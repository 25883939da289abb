"""The order of the images: a function of seed and epoch, the same for any number of processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from binarynet.data import Split, pad_crop_flip
from binarynet.errors import RecipeError
from binarynet.train import EvaluationBatches, TrainingBatches
from binarynet.train.loader import torch_seed


def numbered(n: int) -> Split:
    """Images whose two pixels spell their index, labelled by it."""
    index = np.arange(n)
    return Split(np.stack([index % 256, index // 256], 1).astype(np.uint8).reshape(n, 1, 1, 2), index)


def labels(batches: TrainingBatches | EvaluationBatches) -> list[list[int]]:
    return [batch.tolist() for _, batch in batches]


@pytest.mark.parametrize(("n", "batch"), [(1, 1), (7, 7), (100, 10), (109, 10), (300, 299)])
def test_an_epoch_is_full_batches_of_different_images(n: int, batch: int) -> None:
    batches = TrainingBatches(numbered(n), batch, seed=0)
    epoch = labels(batches)
    assert len(batches) == len(epoch) == n // batch
    assert all(len(part) == batch for part in epoch)
    assert len({k for part in epoch for k in part}) == n // batch * batch


def test_images_keep_their_labels() -> None:
    for images, batch in TrainingBatches(numbered(600), 50, seed=3):
        assert images.dtype == torch.uint8
        assert images.shape == (50, 1, 1, 2)
        assert (images[:, 0, 0, 0].long() + 256 * images[:, 0, 0, 1].long()).equal(batch)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = TrainingBatches(numbered(100), 10, seed=seed)
        batches.epoch = epoch
        return labels(batches)

    used = TrainingBatches(numbered(100), 10, seed=1)
    for used.epoch in (5, 0, 2):
        assert labels(used) == order(1, used.epoch)
    orders = [order(seed, epoch) for seed in (0, 1, 2**32 - 1) for epoch in (0, 1, 2)]
    assert all(orders[i] != orders[j] for i in range(9) for j in range(i))


def test_images_that_fill_no_batch_are_others_in_every_epoch() -> None:
    batches = TrainingBatches(numbered(19), 10, seed=0)
    left_out = []
    for batches.epoch in range(5):
        left_out.append(frozenset(range(19)) - set(labels(batches)[0]))
    assert len(set(left_out)) == 5


@pytest.mark.parametrize("world", [2, 5, 10])
@pytest.mark.parametrize("augment", [None, lambda images, rng: pad_crop_flip(images, rng, pad=1)])
def test_processes_together_see_the_batch_of_one(world: int, augment: object) -> None:
    def batches(rank: int, world: int) -> TrainingBatches:
        return TrainingBatches(numbered(300), 10, seed=4, augment=augment, rank=rank, world=world)  # type: ignore[arg-type]

    one = list(batches(0, 1))
    parts = [list(batches(rank, world)) for rank in range(world)]
    for step, (images, target) in enumerate(one):
        assert torch.cat([part[step][0] for part in parts]).equal(images)
        assert torch.cat([part[step][1] for part in parts]).equal(target)


def test_augmentation_depends_on_seed_epoch_and_step_alone() -> None:
    draws: dict[tuple[int, int, int], int] = {}

    def epoch(seed: int, epoch: int) -> None:
        def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            key = seed, epoch, sum(k[:2] == (seed, epoch) for k in fresh)
            fresh[key] = int(rng.integers(2**60))
            return images

        fresh: dict[tuple[int, int, int], int] = {}
        batches = TrainingBatches(numbered(30), 10, seed=seed, augment=augment)
        batches.epoch = epoch
        assert len(list(batches)) == len(fresh) == 3
        assert all(draws.setdefault(key, value) == value for key, value in fresh.items())

    for args in [(0, 0), (0, 1), (1, 0), (0, 0), (1, 0)]:
        epoch(*args)
    assert len(set(draws.values())) == len(draws) == 9


def test_augmentation_may_return_a_view_with_negative_strides() -> None:
    batches = TrainingBatches(numbered(20), 10, seed=0, augment=lambda images, rng: images[:, :, :, ::-1])
    images, target = next(iter(batches))
    assert images[:, 0, 0, 1].long().equal(target)


def test_order_and_augmentation_draw_from_different_streams() -> None:
    """Numpy pads a short seed with zeros: without a tag in front, (seed, epoch) and (seed, epoch, step 0) are one."""
    drawn: list[list[int]] = []

    def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn.append(rng.permutation(10).tolist())
        return images

    batches = TrainingBatches(numbered(10), 10, seed=0, augment=augment)
    for batches.epoch in range(3):
        assert labels(batches)[0] != drawn[-1]


def test_every_seed_epoch_and_process_has_its_own_torch_seed() -> None:
    seeds = {torch_seed(seed, epoch, rank) for seed in range(5) for epoch in range(20) for rank in range(4)}
    assert len(seeds) == 400
    for seed in seeds:
        torch.manual_seed(seed)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("n", [3, 9, 10, 11, 20, 31])
def test_evaluation_sees_every_image_once_and_every_process_some(n: int, world: int) -> None:
    parts = [EvaluationBatches(numbered(n), 10, rank=rank, world=world) for rank in range(world)]
    seen = [k for part in parts for batch in labels(part) for k in batch]
    assert seen == list(range(n))
    for part in parts:
        sizes = [len(batch) for batch in labels(part)]
        assert len(part) == len(sizes) > 0
        assert max(sizes) <= 10


def test_read_only_images_are_no_trouble_and_stay_as_they_are() -> None:
    split = numbered(20)
    split.images.setflags(write=False)
    split.labels.setflags(write=False)
    for batches in (TrainingBatches(split, 5, seed=0), EvaluationBatches(split, 5)):
        for images, target in batches:
            images.zero_()
            target.zero_()
    assert split.images[:, 0, 0, 0].tolist() == split.labels.tolist() == list(range(20))


@pytest.mark.parametrize(("batch", "world", "message"), [(0, 1, "divide"), (10, 3, "divide"), (21, 1, "20 training")])
def test_a_batch_size_that_does_not_fit_is_refused(batch: int, world: int, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TrainingBatches(numbered(20), batch, seed=0, world=world)
