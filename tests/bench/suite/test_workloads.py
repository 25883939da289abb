"""What the suite runs: sizes as the papers have them, and the same decisions in every form of a net."""

import numpy as np
import pytest

from binarynet.bench.suite.layers import layers
from binarynet.bench.suite.workloads import KINDS, workloads
from binarynet.errors import InputError
from binarynet.runtime import Session

TINY = workloads(tiny=True)


def test_the_networks_have_the_multiply_adds_of_the_papers():
    works = {work.name: work for work in workloads(["W2", "W3", "W4"])}
    assert works["W2 1 × 4096 × 4096"].macs == {1: 4096 * 4096}
    assert works["W3 MLP, batch 100"].macs == {8: 100 * 784 * 4096, 1: 100 * (2 * 4096 * 4096 + 4096 * 10)}
    assert sum(works["W4 ConvNet, batch 1"].macs.values()) == 616_966_144
    assert works["W2 1 × 4096 × 4096"].bytes == 4096 * 4096 // 8 + 4096 + 4 * 4096


@pytest.mark.parametrize("work", TINY, ids=lambda work: work.name)
def test_every_workload_is_answered_by_the_engine_as_by_the_oracle(work):
    answers = Session(work.graph).logits(work.images(), layout="nhwc")
    expected = work.expected()  # of the first images: the oracle is slow
    if work.kind == "W6":  # reals at the ends, whose sums are added up in another order
        np.testing.assert_allclose(answers[: len(expected)], expected, rtol=1e-5, atol=1e-6)
    else:
        assert (answers[: len(expected)] == expected).all()
    assert len(np.unique(answers)) > 1, "a workload whose answers are all the same proves nothing"


def test_both_directions_of_thresholds_occur_and_half_of_the_bits_are_one():
    for work in (work for work in TINY if work.kind in ("W1", "W2", "W3", "W4")):  # chains
        for layer in layers(work.graph):
            if layer.threshold is not None:
                assert 0 < layer.threshold.rising.mean() < 1
    bits = TINY[1]
    assert bits.to_bits
    assert not bits.is_product


def test_a_workload_that_does_not_exist_is_named():
    with pytest.raises(InputError, match=r"'W9'.* There are W1, W2, W3, W4"):
        workloads(["W1", "W9"])
    assert {work.kind for work in workloads(KINDS)} == set(KINDS)


@pytest.mark.parametrize("zero", [0, 128])
def test_a_dense_net_of_bytes_makes_the_decisions_of_the_binary_net(zero):
    """What int8 libraries are given: products with u8 codes, an integer bias, saturation to 0 / 255."""
    work = next(work for work in TINY if work.kind == "W3")
    codes = work.images().astype(np.int64)
    *hidden, last = layers(work.graph)
    for layer in hidden:
        weight, bias = layer.as_bytes(zero)
        sums = (codes - zero) @ weight.astype(np.int64).T + bias
        codes = np.where(sums >= 1, 255, 0)
    scale, offset = last.last_of_bytes()
    logits = (codes @ last.weight.astype(np.int64).T) * scale + offset
    assert np.abs(logits - work.expected()).max() < 1e-5, "float32 rounding of logits of about 1"


def test_a_float_layer_is_the_product_and_the_folded_norm():
    work = next(work for work in TINY if work.kind == "W3")
    first, *_, last = layers(work.graph)
    weight, bias = first.as_floats()
    numbers = 2.0 * work.images() - 255
    wanted = (numbers @ first.weight.T - first.threshold.thresholds[:, 0]) / 8  # depth 64
    found = work.images() @ weight.T.astype(float) + bias
    assert np.allclose(found, np.where(first.threshold.rising, wanted, -wanted), atol=1e-2)
    assert (last.as_floats()[0] == last.weight * last.affine.scale[:, None]).all()


def test_a_dense_layer_behind_an_image_reads_channels_first():
    work = next(work for work in TINY if work.kind == "W4")
    dense = next(layer for layer in layers(work.graph) if layer.flattens)
    height, width, channels = dense.flattens
    original = next(
        op for op in work.graph.ops if getattr(op, "weight", None) is not None and op.weight.shape == dense.weight.shape
    )
    image = np.arange(height * width * channels).reshape(height, width, channels)
    first = dense.weight @ image.transpose(2, 0, 1).reshape(-1)
    assert (first == original.weight @ image.reshape(-1)).all()
