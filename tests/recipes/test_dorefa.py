"""DoReFa-Net: which layer has how many bits, where gradients are quantized, and settings that are refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.nn import BinaryLayer
from binarynet.nn.papers.gradient import GradientQuantizer
from binarynet.nn.quantizers import DorefaActivation, DorefaWeight
from binarynet.recipes.dorefa import DorefaConvNet, DorefaMlp
from tests.recipes.steps import two_steps


def mlp(**settings: object) -> DorefaMlp:
    base: dict[str, object] = {"data": "digits", "epochs": 2, "batch_size": 8, "width": 16, "layers": 2}
    return DorefaMlp(**{**base, **settings})  # type: ignore[arg-type]


def convnet(**settings: object) -> DorefaConvNet:
    base: dict[str, object] = {"data": "svhn", "epochs": 2, "batch_size": 8, "filters": 6}
    return DorefaConvNet(**{**base, **settings})  # type: ignore[arg-type]


def described(model: nn.Module) -> str:
    """The layers in order, with their bits."""
    words = []
    for name, module in model.named_children():
        if isinstance(module, BinaryLayer):
            name += f"/{module.weight_quantizer.bits}" if module.weight_quantizer is not None else ""
        elif isinstance(module, DorefaActivation | GradientQuantizer):
            name += f"/{module.bits}"
        words.append(name)
    return " ".join(words)


def test_mlp_is_quantized_from_end_to_end_but_for_the_gradient_of_the_ends() -> None:
    assert described(mlp(weight_bits=3).model((1, 8, 8), 10)) == (
        "flatten bytes linear1/3 norm1 activation1/2 linear2/3 gradient2/4 norm2 activation2/2 classes/3"
    )


def test_float_ends_keep_their_weights_and_the_last_activation_is_clipped_only() -> None:
    model = mlp(ends="float").model((1, 8, 8), 10)
    assert described(model) == (
        "flatten bytes linear1 norm1 activation1/2 linear2/1 gradient2/4 norm2 activation2 classes"
    )
    assert isinstance(model.activation2, nn.Hardtanh)
    assert (model.activation2.min_val, model.activation2.max_val) == (0, 1)


def test_32_bits_mean_float() -> None:
    model = mlp(weight_bits=32, activation_bits=32, gradient_bits=32).model((1, 8, 8), 10)
    assert not [m for m in model.modules() if isinstance(m, BinaryLayer | DorefaActivation | GradientQuantizer)]
    assert isinstance(model.activation1, nn.ReLU)


def test_convnet_is_the_papers() -> None:
    with torch.device("meta"):
        model = recipes.get("dorefa-svhn").model((3, 32, 32), 10)
    assert described(model) == (
        "bytes conv1 pool1 activation1/2 conv2/1 gradient2/4 norm2 activation2/2 "
        "conv3/1 gradient3/4 norm3 pool3 activation3/2 conv4/1 gradient4/4 norm4 activation4/2 "
        "conv5/1 gradient5/4 norm5 activation5/2 conv6/1 gradient6/4 norm6 activation6/2 "
        "drop conv7/1 gradient7/4 norm7 activation7 flatten classes"
    )
    filters = [module.out_channels for module in model.children() if isinstance(module, nn.Conv2d)]
    assert filters == [48, 64, 64, 128, 128, 128, 512]
    assert model.classes.in_features == 512


@pytest.mark.parametrize("bits", [(1, 1, 1), (1, 2, 4), (8, 8, 8), (2, 32, 6), (32, 3, 32), (32, 32, 32)])
@pytest.mark.parametrize("ends", ["float", "quantized"])
def test_every_choice_of_bits_trains(bits: tuple[int, int, int], ends: str) -> None:
    w, a, g = bits
    two_steps(mlp(weight_bits=w, activation_bits=a, gradient_bits=g, ends=ends))


@pytest.mark.parametrize("ends", ["float", "quantized"])
def test_convnet_trains(ends: str) -> None:
    two_steps(convnet(ends=ends), (3, 32, 32))


def test_hidden_weights_are_dorefas() -> None:
    model = mlp(weight_bits=1).model((1, 8, 8), 10)
    assert isinstance(model.linear2.weight_quantizer, DorefaWeight)
    assert model.linear2.weight.abs().max() <= (6 / 16) ** 0.5


@pytest.mark.parametrize("setting", ["weight_bits=0", "activation_bits=9", "gradient_bits=16", "weight_bits=-1"])
def test_other_numbers_of_bits_are_refused(setting: str) -> None:
    name, value = setting.split("=")
    with pytest.raises(RecipeError, match=f"{setting}: needs 1 to 8, or 32 for float"):
        recipes.get("dorefa-mnist").with_settings({name: value})


@pytest.mark.parametrize(("halvings", "rates"), [(1, [8, 8, 4, 4]), (3, [8, 4, 2, 1]), (0, [8, 8, 8, 8])])
def test_halvings_share_the_epochs(halvings: int, rates: list[float]) -> None:
    recipe = mlp(epochs=4, halvings=halvings, lr=8.0)
    optimizer, schedule = recipe.optimizer(recipe.model((1, 8, 8), 10))
    assert schedule is not None
    seen = []
    for _ in range(4):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert seen == rates
