"""SGD in one pass: torch's step and state, and the clip."""

from __future__ import annotations

import copy

import pytest
import torch

from binarynet.nn import BinaryLinear, native
from binarynet.optim import SGD, latent_optimizer

SETTINGS = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"momentum": 0.9, "maximize": True},
]


def trained(optimizer_class: type[torch.optim.SGD], steps: int = 5, **settings: object) -> tuple[torch.Tensor, dict]:
    torch.manual_seed(1)
    weight = torch.nn.Parameter(torch.randn(37, 5))
    optimizer = optimizer_class([weight], lr=0.03, **settings)  # type: ignore[arg-type]
    for _ in range(steps):
        weight.grad = torch.randn(37, 5)
        optimizer.step()
    return weight.detach(), optimizer.state_dict()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_steps_and_state_are_torchs(settings: dict) -> None:
    (ours, state), (theirs, their_state) = trained(SGD, **settings), trained(torch.optim.SGD, **settings)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert state["param_groups"] == their_state["param_groups"]
    if "momentum" in settings:
        buffers = (found["state"][0]["momentum_buffer"] for found in (state, their_state))
        torch.testing.assert_close(*buffers, rtol=1e-5, atol=1e-6)


def test_it_continues_from_a_state_of_torch_and_the_other_way_round() -> None:
    straight, _ = trained(torch.optim.SGD, steps=2, momentum=0.9)
    for first, second in [(SGD, torch.optim.SGD), (torch.optim.SGD, SGD)]:
        torch.manual_seed(1)
        weight = torch.nn.Parameter(torch.randn(37, 5))
        a = first([weight], lr=0.03, momentum=0.9)
        weight.grad = torch.randn(37, 5)
        a.step()
        b = second([weight], lr=0.03, momentum=0.9)
        b.load_state_dict(copy.deepcopy(a.state_dict()))
        weight.grad = torch.randn(37, 5)
        b.step()
        torch.testing.assert_close(weight.detach(), straight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("by", ["one pass", "torch"])
def test_latent_weights_are_clipped_and_no_others(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_on", by == "one pass" and native.engine is not None)
    layer = BinaryLinear(9, 4)
    optimizer = latent_optimizer(SGD, layer, lr=50.0, step_scale=False, momentum=0.9)
    layer.weight.grad, layer.bias.grad = torch.randn(4, 9).sign(), torch.ones(4)
    optimizer.step()
    assert set(layer.weight.detach().abs().unique().tolist()) == {1.0}
    torch.testing.assert_close(layer.bias.detach(), torch.full((4,), -50.0))
