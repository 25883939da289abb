"""The float32 twin: it does every step of the graph, in the graph's shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from binarynet import recipes
from binarynet.bench.twin import float_twin
from binarynet.graph import Graph, verify
from binarynet.graph.ir import Conv2d, Input, MaxPool2d, Mul, SumPool2d
from binarynet.lower import lower
from tests.export.graphs import MAKERS
from tests.runtime.graphs import Maker


def images(graph: Graph, n: int = 2) -> Tensor:
    shape = graph.input.shape
    return torch.randn(n, *((shape[2], *shape[:2]) if len(shape) == 3 else shape))


def made(graph: Graph) -> dict[str, tuple[tuple[Tensor, ...], Tensor]]:
    """Op → what its layer read, and made."""
    twin, found = float_twin(graph), {}

    def note(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, read: tuple[Tensor, ...], answer: Tensor) -> None:
            found[name] = read, answer

        return hook

    for (name, _), layer in zip(twin.steps, twin.layers, strict=True):
        layer.register_forward_hook(note(name))
    twin(images(graph))
    return found


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_op_makes_a_value_of_the_graphs_shape(make: Callable[[], Any]) -> None:
    graph = make().graph()
    found, values = made(graph), verify(graph)
    assert set(found) == {op.name for op in graph.ops[1:]}
    for name, (_, answer) in found.items():
        shape = values[name].shape
        assert answer.shape[1:] == ((shape[2], *shape[:2]) if len(shape) == 3 else shape), name


def test_xnor_net_is_timed_with_its_k_map() -> None:
    recipe = recipes.get("xnornet-digits").with_settings({"k_map": "true"})
    graph = lower(recipe.model((1, 8, 8), 10).eval(), (1, 8, 8), allow_real=True)
    factors = [op for op in graph.ops if isinstance(op, Mul)]
    assert factors
    found = made(graph)
    for op in factors:
        (x, factor), answer = found[op.name]
        assert torch.equal(answer, x * factor)
        assert not torch.equal(answer, x)


def test_padding_that_torch_has_not_is_made_before_the_layer() -> None:
    make = Maker((7, 6, 2), "b1", seed=5)
    make.conv(4, (3, 3), padding=((0, 2), (1, 0)))
    make.threshold()
    make.max_pool((3, 2), (2, 1), ((2, 0), (0, 1)))
    make.sum_pool((2, 2), (1, 1), ((1, 0), (0, 1)))
    graph = make.graph()
    kinds = [type(op) for op in graph.ops]
    assert {Input, Conv2d, MaxPool2d, SumPool2d} <= set(kinds)
    values = verify(graph)
    for name, (_, answer) in made(graph).items():
        height, width, channels = values[name].shape
        assert answer.shape[1:] == (channels, height, width)
        assert answer.isfinite().all()
