"""BinaryConnect: the order of its layers, and which weights training and evaluation use."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.nn import BinaryLayer, latent_weights
from binarynet.recipes.binaryconnect import BinaryConnectConvNet, BinaryConnectMlp
from tests.recipes.steps import two_steps


def mlp(**settings: object) -> BinaryConnectMlp:
    return BinaryConnectMlp(**{"data": "digits", "epochs": 2, "batch_size": 16, "width": 12, **settings})  # type: ignore[arg-type]


def test_the_mlp_is_linear_norm_relu_and_ends_with_a_norm() -> None:
    names = [name for name, _ in mlp(layers=2).model((1, 8, 8), 10).named_children()]
    assert names == ["flatten", "bytes", "linear1", "norm1", "relu1", "linear2", "norm2", "relu2", "classes", "logits"]


def test_the_convnet_pools_before_the_norm() -> None:
    recipe = BinaryConnectConvNet(data="cifar10", epochs=1, batch_size=2, filters=2, hidden=4)
    names = " ".join(name for name, _ in recipe.model((3, 32, 32), 10).named_children())
    assert names.startswith("bytes conv1 norm1 relu1 conv2 pool2 norm2 relu2 conv3 norm3")
    assert names.endswith("flatten linear7 norm7 relu7 linear8 norm8 relu8 classes logits")
    two_steps(recipe, (3, 32, 32))


@pytest.mark.parametrize(
    ("name", "weights"), [("binaryconnect-cifar10", 14_022_016), ("binaryconnect-svhn", 6_397_632)]
)
def test_the_number_of_weights_is_that_of_the_papers_networks(name: str, weights: int) -> None:
    with torch.device("meta"):
        model = recipes.get(name).model((3, 32, 32), 10)
    assert sum(weight.numel() for _, _, weight in latent_weights(model)) == weights


@pytest.mark.parametrize("kind", ["deterministic", "stochastic"])
def test_two_steps_move_every_parameter_and_keep_latent_weights_in_the_unit_range(kind: str) -> None:
    model = two_steps(mlp(weights=kind))
    assert all(weight.abs().max() <= 1 for _, _, weight in latent_weights(model))


def test_training_multiplies_with_plus_and_minus_one_of_which_stochastic_weights_draw_new_ones() -> None:
    images = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8)
    for kind, repeats in (("deterministic", True), ("stochastic", False)):
        model = mlp(weights=kind).model((1, 8, 8), 10)
        assert torch.equal(model(images), model(images)) is repeats
        layer = model.get_submodule("linear1")
        assert isinstance(layer, BinaryLayer)
        assert layer._quantized_weight().abs().unique().tolist() == [1.0]


@pytest.mark.parametrize("kind", ["binary", "real", "sampled"])
def test_evaluation_uses_the_weights_that_are_asked_for(kind: str) -> None:
    model = mlp(weights="stochastic", test_weights=kind).model((1, 8, 8), 10).eval()
    for _, layer, weight in latent_weights(model):
        used = layer.binary_weight
        if kind == "real":
            assert torch.equal(used, weight)
        else:
            assert used.abs().unique().tolist() == [1.0]
            assert torch.equal(used, torch.where(weight >= 0, 1.0, -1.0)) is (kind == "binary")
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(model(images), model(images))


def test_each_layer_of_a_sampled_network_has_its_own_draw() -> None:
    model = mlp(weights="stochastic", test_weights="sampled", layers=3).model((1, 8, 8), 10)
    second, third = model.get_submodule("linear2"), model.get_submodule("linear3")
    assert isinstance(second, BinaryLayer)
    assert isinstance(third, BinaryLayer)
    nn.init.zeros_(second.weight)
    nn.init.zeros_(third.weight)
    assert not torch.equal(second.binary_weight, third.binary_weight)


def test_the_rate_falls_from_start_to_end_in_equal_ratios() -> None:
    recipe = recipes.get("binaryconnect-mnist").with_settings({"epochs": "4", "width": "4"})
    optimizer, schedule = recipe.optimizer(recipe.model((1, 8, 8), 10))
    assert schedule is not None
    rates = []
    for _ in range(5):
        group = optimizer.param_groups[0]
        rates.append(group["lr"] / group["step_scale"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1e-3 * (3e-3) ** (k / 4) for k in range(5)])


def test_an_unknown_choice_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="test_weights=float: needs one of binary, real, sampled"):
        mlp().with_settings({"test_weights": "float"})
