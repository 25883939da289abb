"""The ConvNet for few epochs: 8 bits read bytes, everything behind is ±1, and only ±1 take longer steps."""

import pytest
import torch

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.lower import lower
from binarynet.optim.latent import glorot_scale
from tests.recipes.steps import two_steps


def test_it_lowers_to_integers_whose_first_weights_have_eight_bits():
    recipe = recipes.get("quick-cifar10").with_settings({"filters": "4"})
    graph = lower(two_steps(recipe, (3, 32, 32)).eval(), (3, 32, 32))
    encodings = [op.weight_encoding for op in graph.ops if type(op).__name__ in ("Conv2d", "Linear")]
    assert encodings == ["i8"] + ["b1"] * 6
    assert {type(op).__name__ for op in graph.ops[:-1]} <= {
        "Input", "Conv2d", "Linear", "Threshold", "MaxPool2d", "Flatten",
    }  # fmt: skip


@pytest.mark.parametrize("filters", [4, 16, 128])
def test_every_weight_is_in_one_group_and_the_first_is_not_stretched(filters):
    recipe = recipes.get("quick-digits").with_settings({"filters": str(filters)})
    model = recipe.model((1, 8, 8), 10)
    optimizer, schedule = recipe.optimizer(model)
    found = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    for name, layer in model.named_children():
        if hasattr(layer, "weight_quantizer"):
            scale = 1 if name == "conv1" else glorot_scale(layer)
            assert found[layer.weight]["lr"] == pytest.approx(1e-3 * scale)
            assert found[layer.weight]["clip"] == 1
    assert schedule is not None
    assert schedule.lr_lambdas[0](recipe.epochs) == pytest.approx(0)


def test_images_that_are_too_small_are_refused():
    with torch.device("meta"), pytest.raises(RecipeError, match="4 × 4 pixels cannot be halved three times"):
        recipes.get("quick-digits").model((1, 4, 4), 10)
