"""BWN and XNOR-Net: order of the layers, which are float, centred weights, and AlexNet's shape."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from binarynet.errors import RecipeError
from binarynet.graph.ir import Threshold
from binarynet.lower import lower
from binarynet.nn import BinaryLayer, ByteInput, latent_weights
from binarynet.nn.papers.k_map import KMap
from binarynet.nn.quantizers import ScaledSign
from binarynet.recipes.bwn import Bwn
from binarynet.recipes.xnornet import XnorNet
from tests.recipes.steps import two_steps


def small(kind: type[Bwn] = Bwn, **settings: object) -> Bwn:
    base: dict[str, object] = {"data": "digits", "epochs": 2, "batch_size": 8, "network": "lenet3", "filters": 4}
    return kind(**{**base, "width": 8, **settings})  # type: ignore[arg-type]


def names(recipe: Bwn, shape: tuple[int, int, int] = (1, 8, 8)) -> str:
    return " ".join(name for name, _ in recipe.model(shape, 10).named_children())


def test_bwn_is_layer_norm_relu_pool() -> None:
    assert names(small()) == (
        "bytes conv1 norm1 relu1 pool1 conv2 norm2 relu2 pool2 flatten linear3 norm3 relu3 classes"
    )
    assert names(small(network="mlp", layers=2)) == "flatten bytes linear1 norm1 relu1 linear2 norm2 relu2 classes"


def test_xnor_net_is_norm_sign_layer_pool() -> None:
    assert names(small(XnorNet)) == (
        "bytes conv1 norm1 relu1 pool1 norm2 sign2 conv2 pool2 norm3 sign3 flatten linear3 norm relu classes"
    )
    assert names(small(XnorNet, relu=True, ends="binary")) == (
        "bytes conv1 relu1 pool1 norm2 sign2 conv2 relu2 pool2 norm3 sign3 flatten linear3 relu3 "
        "norm sign classes logits"
    )
    assert names(small(XnorNet, network="mlp", layers=2)) == (
        "flatten bytes linear1 norm1 relu1 norm2 sign2 linear2 norm relu classes"
    )


@pytest.mark.parametrize("kind", [Bwn, XnorNet])
def test_first_and_last_layer_are_float_unless_they_are_to_be_binary(kind: type[Bwn]) -> None:
    model = small(kind, layers=2).model((1, 8, 8), 10)
    assert [name for name, _, _ in latent_weights(model)] == ["conv2", "linear3", "linear4"]
    assert all(isinstance(layer.weight_quantizer, ScaledSign) for _, layer, _ in latent_weights(model))
    binary = small(kind, ends="binary").model((1, 8, 8), 10)
    assert [name for name, _, _ in latent_weights(binary)] == ["conv1", "conv2", "linear3", "classes"]
    assert not [m for m in binary.modules() if isinstance(m, nn.Linear | nn.Conv2d) and not isinstance(m, BinaryLayer)]


@pytest.mark.parametrize("ends", ["float", "binary"])
def test_hidden_weights_are_centred_from_the_start_and_a_first_layer_never_is(ends: str) -> None:
    recipe = small(ends=ends)
    model = recipe.model((3, 8, 8), 10)
    first = model.conv1.weight.detach().clone()
    recipe.optimizer(model)
    for name, _, weight in latent_weights(model):
        assert (weight.mean(1).abs().max() < 1e-6) == (name != "conv1")
    assert torch.equal(model.conv1.weight, first)


@pytest.mark.parametrize("settings", [{}, {"centered": False}, {"gradient": "paper"}, {"gradient": "released"}])
@pytest.mark.parametrize("ends", ["float", "binary"])
@pytest.mark.parametrize("kind", [Bwn, XnorNet])
def test_all_settings_train_and_keep_latent_weights_in_the_window(
    kind: type[Bwn], ends: str, settings: dict[str, object]
) -> None:
    model = two_steps(small(kind, ends=ends, **settings))
    assert all(weight.abs().max() <= 1 for _, _, weight in latent_weights(model))


@pytest.mark.parametrize("ends", ["float", "binary"])
@pytest.mark.parametrize("network", ["lenet3", "mlp"])
def test_k_map_wraps_the_hidden_layers_and_leaves_the_sign_to_them(network: str, ends: str) -> None:
    model = two_steps(small(XnorNet, k_map=True, ends=ends, network=network, layers=2))
    maps = [name for name, module in model.named_children() if isinstance(module, KMap)]
    assert maps == (["conv2", "linear3", "linear4"] if network == "lenet3" else ["linear2"])
    assert not [name for name, _ in model.named_children() if name.startswith("sign")]
    for name, layer, _ in latent_weights(model):
        assert (layer.input_quantizer is None) == (name in ("conv1", "linear1"))


@pytest.mark.parametrize("kind", [Bwn, XnorNet])
def test_inputs_of_the_net_are_bytes_scaled_to_one(kind: type[Bwn]) -> None:
    scales = [m.scale for m in small(kind).model((1, 8, 8), 10).modules() if isinstance(m, ByteInput)]
    assert scales == [1 / 255]


def test_alexnet_has_the_weights_of_alexnet_and_takes_its_images() -> None:
    settings: dict[str, object] = {"network": "alexnet", "filters": 96, "width": 4096, "layers": 2}
    with torch.device("meta"):
        model = small(XnorNet, data="imagenet", **settings).model((3, 224, 224), 1000)
        answer = model(torch.empty(2, 3, 224, 224, dtype=torch.uint8))
    assert answer.shape == (2, 1000)
    weights = {n: m.weight.numel() for n, m in model.named_children() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert list(weights.values()) == [
        *(96 * 3 * 121, 256 * 96 * 25, 384 * 256 * 9, 384 * 384 * 9, 256 * 384 * 9),
        *(256 * 36 * 4096, 4096 * 4096, 4096 * 1000),
    ]


def test_convnet_has_the_weights_of_bnn() -> None:
    with torch.device("meta"):
        model = small(data="cifar10", network="convnet", filters=128, width=1024, layers=2).model((3, 32, 32), 10)
    assert sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)) == 14_022_016


def test_a_network_too_large_for_the_images_is_refused() -> None:
    with pytest.raises(RecipeError, match="lenet5 does not fit images of 8 × 8: try lenet3"):
        small(network="lenet5").model((1, 8, 8), 10)


def test_lenet5_takes_mnist() -> None:
    recipe = dataclasses.replace(small(network="lenet5", filters=20, width=500), data="mnist")
    model = recipe.model((1, 28, 28), 10)
    assert model.linear3.weight.shape == (500, 4 * 4 * 50)


@pytest.mark.parametrize("bits", [2, 8])
def test_k_bit_inputs_and_binary_gradients_train_and_lower_to_codes(bits: int) -> None:
    recipe = small(XnorNet, activation_bits=bits, binary_gradients=True)
    assert names(recipe) == (
        "bytes conv1 norm1 relu1 pool1 norm2 sign2 conv2 gradient2 pool2 norm3 sign3 flatten linear3 gradient3 "
        "norm relu classes"
    )
    graph = lower(two_steps(recipe).eval(), (1, 8, 8), allow_real=True)
    codes = [str(op.encoding) for op in graph.ops if isinstance(op, Threshold)]
    assert codes == [f"b{bits}"] * 2


def test_the_map_of_magnitudes_goes_with_signs_alone() -> None:
    with pytest.raises(ValueError, match="k_map=true scales signs"):
        small(XnorNet, k_map=True, activation_bits=2)
