"""The ConvNet for small chips: whole windows, images that are moved and never mirrored, exact when lowered."""

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.lower import lower
from tests.recipes.steps import two_steps


def test_it_lowers_to_integers_without_a_padded_window():
    recipe = recipes.get("small-chip-mnist").with_settings({"filters": "32,32,32", "epochs": "2"})
    model = two_steps(recipe, (1, 28, 28))
    graph = lower(model.eval(), (1, 28, 28))
    convs = [op for op in graph.ops if type(op).__name__ == "Conv2d"]
    assert [op.weight.shape[1:3] for op in convs] == [(5, 5), (3, 3), (3, 3)]
    assert all(op.padding == ((0, 0), (0, 0)) for op in convs)
    assert all(op.weight_encoding == "b1" for op in convs)


def test_images_are_moved_and_not_mirrored():
    recipe = recipes.get("small-chip-mnist")
    image = np.zeros((200, 1, 28, 28), np.uint8)
    image[:, :, 10, 10:14] = (1, 2, 3, 4)
    moved = recipe.augment(image, np.random.default_rng(0))
    rows, columns = np.nonzero((moved == 1).any((0, 1)))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 12, 8, 12)
    assert all((one[0] == 1).argmax(axis=None) + 3 == (one[0] == 4).argmax(axis=None) for one in moved)
    still = recipe.with_settings({"moved": "0"})
    assert still.augment(image, np.random.default_rng(0)) is image


def test_images_that_are_too_small_are_refused():
    with torch.device("meta"), pytest.raises(RecipeError, match="8 × 8 pixels are too small"):
        recipes.get("small-chip-mnist").model((1, 8, 8), 10)
