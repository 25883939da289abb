"""Neurons of few inputs: each reads as many as it was told, all inputs are read, thermometers are steps of a byte."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.errors import InputError, RecipeError
from binarynet.graph import interpret
from binarynet.graph.ir import Conv2d, Linear
from binarynet.lower import lower
from binarynet.nn import ByteInput
from binarynet.nn.papers.connections import FixedConnections, Thermometer, draw, draw_near


def test_connections_are_so_many_deal_out_all_channels_and_are_alike_in_a_block():
    torch.manual_seed(0)
    mask = draw(12, 10, 4, block=2)
    assert mask.sum(1).tolist() == [4] * 12
    assert torch.equal(mask[::2], mask[1::2])
    read = mask[::2].sum(0)
    assert read.min() >= 1
    assert read.max() <= 4
    assert draw(3, 2, 7).all()  # no more than there are
    with pytest.raises(InputError, match="1 or more"):
        draw(3, 4, 0)


def test_the_first_layer_reads_within_a_square():
    torch.manual_seed(0)
    for row in draw_near(20, (2, 9, 7), 8, 3).view(20, 2, 9, 7):
        assert row.sum() == 8
        for side in (torch.nonzero(row)[:, 1], torch.nonzero(row)[:, 2]):
            assert side.max() - side.min() < 3


def test_what_is_not_connected_stays_zero_and_learns_nothing():
    quantizer = FixedConnections(torch.tensor([[True, False, True]]))
    latent = torch.tensor([[0.5, 2.0, -0.0]], requires_grad=True)
    value = quantizer(latent)
    assert value.tolist() == [[1, 0, 1]]
    value.sum().backward()
    assert latent.grad is not None
    assert latent.grad.tolist() == [[1, 0, 1]]


def test_a_thermometer_has_a_step_for_each_level():
    x = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    bits = Thermometer(1, 3)(ByteInput()(x)).flatten(2)
    assert [(one < 0).sum().item() for one in bits[0]] == [64, 128, 192]
    with pytest.raises(InputError, match="levels"):
        Thermometer(1, 0)


@pytest.mark.parametrize("name", ["sparse-mnist", "sparse-small-mnist"])
def test_neurons_read_6_to_64_inputs_in_the_integer_graph(name):
    torch.manual_seed(0)
    recipe = recipes.get(name)
    model = recipe.model((1, 28, 28), 10).eval()
    graph = lower(model, (1, 28, 28))
    hidden = [op for op in graph.ops if isinstance(op, Linear | Conv2d)][1:-1]  # but for thermometer and classes
    for op in hidden:
        read = (np.asarray(op.weight) != 0).reshape(op.weight_shape[0], -1).sum(1)
        assert read.min() >= 6
        assert read.max() <= 64
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)
    with torch.no_grad():
        wanted = model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(interpret(graph, images), wanted, rtol=1e-5, atol=1e-5)  # a norm, in another order


def test_images_too_small_for_the_convolutions_are_refused():
    with pytest.raises(RecipeError, match="too small"):
        recipes.get("sparse-mnist").model((1, 2, 2), 10)
