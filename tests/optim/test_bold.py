"""BOLD: when a weight flips, what is forgotten, and that all else is Adam."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from binarynet.errors import InputError
from binarynet.nn import BinaryLinear
from binarynet.optim import latent_optimizer
from binarynet.optim.bold import Bold, bold_optimizer


def stepped(weight: nn.Parameter, optimizer: Bold, gradient: list[float]) -> list[float]:
    weight.grad = torch.tensor(gradient)
    optimizer.step()
    return weight.tolist()


def test_a_weight_flips_when_the_votes_against_it_reach_one_and_counts_anew() -> None:
    weight = nn.Parameter(torch.tensor([0.3, -2.0]))
    optimizer = Bold([{"params": [weight], "lr": 0.5, "latent": True}])
    assert weight.tolist() == [1, -1]
    # The gradients are their own mean magnitude: a vote of 0.5 each; both push against +1.
    assert stepped(weight, optimizer, [3.0, 3.0]) == [1, -1]
    assert stepped(weight, optimizer, [3.0, 3.0]) == [-1, -1]
    assert optimizer.state[weight]["votes"].tolist() == [0.0, 1.0]
    assert optimizer.state[weight]["kept"].item() == 0.5  # one of two has flipped
    # Half of the old votes is forgotten.
    assert stepped(weight, optimizer, [-3.0, -3.0]) == [-1, -1]
    assert optimizer.state[weight]["votes"].tolist() == [-0.5, 0.0]


def test_votes_are_gradients_in_units_of_their_mean_magnitude() -> None:
    for scale in (1e-6, 1.0, 1e6):
        weight = nn.Parameter(torch.ones(4))
        optimizer = Bold([{"params": [weight], "lr": 1.0, "latent": True}])
        assert stepped(weight, optimizer, [scale, -scale, 3 * scale, scale / 2]) == [1, 1, -1, 1]


def test_without_any_gradient_nothing_flips() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = Bold([{"params": [weight], "lr": 100.0, "latent": True}])
    assert stepped(weight, optimizer, [0.0, 0.0]) == [1, -1]


def test_all_else_is_adams() -> None:
    torch.manual_seed(0)
    layer, twin = BinaryLinear(5, 3), nn.Linear(5, 3)
    twin.load_state_dict(layer.state_dict())
    ours, theirs = bold_optimizer(layer, eta=1e-9, lr=0.01), torch.optim.Adam([twin.bias], lr=0.01)
    for _ in range(3):
        gradient = torch.randn(3)
        layer.bias.grad, layer.weight.grad, twin.bias.grad = gradient.clone(), torch.zeros(3, 5), gradient.clone()
        ours.step()
        theirs.step()
    torch.testing.assert_close(layer.bias, twin.bias)


def test_a_loaded_state_goes_on_as_if_nothing_had_been() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(6, 8)
    weight, again = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(8))
    one, two = (Bold([{"params": [w], "lr": 0.4, "latent": True}]) for w in (weight, again))
    for gradient in gradients[:3]:
        weight.grad = gradient
        one.step()
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    again.data.copy_(weight.data)
    for gradient in gradients[3:]:
        weight.grad, again.grad = gradient.clone(), gradient.clone()
        one.step()
        two.step()
    assert torch.equal(weight, again)
    assert (weight == -1).any()


def test_it_takes_no_step_scale() -> None:
    with pytest.raises(InputError, match=r"Bold cannot take the step scale.*bold_optimizer"):
        latent_optimizer(Bold, BinaryLinear(3, 2), 0.1)
    with pytest.raises(InputError, match="out of range"):
        Bold([nn.Parameter(torch.ones(2))], lr=-1.0)
