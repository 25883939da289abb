"""Networks drawn from the probabilities that expectation backpropagation learns, and their mean answer.

A weight is +1 with the probability (1 + tanh h) / 2. One draw of all weights is a network of signs, and the mean answer
of S of them comes near that of all networks (EBP-P). Each network multiplies ±1 with ±1, their sums are added as they
are, so the whole lowers to integers, which EBP-P does not.

Reference: Soudry, Hubara, Meir, "Expectation Backpropagation", NIPS 2014, who average the answers of all networks.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn.fused import record
from binarynet.nn.fused.sequential import Sequential
from binarynet.nn.linear import BinaryLinear
from binarynet.nn.papers.expectation_backprop import ExpectationLinear
from binarynet.nn.quantizers import ByteInput, ExpectedSign, IdentitySign, SteSign

READ: tuple[type[nn.Module], ...] = (nn.Flatten, ByteInput, ExpectationLinear, ExpectedSign)
"""The layers of a network that can be drawn from."""


class SampledNetworks(nn.Module):
    """Σ over networks of their answers: x (n, ...) as the network read it → (n, classes)."""

    def __init__(self, networks: list[nn.Sequential], bias: Tensor) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.networks[0](x)
        for network in self.networks[1:]:
            answers = answers + network(x)
        return answers + self.bias


def sampled(net: nn.Sequential, count: int, seed: int = 0) -> SampledNetworks:
    """``count`` networks drawn from ``net``, a trained sequence that ends in an `ExpectationLinear`; in eval mode.

    The k-th network is the same whatever ``count`` is: it follows from ``seed``, k and the weights.
    `InputError` for a count below 1, real weights, a sequence that ends in something else, and a layer that is not one
    of `READ` itself or that hooks listen to: what it does in a drawn network is not known.
    """
    if count < 1:
        raise InputError(f"count={count}; draw one network at least.")
    if type(net) not in (nn.Sequential, Sequential) or not record.as_typed(net):
        raise InputError(f"sampled() draws from a plain Sequential, not from a {type(net).__name__} of its own.")
    layers = list(net._modules.items())  # named_children() leaves out what stands there twice
    for name, layer in layers:
        if type(layer) not in READ or not record.as_typed(layer):
            raise InputError(
                f"{name} ({type(layer).__name__}) is no plain layer of expectation backpropagation: sampled() reads "
                f"{', '.join(kind.__name__ for kind in READ)}, without hooks."
            )
    if not layers or not isinstance(layers[-1][1], ExpectationLinear):
        raise InputError("sampled() draws from a network that ends in an ExpectationLinear; this one does not.")
    for name, layer in layers:
        if isinstance(layer, ExpectationLinear) and layer.weights != "binary":
            raise InputError(f"{name} has real weights, of which no binary network can be drawn.")
    networks, bias = [], torch.zeros(layers[-1][1].out_features)
    for k in range(count):
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, k]).generate_state(1)[0]))
        drawn = [(name, _drawn(layer, generator, last=name == layers[-1][0])) for name, layer in layers]
        networks.append(nn.Sequential(OrderedDict((name, layer) for name, (layer, _) in drawn)))
        bias += drawn[-1][1][1]
    return SampledNetworks(networks, bias).eval()


def _drawn(layer: nn.Module, generator: torch.Generator, last: bool) -> tuple[nn.Module, Tensor]:
    """The layer in one network of signs, and what is to be added behind it: the last one's bias."""
    if isinstance(layer, ExpectedSign):
        return SteSign(), torch.zeros(())
    if not isinstance(layer, ExpectationLinear):
        return layer, torch.zeros(())
    h = layer.weight.detach()
    # In float64, of which a draw has 2^53 levels: a weight with h = 20 is not −1 once in 2^24 draws.
    draw = torch.rand(h.shape, generator=generator, dtype=torch.float64)
    signs = torch.where(draw < torch.sigmoid(2 * h.double()), 1.0, -1.0).to(h.dtype)
    bias = layer.bias_of(signs)
    plain = BinaryLinear(layer.in_features, layer.out_features, bias=not last, weight_quantizer=IdentitySign())
    with torch.no_grad():
        plain.weight.copy_(signs)
        if not last:
            plain.bias.copy_(bias)
    return plain.requires_grad_(False), bias
