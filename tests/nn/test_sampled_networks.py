"""Networks drawn from the probabilities of expectation backpropagation: which they are, and that they lower exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from binarynet.errors import InputError
from binarynet.graph import interpret
from binarynet.graph.ir import Linear
from binarynet.lower import lower
from binarynet.nn.papers.sampled_networks import sampled
from binarynet.nn.quantizers import ExpectedSign
from binarynet.recipes.expectation_backprop import ExpectationBackprop

IMAGES = torch.randint(0, 256, (60, 1, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def net(weights: str = "binary", layers: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    recipe = ExpectationBackprop(data="digits", epochs=1, batch_size=1, width=19, layers=layers, weights=weights)  # type: ignore[arg-type]
    model = recipe.model((1, 5, 7), 4)
    assert isinstance(model, nn.Sequential)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return model.eval()


def _answer(network: nn.Module) -> torch.Tensor:
    """The weights of the last layer."""
    return dict(network.named_parameters())["classes.weight"].detach()


@pytest.mark.parametrize("layers", [1, 2])
def test_where_all_is_certain_each_network_is_the_most_probable_one(layers: int) -> None:
    model = net(layers=layers)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(1e4)
        assert torch.equal(sampled(model, 1)(IMAGES), model(IMAGES))
        assert torch.allclose(sampled(model, 3)(IMAGES), 3 * model(IMAGES))


def test_a_weight_is_drawn_as_often_as_its_probability_says() -> None:
    model = net(layers=1)
    drawn = sampled(model, 4000)
    mean = torch.stack([_answer(network) for network in drawn.networks]).mean(0)
    # Five deviations of the mean of 4000 draws; 76 weights.
    assert (mean - torch.tanh(_answer(model))).abs().max() < 5 / 4000**0.5


def test_a_network_is_the_same_whatever_stands_beside_it() -> None:
    few, many = sampled(net(), 2, seed=7), sampled(net(), 5, seed=7)
    for k in range(2):
        assert all(map(torch.equal, few.networks[k].parameters(), many.networks[k].parameters()))
    other = sampled(net(), 1, seed=8)
    assert not torch.equal(_answer(few.networks[0]), _answer(other.networks[0]))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_mean_answer_lowers_to_bits_and_sums_exactly(count: int) -> None:
    ensemble = sampled(net(), count)
    graph = lower(ensemble, (1, 5, 7))
    assert [op.weight_encoding for op in graph.ops if isinstance(op, Linear)] == ["b1"] * 3 * count
    with torch.no_grad():
        expected = ensemble(IMAGES).numpy()
    assert np.array_equal(interpret(graph, IMAGES.reshape(60, 35).numpy()), expected)


def test_what_cannot_be_drawn_from_is_refused() -> None:
    with pytest.raises(InputError, match="one network at least"):
        sampled(net(), 0)
    with pytest.raises(InputError, match="linear1 has real weights"):
        sampled(net("real"), 1)
    with pytest.raises(InputError, match="ends in an ExpectationLinear"):
        sampled(nn.Sequential(nn.Flatten()), 1)
    drawn_from = net()
    drawn_from.sign1.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"sign1 \(ExpectedSign\) is no plain layer"):
        sampled(drawn_from, 1)
    with pytest.raises(InputError, match=r"1 \(Subclass\) is no plain layer"):
        sampled(nn.Sequential(nn.Flatten(), type("Subclass", (ExpectedSign,), {})(), net()[-1]), 1)
    with pytest.raises(InputError, match="not from a Subclass"):
        sampled(type("Subclass", (nn.Sequential,), {})(net()[-1]), 1)


def test_a_sign_that_stands_in_two_places_is_in_both() -> None:
    model = net()
    model.sign2 = model.sign1
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(1e4)
        assert torch.equal(sampled(model, 1)(IMAGES), model(IMAGES))
