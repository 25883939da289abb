"""Random stacks of layers, with all that people do to layers, train in `Sequential` as they do in torch's."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from binarynet.nn import BinaryConv2d, BinaryLinear, Sequential, SteSign, native
from binarynet.nn.quantizers import ScaledSign, TwnTernary

pytestmark = pytest.mark.skipif(native.engine is None, reason="the extension binarynet._training is not built")


SEEDS = 50


@pytest.fixture(autouse=True)
def every_size_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "ELEMENTS", 0)
    monkeypatch.setattr(native, "PRODUCTS", 0)


class OwnNorm1d(nn.BatchNorm1d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 1.5


class OwnNorm2d(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 1.5


class OwnSign(SteSign):
    def value(self, x: Tensor) -> Tensor:
        return super().value(x - 0.25)


class OwnLinear(BinaryLinear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def norm(draw: random.Random, flat: bool, channels: int, affine: bool = True) -> Any:
    kind = draw.choice([nn.BatchNorm1d] * 5 + [OwnNorm1d]) if flat else draw.choice([nn.BatchNorm2d] * 5 + [OwnNorm2d])
    layer: Any = kind(
        channels,
        eps=draw.choice([1e-5, 1e-3]),
        momentum=draw.choice([0.1, 0.1, 0.3, None]),
        affine=affine,
        track_running_stats=draw.random() < 0.85,
    )
    if layer.affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
        with torch.no_grad():
            layer.weight[0] = 0.0
    return layer


def stack(draw: random.Random) -> tuple[list[nn.Module], Tensor]:
    """Layers, and what they read: bytes, signs or reals, as pixels or flat."""
    images, channels, side = draw.choice([2, 3, 5]), draw.choice([1, 3, 5, 32, 33]), draw.choice([4, 6, 8])
    flat = draw.random() < 0.4
    shape = (images * 4, channels * 9) if flat else (images, channels, side, side)
    x = draw.choice([torch.randn(shape), torch.randn(shape).sign(), torch.randint(0, 256, shape).float()])
    layers: list[nn.Module] = []
    width = shape[1]
    for _ in range(draw.randint(2, 7)):
        kinds = [
            "norm",
            "norm sign",
            "norm sign product",
            "norm sign product",
            "sign",
            "product",
            "drop",
            "ramp",
            "relu",
        ]
        kind = draw.choice(kinds if flat else [*kinds, "pool", "pool", "flatten"])
        if "norm" in kind:
            layers.append(norm(draw, flat, width))
        if "sign" in kind:
            layers.append(draw.choice([SteSign, SteSign, SteSign, OwnSign])(clip=draw.choice([1.0, 0.5, 2.0])))
        if "product" in kind:
            wide, bias, groups = draw.choice([1, 8, 33]), draw.random() < 0.5, 1
            quantizers: dict[str, Any] = {
                "weight_quantizer": draw.choice(["ste_sign", "identity_sign", ScaledSign(), TwnTernary(), None]),
                "input_quantizer": draw.choice([None, None, "ste_sign"]),
            }
            if flat:
                linear = draw.choice([BinaryLinear, BinaryLinear, OwnLinear])
                product: Any = linear(width, wide, bias, **quantizers)
            else:
                if draw.random() < 0.2:
                    groups, wide = width, width
                window: dict[str, Any] = {"stride": draw.choice([1, 1, 2]), "padding": 1, "groups": groups}
                product = BinaryConv2d(width, wide, 3, bias=bias, **window, **quantizers)
                side = (side - 1) // window["stride"] + 1
            if bias:
                nn.init.normal_(product.bias)
            layers.append(product)
            width = wide
        if kind == "pool" and side % 2 == 0 and side > 2:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        if kind == "drop":
            layers.append(nn.Dropout(0.0))
        if kind == "ramp":
            layers.append(nn.Hardtanh(inplace=draw.random() < 0.5))
        if kind == "relu":
            layers.append(nn.ReLU(inplace=draw.random() < 0.5))
        if kind == "flatten":
            layers.append(nn.Flatten())
            flat, width = True, width * side * side
    if draw.random() < 0.3:  # not before a sign: where no shift is added, 0 is frequent
        layers.append(norm(draw, flat, width, affine=False))
    if x.ndim == 4 and draw.random() < 0.7:
        x = x.contiguous(memory_format=torch.channels_last)
    if draw.random() < 0.1:
        x = x.mT
        x = x.mT  # a view of a view
    return layers, x


def hooked(layer: nn.Module) -> None:
    layer.register_forward_hook(lambda module, inputs, output: output * 2)


def listened(layer: nn.Module) -> None:
    layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] - 0.125,))


def heard_backwards(layer: nn.Module) -> None:
    def thrice(module: nn.Module, before: Any, after: Any) -> Any:
        return tuple(None if one is None else one * 3 for one in before)

    layer.register_full_backward_hook(thrice)


def heard_first(layer: nn.Module) -> None:
    def five_times(module: nn.Module, gradients: Any) -> Any:
        return tuple(one * 5 for one in gradients)

    layer.register_full_backward_pre_hook(five_times)


def replaced(layer: nn.Module) -> None:
    plain = layer.forward
    layer.forward = lambda x: plain(x) * 7


def frozen(layer: nn.Module) -> None:
    layer.requires_grad_(False)


def evaluated(layer: nn.Module) -> None:
    layer.eval()


def pruned(layer: nn.Module) -> None:
    if isinstance(getattr(layer, "weight", None), nn.Parameter):
        prune.l1_unstructured(layer, "weight", amount=0.3)  # type: ignore[no-untyped-call]


def parametrized(layer: nn.Module) -> None:
    if isinstance(layer, BinaryLinear | BinaryConv2d):
        parametrizations.weight_norm(layer)


def nothing(layer: nn.Module) -> None:
    pass


DEEDS: list[Callable[[nn.Module], None]] = [
    nothing,
    nothing,
    hooked,
    listened,
    heard_backwards,
    heard_first,
    replaced,
    frozen,
    evaluated,
    pruned,
    parametrized,
]


def trained(layers: nn.Module, x: Tensor, twice: bool) -> dict[str, Tensor]:
    """All that a training step leaves."""
    x = x.clone(memory_format=torch.preserve_format)
    leaf = x.requires_grad_() if x.is_floating_point() else x
    torch.manual_seed(2)
    y = layers(leaf * 1.0)
    if twice:
        y = y + layers(leaf * -1.0)
    torch.manual_seed(3)
    g = torch.randn(y.shape).to(y)
    if y.requires_grad:
        y.backward(g)
    found = {"y": y.detach(), **{f"buffer {name}": value.clone() for name, value in layers.named_buffers()}}
    if leaf.grad is not None:
        found["dx"] = leaf.grad
    return found | {f"d {name}": p.grad for name, p in layers.named_parameters() if p.grad is not None}


def train_three(seed: int, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Tensor], list[dict[str, Tensor]]]:
    """What happened, what `Sequential` leaves, and what torch's leaves in float32 and in float64."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    monkeypatch.setattr(native, "_kernel", draw.choice(native.RUNS))
    monkeypatch.setattr(native, "_gradients", "float32")
    layers, x = stack(draw)
    at, deed, twice, again = draw.randrange(len(layers)), draw.choice(DEEDS), draw.random() < 0.2, draw.random() < 0.1
    trios = [layers, copy.deepcopy(layers), copy.deepcopy(layers)]
    for each in trios:
        torch.manual_seed(seed)
        deed(each[at])
        if again and isinstance(each[at], nn.BatchNorm1d | nn.BatchNorm2d):
            each.insert(at, each[at])  # one module in two places
    with native.off():
        theirs = trained(nn.Sequential(*trios[1]), x, twice)
        exact = trained(nn.Sequential(*trios[2]).double(), x.double(), twice)
    ours = Sequential(*layers)
    return f"{ours}, {deed.__name__} on {at}", trained(ours, x, twice), [theirs, exact]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_stack_trains_as_in_torch(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        what, ours, (theirs, exact) = train_three(seed, monkeypatch)
    except RuntimeError as error:
        if "inplace" not in str(error):
            raise
        return  # torch refuses a step in place
    assert ours.keys() == theirs.keys()
    sizes = {name: float(one.nan_to_num().abs().max()) for name, one in exact.items()}
    largest = max((size for name, size in sizes.items() if name[0] == "d"), default=1.0)
    for name, value in ours.items():
        size = largest if name[0] == "d" else sizes[name]  # some gradients are 0 but for rounding
        bound = 2e-3 * size + 1e-3
        if float((theirs[name] - exact[name]).nan_to_num().abs().max()) > bound / 4:
            continue  # a tie, which float32's rounding decides in torch, too
        torch.testing.assert_close(
            value.double(), exact[name].double(), rtol=0, atol=bound, equal_nan=True, msg=f"{name} of {what}"
        )
