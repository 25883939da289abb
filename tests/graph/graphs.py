"""Small graphs that tests of several packages share."""

from __future__ import annotations

import numpy as np

from binarynet.graph import Graph
from binarynet.graph.ir import Affine, Conv2d, Flatten, Input, Linear, MaxPool2d, Threshold


def signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.choice(np.array([-1, 1], np.int8), shape)


def threshold(rng: np.random.Generator, name: str, source: str, channels: int, bound: int) -> Threshold:
    thresholds = rng.integers(-bound, bound + 2, (channels, 1)).astype(np.int32)
    return Threshold(name, (source,), thresholds, rng.random(channels) < 0.5)


def small_mlp(seed: int = 0, features: int = 10, hidden: int = 5, classes: int = 3) -> Graph:
    rng = np.random.default_rng(seed)
    return Graph(
        (
            Input("input", (), (features,), "b8"),
            Linear("linear1", ("input",), signs(rng, hidden, features)),
            threshold(rng, "sign1", "linear1", hidden, 255 * features // 4),
            Linear("classes", ("sign1",), signs(rng, classes, hidden)),
            Affine(
                "logits",
                ("classes",),
                rng.normal(size=classes).astype(np.float32),
                rng.normal(size=classes).astype(np.float32),
            ),
        ),
        {"classes": "\n".join("abcdefghij"[:classes]), "recipe": "test"},
    )


def small_convnet(seed: int = 0, channels: int = 3, filters: int = 7, side: int = 6) -> Graph:
    rng = np.random.default_rng(seed)
    return Graph(
        (
            Input("input", (), (side, side, channels), "b8"),
            Conv2d("conv1", ("input",), signs(rng, filters, 3, 3, channels), padding=((1, 1), (1, 1))),
            threshold(rng, "sign1", "conv1", filters, 500),
            MaxPool2d("pool1", ("sign1",), (2, 2), (2, 2), rng.random(filters) < 0.5),
            Flatten("flatten", ("pool1",)),
            Linear("classes", ("flatten",), signs(rng, 4, filters * (side // 2) ** 2)),
        ),
        {},
    )
