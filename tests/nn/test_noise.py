"""Gaussian noise in training."""

from __future__ import annotations

import pytest
import torch

from binarynet.errors import InputError
from binarynet.nn import GaussianNoise


def test_training_adds_independent_draws_of_that_deviation_and_passes_the_gradient() -> None:
    torch.manual_seed(0)
    x = torch.full((200, 300), 4.0, requires_grad=True)
    noise = GaussianNoise(0.5)
    y = noise(x)
    draws = (y - x).detach()
    assert abs(draws.mean().item()) < 0.01
    assert abs(draws.std().item() - 0.5) < 0.01
    assert abs(torch.corrcoef(torch.stack([draws[:, :-1].flatten(), draws[:, 1:].flatten()]))[0, 1]) < 0.02
    assert not torch.equal(noise(x), y)
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))  # type: ignore[arg-type]


def test_evaluation_and_a_deviation_of_zero_leave_x_alone_and_draw_nothing() -> None:
    x = torch.randn(5, 6)
    state = torch.get_rng_state()
    assert torch.equal(GaussianNoise(3.0).eval()(x), x)
    assert torch.equal(GaussianNoise(0.0)(x), x)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("std", [-0.1, float("nan"), float("inf")])
def test_a_deviation_that_is_none_is_refused(std: float) -> None:
    with pytest.raises(InputError, match="std="):
        GaussianNoise(std)
    noise = GaussianNoise(1.0)
    with pytest.raises(InputError, match="std="):
        noise.std = std
    assert noise.std == 1.0
