"""The float baseline: nothing binary in it, a margin on the last layer, a rate that falls to 0."""

from __future__ import annotations

import pytest
import torch

from binarynet import recipes
from binarynet.nn import latent_weights
from binarynet.recipes.l2svm import L2SvmConvNet, L2SvmMlp
from tests.recipes.steps import two_steps

SMALL = {"epochs": 4, "batch_size": 16}


@pytest.mark.parametrize(
    ("recipe", "shape"),
    [
        (L2SvmMlp(data="digits", width=12, **SMALL), (1, 8, 8)),  # type: ignore[arg-type]
        (L2SvmConvNet(data="cifar10", filters=2, hidden=12, **SMALL), (3, 32, 32)),  # type: ignore[arg-type]
    ],
    ids=["mlp", "convnet"],
)
def test_two_steps_move_every_parameter_and_none_is_a_latent_weight(
    recipe: L2SvmMlp | L2SvmConvNet, shape: tuple[int, int, int]
) -> None:
    model = two_steps(recipe, shape)
    assert list(latent_weights(model)) == []


def test_inputs_are_in_the_unit_range() -> None:
    model = recipes.get("l2svm-mnist").model((1, 28, 28), 10)
    ends = model.get_submodule("bytes")(torch.tensor([0, 255], dtype=torch.uint8))
    torch.testing.assert_close(ends, torch.tensor([-1.0, 1.0]))


def test_only_the_last_layer_pays_for_its_weights() -> None:
    recipe = recipes.get("l2svm-digits").with_settings({"penalty": "0.25"})
    model = recipe.model((1, 8, 8), 10)
    optimizer, _ = recipe.optimizer(model)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name for name, p in model.named_parameters() if decays[id(p)]} == {"classes.weight"}
    assert set(decays.values()) == {0, 0.25}
    assert len(decays) == len(list(model.parameters()))


def test_the_rate_falls_linearly_to_zero() -> None:
    recipe = L2SvmMlp(data="digits", width=4, lr_start=0.5, **SMALL)  # type: ignore[arg-type]
    optimizer, schedule = recipe.optimizer(recipe.model((1, 8, 8), 10))
    assert schedule is not None
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0])
