"""Packed weights: integers to bits and back, and the codes that the native engine takes."""

import numpy as np
import pytest

from binarynet.format import packed
from binarynet.format.bits import tail_is_zero, unpack
from binarynet.format.packed import Packed
from binarynet.graph import Encoding, Graph
from binarynet.graph.ir import Input, Linear
from binarynet.graph.verify import verify

ENCODINGS = ["b1", "b2", "b7", "b8", "u1", "u4", "u8", "i2", "i5", "i8", "t2"]


def weights(encoding: str, out: int, depth: int) -> np.ndarray:
    code = Encoding.parse(encoding)
    values = np.arange(code.low, code.high + 1, code.step)
    values = values[(values >= -128) & (values <= 127)].astype(np.int8)
    return np.random.default_rng(depth).choice(values, (out, depth))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("depth", [1, 63, 64, 65, 130])
def test_codes_count_from_the_lowest_value_and_numbers_come_back(encoding, depth, monkeypatch):
    monkeypatch.setattr(packed, "_AT_ONCE", 2 * depth)  # two rows at a time
    weight, code = weights(encoding, 5, depth), Encoding.parse(encoding)
    made = Packed.of(weight, encoding)
    assert np.array_equal(made.numbers(), weight)
    assert made.are_weights()
    planes = made.codes()
    assert planes.shape == (code.bits, 5, -(-depth // 64))
    assert tail_is_zero(planes, depth)
    digits = unpack(planes, depth) > 0
    counted = (digits * (1 << np.arange(code.bits))[:, None, None]).sum(axis=0)
    assert np.array_equal(counted, (weight.astype(int) - code.low) // code.step)


def test_images_of_weights_keep_their_shape():
    weight = weights("t2", 6, 27).reshape(6, 3, 3, 3)
    assert np.array_equal(Packed.of(weight, "t2").numbers(), weight)


def test_a_packed_weight_is_verified_like_an_array():
    for weight, encoding, complaint in [
        (weights("b1", 2, 5).reshape(2, 5, 1), "b1", "rank 2"),
        (weights("b1", 2, 5), "u1", "rank 2 and u1"),
        (weights("b1", 2, 4), "b1", "weights for 4 inputs"),
    ]:
        op = Linear("l", ("x",), Packed.of(weight, "b1"), encoding)
        with pytest.raises(Exception, match=complaint):
            verify(Graph((Input("x", (), (5,), "b1"), op)))
