"""Layers with one number for each channel, and squeeze-and-excitation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet.errors import InputError
from binarynet.graph.ir import Affine, PRelu, Threshold
from binarynet.lower import lower
from binarynet.nn import BinaryConv2d, ByteInput, ChannelScale, LearnableShift, RPReLU, SqueezeExcite, SteSign
from tests.lower.models import settle


def spread(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for numbers in layer.parameters():
        nn.init.normal_(numbers)
    return layer


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5), (2, 3, 5, 4)])
def test_each_channel_has_its_own_number(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    shift, scale, act = (spread(cls(3)) for cls in (LearnableShift, ChannelScale, RPReLU))
    for c in range(3):
        torch.testing.assert_close(shift(x)[:, c], x[:, c] + shift.shift[c])
        torch.testing.assert_close(scale(x)[:, c], x[:, c] * scale.scale[c])
        y = x[:, c] - act.knee[c]
        torch.testing.assert_close(act(x)[:, c], torch.where(y > 0, y, act.slope[c] * y) + act.lift[c])


def test_at_first_shift_and_scale_change_nothing_and_rprelu_is_prelu():
    x = torch.randn(4, 3, 2, 2)
    assert torch.equal(LearnableShift(3)(x), x)
    assert torch.equal(ChannelScale(3)(x), x)
    assert torch.equal(RPReLU(3)(x), nn.PReLU(3)(x))


@pytest.mark.parametrize("layer", [LearnableShift(3), ChannelScale(3), RPReLU(3)])
def test_another_number_of_channels_is_refused(layer):
    with pytest.raises(InputError, match=rf"{type(layer).__name__} got values of shape \(2, 4\)"):
        layer(torch.zeros(2, 4))


def test_no_channels_an_unknown_squash_and_a_large_reduction_are_refused():
    with pytest.raises(InputError, match="channels=0"):
        RPReLU(0)
    with pytest.raises(InputError, match="squash='relu'; known: sigmoid"):
        SqueezeExcite(8, squash="relu")
    with pytest.raises(InputError, match="reduction=9; needs 1 to 8"):
        SqueezeExcite(8, reduction=9)


def test_a_shift_before_a_sign_is_part_of_its_threshold_and_rprelu_an_affine_a_prelu_and_an_affine():
    first = nn.Sequential(ByteInput(), BinaryConv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4))
    graph = lower(settle(nn.Sequential(first, spread(LearnableShift(4)), SteSign(), BinaryConv2d(4, 2, 1))), (2, 5, 5))
    assert [type(op) for op in graph.ops].count(Threshold) == 1
    assert not any(isinstance(op, Affine) for op in graph.ops[:3])
    graph = lower(settle(nn.Sequential(first, spread(RPReLU(4)))), (2, 5, 5))
    assert [type(op) for op in graph.ops[2:]] == [Affine, PRelu, Affine]


def test_a_gate_multiplies_what_is_given_second():
    gate = SqueezeExcite(8, 6, reduction=2)
    x, y = torch.randn(3, 8, 4, 4), torch.randn(3, 6, 2, 2)
    inside = gate.squeeze(x.mean((2, 3))).relu()
    torch.testing.assert_close(gate(x, y), y * torch.sigmoid(gate.excite(inside))[:, :, None, None])
