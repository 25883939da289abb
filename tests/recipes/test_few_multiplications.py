"""Few multiplications: ±W0 of each layer, clips and starts, and which weights evaluation uses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.nn import BinaryLayer, latent_weights, squared_hinge
from binarynet.recipes.few_multiplications import FewMultiplicationsConvNet, FewMultiplicationsMlp
from tests.recipes.steps import two_steps


def mlp(**settings: object) -> FewMultiplicationsMlp:
    return FewMultiplicationsMlp(**{"data": "digits", "epochs": 2, "batch_size": 16, "width": 12, **settings})  # type: ignore[arg-type]


def limits(model: nn.Module) -> list[float]:
    return [layer.weight_quantizer.limit for _, layer, _ in latent_weights(model)]  # type: ignore[union-attr, misc]


def test_w0_is_half_of_glorots_range_and_latent_weights_start_in_all_of_it() -> None:
    model = mlp(width=500).model((1, 8, 8), 10)
    fans = [(64, 500), (500, 500), (500, 500), (500, 10)]
    assert limits(model) == pytest.approx([(6 / (a + b)) ** 0.5 / 2 for a, b in fans])
    for (_, _, weight), limit in zip(latent_weights(model), limits(model), strict=True):
        assert 1.9 * limit < weight.abs().max() <= 2 * limit


@pytest.mark.parametrize("kind", ["binary", "ternary"])
@pytest.mark.parametrize("quantized", [True, False])
def test_two_steps_move_every_parameter_and_clip_latent_weights_to_w0(quantized: bool, kind: str) -> None:
    model = two_steps(mlp(weights=kind, quantized_backprop=quantized))
    for (_, _, weight), limit in zip(latent_weights(model), limits(model), strict=True):
        assert weight.abs().max().item() == pytest.approx(limit)


@pytest.mark.parametrize(("kind", "values"), [("binary", [-1.0, 1.0]), ("ternary", [-1.0, 0.0, 1.0])])
@pytest.mark.parametrize("at_test", ["quantized", "real", "sampled"])
def test_evaluation_uses_the_weights_that_are_asked_for(at_test: str, kind: str, values: list[float]) -> None:
    model = mlp(weights=kind, test_weights=at_test).model((1, 8, 8), 10).eval()
    for _, layer, weight in latent_weights(model):
        assert isinstance(layer, BinaryLayer)
        quantizer = layer.weight_quantizer
        assert quantizer is not None
        numbers, scale = quantizer.integers(weight)
        assert torch.equal(layer.binary_weight, numbers * scale)
        if at_test == "real":
            assert torch.equal(numbers, weight)
        else:
            assert numbers.unique().tolist() == values
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(model(images), model(images))


def test_the_convnet_of_the_paper_ends_in_one_pixel() -> None:
    recipe = FewMultiplicationsConvNet(data="cifar10", epochs=1, batch_size=2, filters=2, hidden=4)
    model = two_steps(recipe, (3, 32, 32))
    names = " ".join(name for name, _ in model.named_children())
    assert names.startswith("bytes conv1 norm1 relu1 conv2 pool2 norm2 relu2 conv3")
    assert names.endswith("conv7 norm7 relu7 flatten linear8 norm8 relu8 classes logits")
    linear = model.get_submodule("linear8")
    assert isinstance(linear, nn.Linear)
    assert linear.in_features == 16  # 2 · 8 filters, 1 × 1


def test_the_loss_is_summed_over_the_classes() -> None:
    logits, target = torch.randn(6, 10), torch.arange(6)
    recipe = recipes.get("few-multiplications-mnist")
    torch.testing.assert_close(recipe.loss(logits, target), 10 * squared_hinge(logits, target))
