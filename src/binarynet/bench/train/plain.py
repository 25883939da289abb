"""The plain way to train a binarized network: what our training step is timed against.

It is how the public PyTorch repositories of BNNs do it: everything in float32; before each product the weights are
overwritten by their signs, with the latent values kept in a copy, which is restored for the optimizer's step and taken
again, clipped, behind it; activations are clamped, then overwritten by their signs; Adam goes parameter by
parameter, operation by operation. The rule is that of the recipe, so that both learn the same curve.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn import BinaryConv2d, BinaryLayer, BinaryLinear, ByteInput, SteSign, native
from binarynet.recipes import Recipe

# Passes over memory that a step makes for one weight, each of 4 bytes. Plain: signs 2, forward 1, both backwards 2,
# restore 2, average 3, square 2 + 3, root 2, quotient 2, ε 2, step 4, clip 2, copy 2. Ours: forward 1, gradient 1, step
# and clip 7; in between a weight is one bit.
PLAIN_BYTES, OUR_BYTES = 29 * 4, 9 * 4


class PlainLinear(nn.Module):
    """The linear layer of the plain way: `latent` is the copy."""

    def __init__(self, layer: BinaryLinear | BinaryConv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.latent = layer.weight.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data = torch.where(self.latent >= 0, 1.0, -1.0)
        return self.product(x)

    def product(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class PlainConv2d(PlainLinear):
    """The convolution of the plain way."""

    def __init__(self, layer: BinaryConv2d) -> None:
        super().__init__(layer)
        self.padding = layer.padding

    def product(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, padding=self.padding)


class PlainSign(nn.Module):
    """Hardtanh, whose result is then overwritten by its sign, so that the gradient is Hardtanh's."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardtanh(x)
        x.data = torch.where(x.data >= 0, 1.0, -1.0)
        return x


class PlainBytes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x.float() - 255


class PlainTraining:
    """`recipe`'s network and step in the plain way, from the weights and random numbers of `model`.

    `InputError` for a network of other layers than the BNN recipes', or without Adam.
    """

    name = "plain"

    def __init__(self, recipe: Recipe, model: nn.Module) -> None:
        if not isinstance(model, nn.Sequential):
            raise InputError("the plain way is written for networks that are one sequence of layers")
        scales = {
            id(parameter): group["lr"]
            for group in recipe.optimizer(model)[0].param_groups
            for parameter in group["params"]
        }
        if not isinstance(recipe.optimizer(model)[0], torch.optim.Adam):
            raise InputError("the plain way is written for recipes that train with Adam, such as bnn-mnist")
        layers, groups = [], []
        for layer in model:
            plain = _plain(layer)
            layers.append(plain)
            groups += [
                {"params": [parameter], "lr": scales[id(original)]}
                for parameter, original in zip(plain.parameters(), layer.parameters(), strict=True)
            ]
        self.recipe, self.model = recipe, nn.Sequential(*layers)
        self.optimizer = torch.optim.Adam(groups, foreach=False, fused=False)
        self._binary = [layer for layer in layers if isinstance(layer, PlainLinear)]

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One training step; the loss."""
        self.optimizer.zero_grad()
        loss = self.recipe.loss(self.model(images), labels)
        torch.autograd.backward(loss)
        for layer in self._binary:
            layer.weight.data.copy_(layer.latent)
        self.optimizer.step()
        for layer in self._binary:
            layer.latent.copy_(layer.weight.data.clamp_(-1, 1))
        return loss


class OurTraining:
    """`recipe`'s own step, for the comparison."""

    name = "ours"

    def __init__(self, recipe: Recipe, model: nn.Module) -> None:
        self.recipe, self.model = recipe, model
        self.optimizer, _ = recipe.optimizer(model)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One training step; the loss."""
        self.optimizer.zero_grad()
        loss = self.recipe.loss(self.model(images), labels)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return loss


class TorchTraining(OurTraining):
    """`recipe`'s own step with everything left to torch: what stands for the plain way of all other networks."""

    name = "torch"

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One training step; the loss."""
        with native.off():
            return super().step(images, labels)


def _plain(layer: nn.Module) -> nn.Module:
    if isinstance(layer, BinaryLayer) and layer.bias is None and layer.input_quantizer is None:
        if isinstance(layer, BinaryLinear):
            return PlainLinear(layer)
        if isinstance(layer, BinaryConv2d) and layer.stride == (1, 1) and layer.groups == 1 and layer.pad_value == 0:
            return PlainConv2d(layer)
    if isinstance(layer, SteSign) and layer.clip == 1:
        return PlainSign()
    if isinstance(layer, ByteInput) and layer.scale == 1:
        return PlainBytes()
    if isinstance(layer, nn.Flatten | nn.Dropout | nn.BatchNorm1d | nn.BatchNorm2d | nn.MaxPool2d):
        return layer
    raise InputError(f"the plain way has no {layer}; it is written for recipes such as bnn-mnist and bnn-cifar10")
