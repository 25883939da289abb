"""Adam in one pass: torch's step and state, and the clip."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from binarynet.nn import BinaryLinear, native
from binarynet.optim import SGD, Adam, AdamW, latent_optimizer


def trained(optimizer_class: type[torch.optim.Adam], steps: int = 5, **settings: object) -> tuple[torch.Tensor, dict]:
    torch.manual_seed(1)
    weight = torch.nn.Parameter(torch.randn(37, 5))
    optimizer = optimizer_class([weight], lr=0.03, betas=(0.8, 0.95), **settings)  # type: ignore[arg-type]
    for _ in range(steps):
        weight.grad = torch.randn(37, 5)
        optimizer.step()
    return weight.detach(), optimizer.state_dict()


@pytest.mark.parametrize("settings", [{}, {"eps": 1e-3}, {"amsgrad": True}, {"weight_decay": 0.1}, {"maximize": True}])
def test_steps_and_state_are_torchs(settings: dict) -> None:
    (ours, state), (theirs, their_state) = trained(Adam, **settings), trained(torch.optim.Adam, **settings)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert state["param_groups"] == their_state["param_groups"]
    for name, value in their_state["state"][0].items():
        torch.testing.assert_close(state["state"][0][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.3}, {"amsgrad": True}])
def test_adamw_is_torchs(settings: dict) -> None:
    (ours, state), (theirs, their_state) = trained(AdamW, **settings), trained(torch.optim.AdamW, **settings)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert state["param_groups"] == their_state["param_groups"]


def test_it_continues_from_a_state_of_torch_and_the_other_way_round() -> None:
    straight, _ = trained(torch.optim.Adam, steps=2)
    for first, second in [(Adam, torch.optim.Adam), (torch.optim.Adam, Adam)]:
        torch.manual_seed(1)
        weight = torch.nn.Parameter(torch.randn(37, 5))
        a = first([weight], lr=0.03, betas=(0.8, 0.95))
        weight.grad = torch.randn(37, 5)
        a.step()
        b = second([weight], lr=0.03, betas=(0.8, 0.95))
        b.load_state_dict(copy.deepcopy(a.state_dict()))
        weight.grad = torch.randn(37, 5)
        b.step()
        torch.testing.assert_close(weight.detach(), straight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("amsgrad", [False, True], ids=["one pass", "torch"])
def test_latent_weights_are_clipped_and_no_others(amsgrad: bool) -> None:
    layer = BinaryLinear(9, 4)
    optimizer = latent_optimizer(Adam, layer, lr=5.0, step_scale=False, amsgrad=amsgrad)
    layer.weight.grad, layer.bias.grad = torch.randn(4, 9), torch.ones(4)
    optimizer.step()
    assert set(layer.weight.detach().abs().unique().tolist()) == {1.0}
    torch.testing.assert_close(layer.bias.detach(), torch.full((4,), -5.0))


def test_a_gradient_that_is_nan_is_not_clipped_away() -> None:
    layer = BinaryLinear(3, 1, bias=False)
    optimizer = latent_optimizer(Adam, layer, lr=0.1)
    layer.weight.grad = torch.tensor([[1.0, math.nan, -1.0]])
    optimizer.step()
    assert layer.weight.isnan().tolist() == [[False, True, False]]


def test_a_hook_runs_once_a_step_on_either_way() -> None:
    torch.optim.Adam([torch.nn.Parameter(torch.ones(1))]).step()  # torch wraps the step of a class at its first use
    for context in (native.off, None):
        weight, calls = torch.nn.Parameter(torch.ones(2)), []
        optimizer = Adam([weight], lr=0.1)
        optimizer.register_step_post_hook(lambda *_, calls=calls: calls.append(1))
        weight.grad = torch.ones(2)
        if context:
            with context():
                optimizer.step()
        else:
            optimizer.step()
        assert calls == [1]


def test_a_step_is_seen_by_autograd() -> None:
    """Else a backward pass after it would silently use weights that its forward pass never saw."""
    weight = torch.nn.Parameter(torch.ones(3))
    y = (weight * weight).sum()
    optimizer = Adam([weight], lr=0.1)
    weight.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@pytest.mark.parametrize("kind", [Adam, AdamW, SGD])
def test_a_gradient_scaler_divides_its_scale_out_and_skips_what_is_not_finite(
    kind: type[torch.optim.Optimizer],
) -> None:
    found = []
    for optimizer_class in (kind, getattr(torch.optim, kind.__name__)):
        weight = torch.nn.Parameter(torch.ones(4))
        optimizer = optimizer_class([weight], lr=0.1, fused=True)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for factor in (1.0, math.inf, 2.0):
            optimizer.zero_grad()
            scaler.scale((factor * weight.square()).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        found.append(weight.detach())
    torch.testing.assert_close(*found)
