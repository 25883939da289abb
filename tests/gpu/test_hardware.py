"""On a real GPU (``pytest -m gpu``): the same equalities at larger sizes, replay, and the whole experiment once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from binarynet import Session
from binarynet.gpu import one_bit
from binarynet.graph import interpret
from tests.gpu.checks import ALL, DEVICE, assert_gpu_agrees
from tests.graph.graphs import small_convnet, small_mlp
from tests.runtime.graphs import Maker

pytestmark = pytest.mark.gpu


# What this GPU has: the one-bit tensor cores of 9.0 too.
METHODS = ALL if one_bit.why_not(DEVICE) else (*ALL, "wgmma")


@pytest.mark.parametrize("depth", [1, 64, 65, 784, 4607])
@pytest.mark.parametrize("encoding", ["b1", "b8", "u2"])
@pytest.mark.parametrize("images", [1, 17, 300])
def test_products_of_every_tile_are_exact(depth, encoding, images):
    make = Maker((depth,), encoding, seed=depth)
    make.linear(130)
    make.threshold()
    make.linear(65)
    make.affine()
    assert_gpu_agrees(make.graph(), make.codes(images), METHODS)


@pytest.mark.parametrize("images", [2, 4, 5, 16, 33, 64])
def test_few_rows_share_weights_and_depth_exactly(images):
    make = Maker((4096,), seed=images)
    make.linear(300)
    make.threshold()
    make.linear(10)
    for _ in range(3):  # whoever draws the last ticket
        assert_gpu_agrees(make.graph(), make.codes(images), METHODS)


@pytest.mark.skipif("wgmma" not in METHODS, reason="this GPU has no one-bit tensor cores that the kernel is made for")
@pytest.mark.parametrize(
    "shape", [(1, 1, 64), (128, 256, 1024), (129, 257, 1088), (1000, 1000, 16000), (4096, 512, 640)]
)
def test_one_bit_tensor_cores_count_exactly(shape):
    one_bit.prove(torch.device("cuda", 0), shape)


@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize("channels", [3, 64, 130])
def test_convolutions_are_exact(channels, pad_value):
    make = Maker((9, 10, channels))
    make.conv(70, padding=((1, 1), (1, 1)), pad_value=pad_value)
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.conv(33, (3, 3), (2, 1), (1, 2), ((2, 2), (2, 2)), pad_value)
    assert_gpu_agrees(make.graph(), make.codes(5), METHODS)


@pytest.mark.parametrize("weight", ["b2", "t2", "i4", "u8", "i8"])
@pytest.mark.parametrize("encoding", ["b1", "b8", "u8"])
def test_other_encodings_are_exact(encoding, weight):
    make = Maker((200,), encoding)
    make.linear(70, encoding=weight)
    make.threshold(encoding="t2")
    make.linear(9)
    assert_gpu_agrees(make.graph(), make.codes(40))


@pytest.mark.parametrize("graph", [small_mlp(hidden=70), small_convnet(filters=70)], ids=["mlp", "convnet"])
def test_replayed_batches_answer_what_the_oracle_answers_each_time(graph):
    session = Session(graph, device="cuda")
    for seed, images in enumerate((1, 3, 64, 65, 1, 3)):
        codes = np.random.default_rng(seed).integers(0, 256, (images, *graph.input.shape)).astype(np.uint8)
        assert np.array_equal(session.logits(codes, layout="nhwc"), interpret(graph, codes))
    assert set(session._runner._recorded) == {1, 3, 64}


def test_the_experiment_runs_and_every_kernel_is_right():
    from binarynet.gpu.bench import Plan, find_gpu, measure, papers_networks

    graphs = papers_networks(width=256, filters=64)
    found = measure(find_gpu(), graphs, [256], (1, 16), 512, [1, 65], Plan(seconds=0.01))
    assert found["failed"] == []
    assert torch.cuda.get_device_name() == found["chip"]["name"]
