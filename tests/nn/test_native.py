"""The gate to the native training steps: what passes, and what its settings mean."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from binarynet.nn import ApproxSign, SteSign, native
from binarynet.nn.quantizers import Quantizer

pytestmark = pytest.mark.skipif(native.engine is None, reason="the extension binarynet._training is not built")


@pytest.fixture(autouse=True)
def every_size_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "PRODUCTS", 0)
    monkeypatch.setattr(native, "ELEMENTS", 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [("BINARYNET_GRADIENTS", "9"), ("BINARYNET_GRADIENTS", "half"), ("BINARYNET_TRAINING", "on")],
)
def test_an_environment_that_means_nothing_is_refused_in_one_line(name: str, text: str) -> None:
    command = [sys.executable, "-m", "binarynet.cli", "train", "bnn-digits"]
    done = subprocess.run(command, env={**os.environ, name: text}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"binarynet: {name}={text}: choose ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("rule", [SteSign(), SteSign(0.5), ApproxSign()], ids=["ste_sign", "half", "approx_sign"])
@pytest.mark.parametrize("count", [1, 15, 17, 1000])
def test_signs_and_their_pseudo_gradients_equal_torchs(count: int, rule: Quantizer) -> None:
    edges = torch.tensor([0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e-45, -1e-45, 1 + 2**-23])
    x = torch.cat([edges, torch.randn(count)]).requires_grad_()
    g = torch.randn(len(x))

    def value_and_gradient() -> tuple[Tensor, Tensor]:
        y = rule(x)
        return y.detach(), torch.autograd.grad(y, x, g)[0]

    ours = value_and_gradient()
    with native.off():
        theirs = value_and_gradient()
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=0, atol=0, equal_nan=True)


def test_what_is_not_a_plain_float32_tensor_of_the_cpu_does_not_pass() -> None:
    x = torch.randn(4, 6)
    assert native.takes(x, torch.nn.Parameter(x))
    assert not native.takes(x.double())
    assert not native.takes(x.to("meta"))
    assert not native.takes(x[:, ::2])
    with torch.autocast("cpu"):
        assert not native.takes(x)
    with native.off():
        assert not native.takes(x)


def test_a_quantizer_with_a_pseudo_gradient_of_its_own_keeps_it() -> None:
    class Halved(ApproxSign):
        def pseudo_gradient(self, x: Tensor) -> Tensor:
            return super().pseudo_gradient(x) / 2

    x = torch.randn(100, requires_grad=True)
    Halved()(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, ApproxSign().pseudo_gradient(x) / 2)
