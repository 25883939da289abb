"""The unbiased estimator: its mean is the exact gradient, summed over all draws there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import ArgumentError, InputError
from binarynet.graph import interpret
from binarynet.graph.ir import Threshold
from binarynet.lower import lower
from binarynet.nn import BinaryLinear, ByteInput, SigmoidSign
from binarynet.nn.papers.rewards import Rewards, RewardSign, estimate


def loss_of(h: Tensor) -> Tensor:
    """A loss of two neurons ±1, (…, 2) → (…), that no sum of losses of one neuron is."""
    return 1.5 * h[..., 0] - 0.5 * h[..., 1] + 2 * h[..., 0] * h[..., 1] + 3


def test_its_mean_is_the_derivative_of_the_mean_loss() -> None:
    torch.manual_seed(3)
    a = torch.tensor([0.7, -1.2], dtype=torch.float64, requires_grad=True)
    every = torch.tensor(list(itertools.product([1.0, -1.0], repeat=2)), dtype=torch.float64)
    mean = (torch.sigmoid(every * a).prod(1) * loss_of(every)).sum()
    (exact,) = torch.autograd.grad(mean, a)

    n, batch = 40_000, 4  # batches of four: the baseline is of three others, and must not tilt the mean
    x = a.detach().expand(n, batch, 2)
    values = RewardSign()(x)
    found = torch.vmap(estimate)(x, values, loss_of(values)).mean(1)
    deviation = found.std(0) / n**0.5
    assert ((found.mean(0) - exact).abs() < 5 * deviation).all()
    assert (deviation < 0.1 * exact.abs()).all()  # so that another gradient would be seen


def test_the_baseline_makes_the_variance_smaller() -> None:
    torch.manual_seed(4)
    x = torch.zeros(2000, 1)
    value = RewardSign()(x)
    losses = 100 + value[:, 0]
    apart = (value + 1) / 2 - 0.5
    assert estimate(x, value, losses).var() < 1e-3 * (apart * losses[:, None]).var()


def test_one_image_has_no_baseline() -> None:
    assert estimate(torch.zeros(1, 2), torch.tensor([[1.0, -1.0]]), torch.tensor([4.0])).tolist() == [[2, -2]]


def test_what_lies_before_a_neuron_learns_by_rewards_alone_and_the_loss_stays_as_it_is() -> None:
    torch.manual_seed(0)
    before, after = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(before, RewardSign(), after)
    images, target = torch.randn(8, 3), torch.randint(2, (8,))
    with Rewards(model) as rewards:
        logits = model(images)
    losses = F.cross_entropy(logits, target, reduction="none")
    assert rewards(losses).item() == 0
    losses.mean().backward(retain_graph=True)
    assert not before.weight.grad.any()
    answers = after.weight.grad.clone()
    rewards(losses).backward()
    assert before.weight.grad.any()
    assert torch.equal(after.weight.grad, answers)


def test_it_learns_what_one_layer_cannot() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 16), RewardSign(), nn.Linear(16, 2))
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    target = torch.tensor([0, 1, 1, 0])  # exclusive or
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(120):
        images, wanted = corners.repeat(16, 1), target.repeat(16)
        with Rewards(model) as rewards:
            losses = F.cross_entropy(model(images), wanted, reduction="none")
        optimizer.zero_grad()
        (losses.mean() + rewards(losses)).backward()
        optimizer.step()
    assert model.eval()(corners).argmax(1).tolist() == target.tolist()


def test_it_lowers_as_a_sign() -> None:
    torch.manual_seed(2)
    layers = [nn.Flatten(), ByteInput(), BinaryLinear(20, 8), nn.BatchNorm1d(8), RewardSign(), BinaryLinear(8, 3)]
    images = np.random.default_rng(0).integers(0, 256, (9, 20), np.uint8)
    model = nn.Sequential(*layers).eval()
    graph = lower(model, (1, 4, 5))
    assert any(isinstance(op, Threshold) for op in graph.ops)
    layers[4] = SigmoidSign()
    same = lower(nn.Sequential(*layers).eval(), (1, 4, 5))
    assert np.array_equal(interpret(graph, images), interpret(same, images))


def test_wrong_use_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="Linear has no RewardSign"):
        Rewards(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="a torch module"):
        Rewards("model")  # type: ignore[arg-type]
    model = nn.Sequential(nn.Linear(2, 2), RewardSign())
    with Rewards(model) as rewards:
        model.eval()(torch.ones(3, 2))
    with pytest.raises(InputError, match=r"model\.train\(\)"):
        rewards(torch.ones(3))
    with Rewards(model) as rewards:
        model.train()(torch.ones(3, 2))
    with pytest.raises(InputError, match="one loss an image"):
        rewards(torch.ones(()))


class Eager(RewardSign):
    """Fires with another probability than the estimate takes it to have."""

    def training_value(self, x: Tensor) -> Tensor:
        return super().training_value(2 * x)


def test_what_draws_otherwise_is_refused_by_its_name() -> None:
    with pytest.raises(InputError, match=r"1 \(Eager\) may draw"):
        Rewards(nn.Sequential(nn.Linear(2, 2), Eager()))
    listened = nn.Sequential(nn.Linear(2, 2), RewardSign())
    listened[1].register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match="without hooks"):
        Rewards(listened)
    replaced = RewardSign()
    replaced.training_value = lambda x: x  # type: ignore[method-assign]
    with pytest.raises(InputError, match="the model"):
        Rewards(replaced)


def test_drawn_weights_are_refused() -> None:
    layer = BinaryLinear(3, 3, weight_quantizer=RewardSign())  # as many rows as images: no shape tells them apart
    with pytest.raises(InputError, match="weight_quantizer draws weights"), Rewards(layer):
        layer(torch.ones(3, 3))
