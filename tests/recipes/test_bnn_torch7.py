"""The Torch7 variant of BNN: shift-based norms, random signs in training only, and a rate that is halved."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.nn import SteSign, StochasticSign, latent_weights
from binarynet.nn.papers.shift_norm import ShiftBatchNorm1d, ShiftBatchNorm2d
from binarynet.optim.shift_adamax import ShiftAdaMax
from binarynet.recipes.bnn_torch7 import BnnTorch7ConvNet, BnnTorch7Mlp
from tests.recipes.steps import two_steps


def mlp(**settings: object) -> BnnTorch7Mlp:
    return BnnTorch7Mlp(**{"data": "digits", "epochs": 2, "batch_size": 16, "width": 12, **settings})  # type: ignore[arg-type]


def test_hidden_norms_are_shift_based_and_that_of_the_answers_is_not() -> None:
    model = mlp(rounding="floor").model((1, 8, 8), 10)
    names = [name for name, _ in model.named_children()]
    assert names[:5] == ["flatten", "bytes", "linear1", "norm1", "sign1"]
    norms = [module for name, module in model.named_children() if name.startswith("norm")]
    assert len(norms) == 3
    assert all(isinstance(norm, ShiftBatchNorm1d) and norm.rounding == "floor" for norm in norms)
    assert isinstance(model.get_submodule("logits"), nn.BatchNorm1d)


def test_the_convnet_has_shift_based_norms_behind_its_pools() -> None:
    recipe = BnnTorch7ConvNet(data="cifar10", epochs=1, batch_size=2, filters=2, hidden=4)
    model = two_steps(recipe, (3, 32, 32))
    names = " ".join(name for name, _ in model.named_children())
    assert names.startswith("bytes conv1 norm1 sign1 conv2 pool2 norm2 sign2 conv3")
    assert isinstance(model.get_submodule("norm6"), ShiftBatchNorm2d)
    assert isinstance(model.get_submodule("norm8"), ShiftBatchNorm1d)


@pytest.mark.parametrize(
    ("name", "shape", "weights"),
    [
        ("bnn-torch7-mnist", (1, 28, 28), 10_014_720),
        ("bnn-torch7-cifar10", (3, 32, 32), 14_022_016),
        ("bnn-torch7-svhn", (3, 32, 32), 6_397_632),
    ],
)
def test_the_number_of_weights_is_that_of_the_papers_networks(
    name: str, shape: tuple[int, int, int], weights: int
) -> None:
    with torch.device("meta"):
        model = recipes.get(name).model(shape, 10)
    assert sum(weight.numel() for _, _, weight in latent_weights(model)) == weights


def test_weights_are_drawn_in_training_where_that_is_asked_for() -> None:
    for weights, drawn in (("deterministic", False), ("stochastic", True)):
        recipe = mlp(weights=weights, stochastic=False)
        model = recipe.model((1, 8, 8), 10)
        images = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8)
        assert torch.equal(model(images), model(images)) is not drawn
        assert (recipe.norm_batches() > 0) is drawn
        model.eval()
        assert torch.equal(model(images), model(images))


def test_signs_are_random_in_training_and_fixed_in_evaluation() -> None:
    model = mlp().model((1, 8, 8), 10)
    images = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))
    assert isinstance(model.get_submodule("sign1"), StochasticSign)
    assert type(mlp(stochastic=False).model((1, 8, 8), 10).get_submodule("sign1")) is SteSign


def test_two_steps_move_every_parameter_and_clip_only_latent_weights() -> None:
    recipe = mlp(lr_start=8.0)
    model = two_steps(recipe)
    assert all(weight.abs().max() <= 1 for _, _, weight in latent_weights(model))
    assert max(p.abs().max().item() for name, p in model.named_parameters() if "norm" in name) > 1


def test_the_rate_is_halved_in_equal_distances_and_the_scale_is_a_power_of_two() -> None:
    recipe = mlp(epochs=6, halvings=3, width=100)
    optimizer, schedule = recipe.optimizer(recipe.model((1, 28, 28), 10))
    assert isinstance(optimizer, ShiftAdaMax)
    assert schedule is not None
    rates = []
    for _ in range(5):
        group = optimizer.param_groups[0]
        rates.append(group["lr"] / group["step_scale"])
        optimizer.step()
        schedule.step()
    assert rates == [2**-6, 2**-6, 2**-7, 2**-7, 2**-8]
    # of 24.3, 11.5 and 8.6, and the rest
    assert [group["step_scale"] for group in optimizer.param_groups] == [32.0, 16.0, 8.0, 1.0]
    papers = [
        (r.epochs, r.halvings) for name in ("mnist", "cifar10", "svhn") if (r := recipes.get(f"bnn-torch7-{name}"))
    ]
    assert [epochs // halvings for epochs, halvings in papers] == [20, 50, 20]
    plain = recipes.get("bnn-torch7-mnist").with_settings({"width": "100"})
    groups = plain.optimizer(plain.model((1, 28, 28), 10))[0].param_groups
    assert groups[0]["step_scale"] == pytest.approx(((784 + 100) / 1.5) ** 0.5)
