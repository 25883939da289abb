"""The three networks that most papers share, with what is the paper's own, the block, as an argument.

A block is a function that returns the modules of one layer by name: layer, norm, activation, dropout, in the order in
which they are run. Modules are made in the order of the network, since each draws its first weights when it is made.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import nn

from binarynet.errors import RecipeError
from binarynet.nn import ByteInput, Sequential

Modules = dict[str, nn.Module]
Dense = Callable[[int, int, int], Modules]
"""(k, features, width) → the modules of the k-th layer, from 1 on: (n, features) → (n, width)."""
Conv = Callable[[int, int, int, Modules], Modules]
"""(k, channels, filters, pool) → the modules of the k-th layer; ``pool`` is empty, or the pool that belongs in it."""
Residual = Callable[[int, int, int], nn.Module]
"""(channels, filters, stride) → a block with its shortcut, which divides height and width by stride."""
Answer = Callable[[int, int], Modules]
"""(features, classes) → the last layer and what stands behind it."""


def mlp(
    shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[int],
    block: Dense,
    answer: Answer,
    *,
    head: Modules | None = None,
) -> Sequential:
    """Flatten – head – a block for each of ``widths`` – answer. ``head`` reads the bytes; by default as 2x − 255."""
    net: Modules = {"flatten": nn.Flatten(), **(head or {"bytes": ByteInput()})}
    features = shape[0] * shape[1] * shape[2]
    for k, width in enumerate(widths, 1):
        net |= block(k, features, width)
        features = width
    return Sequential(OrderedDict(net | answer(features, classes)))


def vgg(
    shape: tuple[int, int, int],
    classes: int,
    filters: Sequence[int],
    hidden: Sequence[int],
    conv: Conv,
    dense: Dense,
    answer: Answer,
    *,
    head: Modules | None = None,
    pooled: int = 2,
) -> Sequential:
    """Head – convolutions, every ``pooled``-th with a 2 × 2 pool – flatten – dense blocks for ``hidden`` – answer.

    Convolutions keep the size of the image, each pool halves it, and a row or column left over is dropped. Dense blocks
    count on from the convolutions: 7, 8 after six of them.
    """
    net: Modules = dict(head or {"bytes": ByteInput()})
    channels, height, width = shape
    for k, count in enumerate(filters, 1):
        pool: Modules = {f"pool{k}": nn.MaxPool2d(2)} if k % pooled == 0 else {}
        net |= conv(k, channels, count, pool)
        channels = count
    net["flatten"] = nn.Flatten()
    halved = 2 ** (len(filters) // pooled)
    features = channels * (height // halved) * (width // halved)
    for k, count in enumerate(hidden, len(filters) + 1):
        net |= dense(k, features, count)
        features = count
    return Sequential(OrderedDict(net | answer(features, classes)))


def vgg_small(
    shape: tuple[int, int, int], classes: int, filters: Sequence[int], conv: Conv, answer: Answer
) -> Sequential:
    """Six convolutions and no hidden dense layer, of bytes read as 2x / 255 − 1. `RecipeError` for images too small."""
    if min(shape[1:]) < 8:
        raise RecipeError(f"images of {shape[1]} × {shape[2]} pixels cannot be halved three times")
    return vgg(shape, classes, filters, [], conv, _none, answer, head={"bytes": ByteInput(1 / 255)})


def _none(k: int, features: int, width: int) -> Modules:
    """No hidden dense layer, so nobody asks for one."""
    return {}


def resnet(
    stem: Modules, filters: int, blocks: Sequence[int], block: Residual, answer: Answer, classes: int
) -> Sequential:
    """Stem – as many blocks in each stage as ``blocks`` says – global average – answer.

    ``stem`` reads the bytes and makes ``filters`` channels of them. Each stage behind the first one starts by halving
    the image and doubling the channels.
    """
    net, channels = dict(stem), filters
    for stage, count in enumerate(blocks):
        for k in range(count):
            net[f"block{stage + 1}_{k + 1}"] = block(channels, filters << stage, 2 if stage and not k else 1)
            channels = filters << stage
    net |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return Sequential(OrderedDict(net | answer(channels, classes)))


def doubled(filters: int, multiplier: float = 1.0) -> list[int]:
    """The six numbers of filters of the papers' ConvNet, 128 128 256 256 512 512 for 128, times ``multiplier``."""
    return [scaled(filters * 2 ** (k // 2), multiplier) for k in range(6)]


def scaled(count: int, multiplier: float) -> int:
    """A number of filters or neurons, times ``multiplier``; one at least."""
    return max(1, round(count * multiplier))
