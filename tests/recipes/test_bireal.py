"""Bi-Real Net: a shortcut around every binary convolution, and which of its layers are binary."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.nn import ApproxSign, BinaryLayer, latent_weights
from binarynet.nn.quantizers import MagnitudeAwareSign
from binarynet.recipes.bireal import BiReal, BiRealBlock
from tests.recipes.steps import two_steps


def small(**settings: object) -> BiReal:
    base: dict[str, object] = {"data": "digits", "epochs": 2, "batch_size": 16, "filters": 4, "stages": 2, "blocks": 2}
    return BiReal(**{**base, **settings})  # type: ignore[arg-type]


def test_a_block_adds_its_input_to_the_norm_of_a_binary_convolution() -> None:
    torch.manual_seed(0)
    block = BiRealBlock(3, 3, nn.Identity()).eval()
    x = torch.randn(2, 3, 5, 5)
    signs = torch.where(x >= 0, 1.0, -1.0)
    weight = block.conv.weight
    alpha = weight.abs().mean((1, 2, 3), keepdim=True)
    inside = nn.functional.conv2d(signs, torch.where(weight >= 0, alpha, -alpha), padding=1)
    torch.testing.assert_close(block(x), block.norm(inside) + x)


def test_gradients_pass_the_shortcut_of_every_block_unchanged() -> None:
    block = BiRealBlock(2, 2, nn.Identity())
    nn.init.zeros_(block.norm.weight)  # nothing comes through the convolution
    x = torch.randn(3, 2, 4, 4, requires_grad=True)
    g = torch.randn(3, 2, 4, 4)
    block(x).backward(g)
    torch.testing.assert_close(x.grad, g)


@pytest.mark.parametrize("ends", ["binary", "float"])
@pytest.mark.parametrize("stem_pool", [True, False])
def test_two_steps_move_every_parameter(stem_pool: bool, ends: str) -> None:
    two_steps(small(stem_pool=stem_pool, ends=ends))


def test_inner_convolutions_are_binary_with_magnitude_aware_weights_and_approximate_signs() -> None:
    model = small(ends="float").model((1, 8, 8), 10)
    assert [name for name, _, _ in latent_weights(model)] == [
        f"block{stage}_{block}.conv" for stage in (1, 2) for block in (1, 2)
    ]
    for _, layer, _ in latent_weights(model):
        assert isinstance(layer.weight_quantizer, MagnitudeAwareSign)
    blocks = [module for module in model.modules() if isinstance(module, BiRealBlock)]
    assert all(isinstance(block.sign, ApproxSign) for block in blocks)


def test_with_binary_ends_no_float_weights_are_left() -> None:
    model = small(ends="binary").model((1, 8, 8), 10)
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert len(layers) == 7  # stem, four blocks, one shortcut, classes
    assert all(isinstance(layer, BinaryLayer) and layer.weight_quantizer is not None for layer in layers)


def test_stages_halve_the_image_and_double_the_filters() -> None:
    model = small(stages=3, stem_pool=True).model((1, 32, 32), 10)
    shapes = []
    for name, module in model.named_children():
        if isinstance(module, BiRealBlock):
            module.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
        elif name == "pool":
            break
    model(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
    assert shapes == [(4, 16, 16)] * 2 + [(8, 8, 8)] * 2 + [(16, 4, 4)] * 2


def test_the_18_layers_have_16_binary_convolutions_with_a_shortcut_each() -> None:
    with torch.device("meta"):
        model = recipes.get("bireal-cifar10").model((3, 32, 32), 10)
    assert sum(isinstance(module, BiRealBlock) for module in model.modules()) == 16


def test_an_image_that_cannot_be_halved_so_often_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"halve an image 3 times, and 28x28 pixels cannot be"):
        small(stages=4).model((1, 28, 28), 10)
