"""The packing convention, at the edges of a word."""

import numpy as np
import pytest

from binarynet.format.bits import from_planes, pack, planes, tail_is_zero, unpack, words_for
from binarynet.graph import Encoding

LENGTHS = (1, 63, 64, 65, 127, 128, 784, 4607)


@pytest.mark.parametrize("length", LENGTHS)
def test_unpack_undoes_pack(length):
    values = np.random.default_rng(length).choice(np.array([-1, 1], np.int8), (3, length))
    words = pack(values)
    assert words.shape == (3, words_for(length))
    assert words.dtype == np.uint64
    assert np.array_equal(unpack(words, length), values)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_tail_is_zero_even_when_all_values_are_plus_one(length):
    words = pack(np.ones((2, length)))
    assert tail_is_zero(words, length)
    assert int(np.unpackbits(words.view(np.uint8)).sum()) == 2 * length


def test_a_set_tail_bit_is_seen():
    words = pack(np.ones(65))
    words[1] |= np.uint64(1 << 63)
    assert not tail_is_zero(words, 65)


def test_value_i_is_bit_i_mod_64_of_word_i_div_64():
    for i in (0, 1, 31, 32, 63, 64, 69):
        values = -np.ones(70)
        values[i] = 1
        assert pack(values).tolist() == [(1 << i) % 2**64 if i < 64 else 0, 1 << (i - 64) if i >= 64 else 0]


@pytest.mark.parametrize("length", LENGTHS)
def test_dot_is_depth_minus_twice_the_popcount_of_xor(length):
    rng = np.random.default_rng(length)
    a, w = rng.choice([-1, 1], (2, length))
    popcount = int(np.unpackbits((pack(a) ^ pack(w)).view(np.uint8)).sum())
    assert length - 2 * popcount == int(a @ w)


@pytest.mark.parametrize("name", ["b2", "b8", "u1", "u4", "u8", "i2", "i5", "i8", "t2"])
def test_planes_hold_every_value_of_an_encoding(name):
    encoding = Encoding.parse(name)
    step = 2 if encoding.kind == "b" else 1
    every = np.arange(encoding.low, encoding.high + 1, step)
    every = every[(every >= -128) & (every <= 127)]
    digits = planes(every, encoding)
    assert digits.shape == (encoding.bits, len(every))
    assert np.array_equal(from_planes(digits, encoding), every)


def test_bipolar_digits_sum_to_the_value():
    values = np.arange(-255, 256, 2)
    digits = np.where(planes(values, Encoding.parse("b8")), 1, -1)
    assert np.array_equal((digits * (1 << np.arange(8))[:, None]).sum(0), values)
