"""BinaryLinear, and what all binary layers share."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn import (
    BinaryConv1d,
    BinaryConv2d,
    BinaryConvTranspose2d,
    BinaryLayer,
    BinaryLinear,
    SteSign,
    StochasticSign,
    latent_weights,
)

# A binary layer, the torch layer it mirrors, and the shape of an input.
PAIRS = [
    (lambda **k: BinaryLinear(5, 3, **k), lambda **k: nn.Linear(5, 3, **k), (2, 5)),
    (
        lambda **k: BinaryConv1d(4, 6, 3, groups=2, **k),
        lambda **k: nn.Conv1d(4, 6, 3, groups=2, **k),
        (2, 4, 7),
    ),
    (lambda **k: BinaryConv2d(3, 6, (3, 2), **k), lambda **k: nn.Conv2d(3, 6, (3, 2), **k), (2, 3, 5, 6)),
    (
        lambda **k: BinaryConvTranspose2d(4, 6, 3, 2, 1, 1, 2, **k),
        lambda **k: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, **k),
        (2, 4, 5, 5),
    ),
]
NAMES = ["linear", "conv1d", "conv2d", "transposed"]
each_layer = pytest.mark.parametrize(("binary", "plain", "shape"), PAIRS, ids=NAMES)


@each_layer
@pytest.mark.parametrize("bias", [True, False])
def test_checkpoints_load_strictly_in_both_directions(binary, plain, shape, bias: bool) -> None:
    ours = binary(bias=bias, input_quantizer="ede_sign", weight_quantizer="stochastic_sign")
    theirs = plain(bias=bias)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight", "bias"][: 1 + bias]
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert torch.equal(ours.weight, theirs.weight)
    nn.init.normal_(ours.weight)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert torch.equal(ours.weight, theirs.weight)


@each_layer
def test_layer_is_the_torch_layer_on_the_signs_of_both_operands(binary, plain, shape) -> None:
    ours, theirs = binary(input_quantizer="ste_sign"), plain()
    nn.init.normal_(ours.bias)
    theirs.load_state_dict({"weight": ours.binary_weight, "bias": ours.bias})
    x = torch.randn(shape)
    assert torch.equal(ours(x), theirs(torch.where(x >= 0, 1.0, -1.0)))


@each_layer
def test_without_quantizers_the_layer_is_the_torch_layer(binary, plain, shape) -> None:
    torch.manual_seed(3)
    theirs = plain()
    ours = binary(weight_quantizer=None)
    assert ours.weight.abs().max() <= theirs.weight.abs().max() * 2  # started as torch starts, not in [-1, 1]
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape)
    assert torch.equal(ours(x), theirs(x))
    with pytest.raises(InputError, match="weights are float"):
        ours.binary_weight  # noqa: B018


@each_layer
def test_latent_weights_start_uniform_in_minus_one_to_one_and_biases_at_zero(binary, plain, shape) -> None:
    weights = torch.cat([binary().weight.flatten() for _ in range(300)])
    assert weights.min() < -0.99
    assert weights.max() > 0.99
    assert weights.abs().max() <= 1
    assert weights.var().item() == pytest.approx(1 / 3, rel=0.05)
    assert binary().bias.eq(0).all()


@each_layer
def test_gradients_are_taken_at_the_binary_weights_and_windowed_at_the_latent_ones(binary, plain, shape) -> None:
    ours, theirs = binary(input_quantizer="ste_sign"), plain()
    with torch.no_grad():
        ours.weight.mul_(1.5)
        theirs.weight.copy_(ours.binary_weight)
        theirs.bias.copy_(ours.bias)
    x = torch.randn(shape, requires_grad=True)
    signs = torch.where(x >= 0, 1.0, -1.0).detach().requires_grad_()
    upstream = torch.randn_like(ours(x))
    ours(x).backward(upstream)
    theirs(signs).backward(upstream)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad * (ours.weight.abs() <= 1))
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)
    torch.testing.assert_close(x.grad, signs.grad * (x.abs() <= 1))
    assert (ours.weight.grad == 0).any()
    assert (ours.weight.grad != 0).any()


@each_layer
def test_binary_weight_is_detached_and_the_same_in_any_mode(binary, plain, shape) -> None:
    layer = binary(weight_quantizer=StochasticSign())
    assert not layer.binary_weight.requires_grad
    assert torch.equal(layer.train().binary_weight, layer.eval().binary_weight)
    assert torch.equal(layer.binary_weight, torch.where(layer.weight >= 0, 1.0, -1.0))


@each_layer
def test_layer_can_be_made_on_the_meta_device_and_in_double(binary, plain, shape) -> None:
    assert binary(device="meta").weight.is_meta
    layer = binary(dtype=torch.float64, input_quantizer="approx_sign")
    assert layer(torch.randn(shape, dtype=torch.float64)).dtype == torch.float64


@each_layer
def test_repr_names_the_quantizers(binary, plain, shape) -> None:
    text = repr(binary(input_quantizer=SteSign(clip=1.25)))
    assert "(input_quantizer): SteSign(clip=1.25)" in text
    assert "(weight_quantizer): SteSign(clip=1)" in text


def test_linear_takes_any_leading_shape() -> None:
    layer = BinaryLinear(65, 3, input_quantizer="ste_sign")
    x = torch.randn(2, 4, 65)
    expected = F.linear(torch.where(x >= 0, 1.0, -1.0), layer.binary_weight)
    assert torch.equal(layer(x), expected)
    assert layer(x[0, 0]).shape == (3,)
    assert layer(x[:0]).shape == (0, 4, 3)


def test_linear_of_depth_one() -> None:
    layer = BinaryLinear(1, 1, bias=False, input_quantizer="ste_sign")
    nn.init.constant_(layer.weight, -0.0)
    assert layer(torch.tensor([[-3.0], [0.0]])).tolist() == [[-1.0], [1.0]]


def test_nan_in_the_input_or_a_latent_weight_reaches_the_output() -> None:
    layer = BinaryLinear(3, 2, input_quantizer="ste_sign")
    x = torch.zeros(2, 3)
    x[1, 2] = torch.nan
    assert layer(x).isnan().tolist() == [[False, False], [True, True]]
    layer.weight.data[0, 0] = torch.nan
    assert layer(torch.zeros(1, 3)).isnan().tolist() == [[True, False]]


def test_latent_weights_finds_each_binary_layer_once_by_name() -> None:
    shared = BinaryLinear(4, 4)
    model = nn.Sequential(
        BinaryConv2d(1, 2, 3),
        nn.Linear(3, 3),
        nn.Sequential(shared, shared),
        BinaryLinear(4, 2, weight_quantizer=None),
    )
    found = list(latent_weights(model))
    assert [name for name, _, _ in found] == ["0", "2.0"]
    assert [layer for _, layer, _ in found] == [model[0], shared]
    assert all(weight is layer.weight for _, layer, weight in found)
    assert [name for name, _, _ in latent_weights(shared)] == [""]
    assert list(latent_weights(nn.Linear(2, 2))) == []


def test_every_binary_layer_is_found_by_isinstance() -> None:
    for binary, _, _ in PAIRS:
        assert isinstance(binary(), BinaryLayer)
    assert not isinstance(nn.Linear(1, 1), BinaryLayer)
