"""How learning rates fall: geometrically, or as a cosine."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from binarynet.errors import InputError
from binarynet.nn import BinaryLinear
from binarynet.optim import cosine_decay, geometric_decay, glorot_scale, latent_optimizer


def made() -> Optimizer:
    return latent_optimizer(torch.optim.SGD, nn.Sequential(BinaryLinear(4, 4), nn.BatchNorm1d(4)), 1.0)


def rates(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def test_rate_goes_from_start_to_end_in_equal_ratios() -> None:
    optimizer = made()
    scheduler = geometric_decay(optimizer, 3e-3, 3e-7, epochs=1000)
    seen = []
    for _ in range(1000):
        seen.append(rates(optimizer)[1])
        optimizer.step()
        scheduler.step()
    assert seen[0] == 3e-3
    assert seen[500] == pytest.approx(3e-5)
    assert seen[999] == pytest.approx(3e-7 * 10 ** (4 / 1000))
    assert rates(optimizer)[1] == pytest.approx(3e-7)


def test_latent_groups_keep_their_step_scale_throughout() -> None:
    optimizer = made()
    scale = glorot_scale(BinaryLinear(4, 4))
    scheduler = geometric_decay(optimizer, 0.5, 0.1, epochs=2)
    for expected in (0.5, 0.05**0.5, 0.1):
        assert rates(optimizer) == pytest.approx([expected * scale, expected])
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("epochs", [1, 2])
def test_single_and_constant_schedules(epochs: int) -> None:
    optimizer = made()
    scheduler = geometric_decay(optimizer, 0.5, 0.5, epochs)
    optimizer.step()
    scheduler.step()
    assert rates(optimizer)[1] == 0.5


def test_schedule_resumes_bit_for_bit_from_its_state() -> None:
    optimizer = made()
    scheduler = geometric_decay(optimizer, 1e-2, 1e-5, epochs=7)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    again = made()
    resumed = geometric_decay(again, 1e-2, 1e-5, epochs=7)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for _ in range(4):
        assert rates(again) == rates(optimizer)
        for one, other in ((optimizer, scheduler), (again, resumed)):
            one.step()
            other.step()
    assert rates(again) == rates(optimizer)
    assert rates(again)[1] == pytest.approx(1e-5)


def test_a_second_schedule_starts_afresh() -> None:
    optimizer = made()
    geometric_decay(optimizer, 1.0, 0.1, epochs=2)
    geometric_decay(optimizer, 0.25, 0.1, epochs=2)
    assert rates(optimizer)[1] == 0.25
    assert optimizer.param_groups[1]["initial_lr"] == 0.25


@pytest.mark.parametrize(
    ("start", "end", "epochs"), [(0.0, 0.1, 3), (0.1, 0.0, 3), (0.1, -0.1, 3), (0.1, 0.01, 0), (float("nan"), 1.0, 1)]
)
def test_schedules_that_cannot_be_are_refused(start: float, end: float, epochs: int) -> None:
    with pytest.raises(InputError, match="geometric_decay"):
        geometric_decay(made(), start, end, epochs)


def test_a_cosine_keeps_the_ratio_of_the_groups_and_leaves_an_epoch_to_fall_in() -> None:
    optimizer = made()
    first = rates(optimizer)
    scheduler = cosine_decay(optimizer, epochs=4)
    for share in (1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5):
        assert rates(optimizer) == pytest.approx([share * rate for rate in first])
        optimizer.step()
        scheduler.step()
    assert rates(optimizer) == pytest.approx([0, 0], abs=1e-12)
    short = made()
    cosine_decay(short, epochs=1, warmup=5)
    assert rates(short) == first


@pytest.mark.parametrize(("epochs", "warmup"), [(0, 0), (-1, 0), (3, -1)])
def test_a_cosine_over_no_epochs_is_refused(epochs: int, warmup: int) -> None:
    with pytest.raises(InputError, match="epochs at least 1"):
        cosine_decay(made(), epochs, warmup)
