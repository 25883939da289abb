"""Bop's networks: ±1 in training, norms without scale, and a gamma that decays while Adam's rate stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.nn import latent_weights
from binarynet.recipes.bop import BopConvNet, BopMlp
from tests.recipes.steps import two_steps


def mlp(**settings: object) -> BopMlp:
    base: dict[str, object] = {"data": "digits", "epochs": 2, "batch_size": 16, "width": 12, "gamma": 0.1}
    return BopMlp(**{**base, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "shape"),
    [
        (mlp(), (1, 8, 8)),
        (BopConvNet(data="cifar10", epochs=1, batch_size=4, filters=2, hidden=8, gamma=0.1), (3, 32, 32)),
    ],
    ids=["mlp", "convnet"],
)
def test_weights_are_plus_or_minus_one_after_two_steps_that_moved_every_parameter(
    recipe: BopMlp | BopConvNet, shape: tuple[int, int, int]
) -> None:
    model = two_steps(recipe, shape)
    for _, _, weight in latent_weights(model):
        assert weight.abs().unique().tolist() == [1.0]


def test_norms_have_an_offset_and_no_scale() -> None:
    model = mlp().model((1, 8, 8), 10)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    assert len(norms) == 4
    assert all(norm.weight is None and norm.bias is not None for norm in norms)
    assert all(norm(torch.randn(5, norm.num_features)).isfinite().all() for norm in norms)


def test_the_number_of_weights_is_that_of_the_papers_network() -> None:
    with torch.device("meta"):
        model = recipes.get("bop-cifar10").model((3, 32, 32), 10)
    assert sum(weight.numel() for _, _, weight in latent_weights(model)) == 14_022_016


def test_gamma_decays_in_stairs_and_adams_rate_stays() -> None:
    recipe = mlp(gamma=1e-2, gamma_decay=0.1, stages=3, epochs=6)
    optimizer, schedule = recipe.optimizer(recipe.model((1, 8, 8), 10))
    assert schedule is not None
    seen = []
    for _ in range(5):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert [rest for rest, _ in seen] == [0.01] * 5
    assert [gamma for _, gamma in seen] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4])
