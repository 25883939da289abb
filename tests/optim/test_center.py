"""Centred latent weights: means, clamp, order of the two, and that every step ends with them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet.errors import InputError
from binarynet.nn import BinaryConv2d, BinaryLinear
from binarynet.nn.quantizers import ScaledSign
from binarynet.optim import latent_optimizer
from binarynet.optim.center import center_, center_latent_weights


def test_the_mean_goes_for_each_filter_and_place_before_the_clamp() -> None:
    weight = torch.tensor([[3.0, 1.0, -1.0], [0.2, 0.3, 0.1]]).reshape(2, 3, 1, 1)
    center_(weight)
    torch.testing.assert_close(weight.flatten(1), torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.1, -0.1]]))


def test_places_of_a_kernel_are_centred_one_by_one() -> None:
    weight = 0.1 * torch.randn(4, 5, 3, 2)
    expected = weight.clone()
    for f in range(4):
        for y in range(3):
            for x in range(2):
                expected[f, :, y, x] -= weight[f, :, y, x].mean()
    center_(weight)
    torch.testing.assert_close(weight, expected)


def test_weights_are_centred_and_clamped_at_once_and_after_every_step() -> None:
    model = nn.Sequential(
        BinaryConv2d(3, 4, 3, weight_quantizer=ScaledSign()),
        nn.Flatten(),
        BinaryLinear(16, 5, weight_quantizer=ScaledSign()),
    )
    conv, linear = model[0], model[2]
    before = linear.weight.detach().clone()
    optimizer = latent_optimizer(torch.optim.SGD, model, lr=20.0, step_scale=False, clip=None)
    center_latent_weights(optimizer, [conv])
    for _ in range(3):
        free = conv.weight.detach() * 1
        assert conv.weight.abs().max() <= 1
        optimizer.zero_grad()
        model(torch.randn(2, 3, 4, 4)).square().mean().backward()
        assert conv.weight.grad is not None
        free -= 20.0 * conv.weight.grad
        optimizer.step()
        torch.testing.assert_close(conv.weight.detach(), (free - free.mean(1, keepdim=True)).clamp(-1, 1))
    assert linear.weight.mean(1).abs().min() > 1e-6  # not asked for
    assert not torch.equal(linear.weight, before)


def test_a_layer_with_one_input_channel_is_refused() -> None:
    layer = BinaryConv2d(1, 4, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    with pytest.raises(InputError, match="one input channel"):
        center_latent_weights(optimizer, [layer])


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan")])
def test_a_clamp_that_leaves_nothing_is_refused(clip: float) -> None:
    layer = BinaryLinear(2, 2)
    with pytest.raises(InputError, match="positive"):
        center_latent_weights(torch.optim.SGD(layer.parameters(), lr=0.1), [layer], clip=clip)
