"""The table of docs/imagenet.md: what a run of each recipe for ImageNet costs, computed from the networks themselves.

    python docs/imagenet_costs.py [--flops 3e13] [--gpus 8] [--cores 128] [--seconds-per-photograph 0.006]

A multiply-add is two operations. A training step is three times the forward pass: the product itself, the gradient of
its input and that of its weights; a teacher's forward pass is not counted. Hours of GPUs are operations ÷ what they
sustain, hours of decoding photographs × what a core takes for one: both go on at the same time, so the longer one
counts.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import ceil

import torch
from torch import nn

from binarynet import recipes
from binarynet.data.streamed import ONE_IN
from binarynet.nn import BinaryConv2d, BinaryLinear
from binarynet.recipes.imagenet import CLASSES, TRAINING, ImageNet

FLOPS, GPUS, CORES, DECODING = 3e13, 8, 128, 0.006
NETS: tuple[tuple[str, dict[str, str]], ...] = (
    ("bwn-imagenet", {}),
    ("bwn-imagenet", {"network": "resnet18"}),
    ("bwn-imagenet", {"network": "resnet34", "weights": "float"}),
    ("xnornet-imagenet", {}),
    ("xnornet-imagenet", {"network": "resnet18"}),
    ("dorefa-imagenet", {}),
    ("qnn-imagenet", {}),
    ("qnn-imagenet", {"network": "googlenet"}),
    ("bireal-imagenet", {}),
    ("bireal-imagenet", {"depth": "34"}),
    ("reactnet-imagenet", {"weights": "float"}),
    ("reactnet-imagenet", {}),
)


@dataclass(frozen=True)
class Cost:
    """macs: multiply-adds of an image forward, ``binary`` of them with weights that are quantized. weights: parameters,
    ``stored`` the bytes of theirs in a file. epochs, images: of the whole run; batch: images of a step."""

    macs: int
    binary: int
    weights: int
    stored: int
    epochs: int
    images: int
    batch: int

    @property
    def operations(self) -> float:
        """Of the whole run."""
        return 3 * 2 * self.macs * self.images

    def hours(self, flops: float, gpus: int) -> float:
        return self.operations / flops / gpus / 3600

    def hours_of_decoding(self, seconds: float, cores: int) -> float:
        return self.images * seconds / cores / 3600


def cost(name: str, settings: dict[str, str]) -> Cost:
    """Of a recipe with settings, at its own size; the network is built without its numbers."""
    recipe = recipes.get(name).with_settings(settings)
    assert isinstance(recipe, ImageNet)
    shape = recipe.crops().shape
    with torch.device("meta"):
        model = recipe.model(shape, CLASSES).eval()
    found = {"macs": 0, "binary": 0}

    def count(layer: nn.Module, images: tuple[torch.Tensor], answer: torch.Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        macs = answer[0].numel() // len(weight) * weight.numel()  # places × (channels × depth)
        found["macs"] += macs
        found["binary"] += macs if getattr(layer, "weight_quantizer", None) is not None else 0

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers:
        layer.register_forward_hook(count)
    with torch.no_grad():
        model(torch.empty(1, *shape, dtype=torch.uint8, device="meta"))
    weights = sum(parameter.numel() for parameter in model.parameters())
    bits = {
        layer.weight: layer.weight_quantizer.bits
        for layer in layers
        if isinstance(layer, BinaryConv2d | BinaryLinear) and layer.weight_quantizer is not None
    }
    stored = sum(ceil(one.numel() * bits.get(one, 32) / 8) for one in model.parameters())
    images = recipe.epochs * (TRAINING - TRAINING // ONE_IN) // recipe.batch_size * recipe.batch_size
    return Cost(**found, weights=weights, stored=stored, epochs=recipe.epochs, images=images, batch=recipe.batch_size)


def table(flops: float = FLOPS, gpus: int = GPUS, cores: int = CORES, decoding: float = DECODING) -> str:
    """In Markdown."""
    heads = (
        "recipe",
        "epochs × batch",
        "images",
        "multiply-adds of an image, with quantized weights",
        "weights, in the file",
        "operations",
        f"hours on 1 GPU, on {gpus}",
        f"hours that {cores} cores decode",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, settings in NETS:
        one = cost(name, settings)
        said = "".join(f" `{key}={text}`" for key, text in settings.items())
        lines.append(
            f"| `{name}`{said} | {one.epochs} × {one.batch} | {one.images / 1e6:.0f} M | {one.macs / 1e9:.2f} G, "
            f"{100 * one.binary / one.macs:.0f} % | {one.weights / 1e6:.1f} M, {one.stored / 1e6:.1f} MB | "
            f"{one.operations:.1e} | {one.hours(flops, 1):.0f}, {one.hours(flops, gpus):.1f} | "
            f"{one.hours_of_decoding(decoding, cores):.1f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a run of each recipe for ImageNet costs.")
    parser.add_argument("--flops", type=float, default=FLOPS, help="operations a second that one GPU sustains")
    parser.add_argument("--gpus", type=int, default=GPUS)
    parser.add_argument("--cores", type=int, default=CORES, help="that decode photographs, on all machines together")
    parser.add_argument(
        "--seconds-per-photograph", type=float, default=DECODING, help="that a core takes to decode one"
    )
    given = parser.parse_args()
    print(table(given.flops, given.gpus, given.cores, given.seconds_per_photograph), end="")
