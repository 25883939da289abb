"""Networks that the tests of the exports share: one of every kind, and any with any encodings.

Real operands hold whole numbers, so that their products are exact.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.runtime.graphs import Maker

WEIGHTS = ("b1", "b2", "b7", "u1", "u3", "u7", "i2", "i4", "i8", "t2")
CODES = ("b1", "b2", "b4", "u1", "u2", "u5", "i2", "i4", "t2")
SAME = ((1, 1), (1, 1))


class Whole(Maker):
    """A `Maker` whose real weights are small whole numbers, so that no order of a sum rounds."""

    def weights(self, encoding: str, *shape: int) -> np.ndarray:
        if encoding == "f32":
            return self.random.integers(-3, 4, shape).astype(np.float32)
        return super().weights(encoding, *shape)


def mlp() -> Maker:
    make = Maker((70,), "b8", seed=1)
    for width in (65, 33):
        make.linear(width)
        make.threshold()
    make.linear(10)
    make.affine()
    return make


def convnet() -> Maker:
    make = Maker((7, 6, 3), "b8", seed=2)
    make.conv(9, padding=((1, 1), (1, 1)))
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.conv(66, padding=((1, 1), (1, 1)))
    make.threshold("extreme")
    make.flatten()
    make.linear(5)
    return make


def residual() -> Maker:
    make = Maker((5, 5, 6), "u8", seed=3)
    make.conv(8, stride=(2, 2), padding=((1, 1), (1, 1)))
    trunk = make.affine()
    make.threshold(source=trunk)
    make.conv(8, padding=((1, 1), (1, 1)), groups=2)
    make.affine()
    make.add(trunk, make.last)
    make.prelu()
    make.relu()
    make.sum_pool((3, 3), (1, 1))
    make.affine()
    return make


def ternary() -> Whole:
    make = Whole((6, 6, 5), "b1", seed=4)
    make.conv(7, padding=SAME, encoding="t2")
    make.threshold(encoding="t2")
    make.conv(6, padding=SAME, encoding="t2")
    make.threshold(encoding="u2")
    make.max_pool((2, 2), (2, 2))
    make.flatten()
    make.linear(4, encoding="t2")
    return make


def reals() -> Whole:
    """Real operands hold whole numbers here, so that no order of a sum rounds."""
    make = Whole((5, 5, 2), "u8", seed=5)
    make.conv(3, padding=SAME, encoding="f32")
    make.relu()
    for encoding in ("b1", "t2", "i4", "f32"):
        make.conv(2, padding=SAME, encoding=encoding)
    make.max_pool((2, 2), (1, 1))
    make.flatten()
    make.linear(3, encoding="b1")
    return make


def factors() -> Whole:
    """XNOR-Net's K map: a value times an image of one channel."""
    make = Whole((4, 4, 3), "u4", seed=6)
    make.affine()
    image = make.last
    make.threshold(source=image)
    make.conv(1, padding=SAME, encoding="b1")
    factor = make.affine()
    make.mul(image, factor)
    make.sum_pool((2, 2), (2, 2))
    return make


def gates() -> Whole:
    """Squeeze-and-excitation, and every function."""
    make = Whole((4, 5, 6), "u3", seed=9)
    image = make.affine()
    make.sum_pool((4, 5), (4, 5))
    make.affine()
    gate = make.apply("sigmoid")
    image = make.mul(image, gate)
    make.apply("tanh")
    make.mul(make.last, make.apply("erf"))
    make.add(image, make.last)
    make.flatten()
    vector = make.apply("tanh")
    make.take(channels=[5])
    make.mul(vector, make.last)
    make.take([0, 0], [0, -1, 0], range(7))
    return make


def moved() -> Maker:
    """Bits, codes, accumulators and reals: cut, repeated, shuffled, padded and joined."""
    make = Maker((5, 4, 3), "b4", seed=10)
    trunk = make.conv(66, padding=SAME)
    bits = make.threshold()
    make.take([4, 0, 0, 2], [1, 3], [65, *range(66), 0], source=bits)
    both = make.concat(make.last, make.take([0, 1, 2, 3], [2, 2], [7, 7, 3], source=bits))
    make.conv(5, source=both, kernel=(2, 2), padding=SAME)
    sums = make.take([-1, 0, 1, 4, 4, -1], None, [-1, 4, 0, 1, -1])
    make.affine()
    make.threshold(encoding="t2")
    codes = make.take([0, -1, 5, 3, 2, 1], None, [-1, 0, 2, 3, 4])
    make.conv(5, padding=SAME, source=codes)
    make.concat(sums, make.last, make.take([0, 1, 2, 3, 4, 0], [0, 1, 3], [1], source=trunk))
    joined = make.last
    make.take([3, 3, 0, 1, 4, 5], [2, 0, 1], [0, *range(11)], source=joined)
    make.threshold()
    make.conv(11, padding=SAME)
    make.concat(joined, make.last)
    make.threshold(encoding="u2")
    make.conv(6, padding=SAME)
    make.affine()
    make.concat(make.last, make.take(channels=[2, -1], source=make.last))
    make.flatten()
    make.take(channels=range(0, 80, 7))
    make.concat(make.last, make.last)
    return make


def pixels_within_words() -> Maker:
    """Flattened bits whose pixels end within a word, cut and joined as vectors."""
    make = Maker((3, 2, 5), "b1", seed=11)
    make.conv(7, padding=SAME)
    make.threshold()
    make.flatten()
    flat = make.last
    make.take(channels=[41, *range(3, 20), 0, 7])
    make.concat(flat, make.last, flat)
    make.linear(6)
    make.threshold(encoding="u1")
    make.take(channels=[5, -1, 0, 1, 2, 3, -1])
    make.linear(3)
    return make


def pictured() -> Whole:
    """Vectors that become images, of accumulators and of reals; roots and reciprocals."""
    make = Whole((3, 4, 2), "u3", seed=12)
    flat = make.flatten()
    make.linear(24, source=flat)
    make.unflatten(2, 3, 4)
    make.threshold(encoding="u2")
    make.conv(4, padding=SAME)
    whole = make.affine()
    make.linear(24, source=flat, encoding="f32")
    make.unflatten(2, 3, 4)
    image = make.affine()
    make.mul(image, image)
    make.apply("sqrt")
    make.mul(image, make.apply("reciprocal"))
    make.add(whole, make.last)
    make.sum_pool((1, 2), (1, 1))
    return make


def bits_as_answer() -> Maker:
    make = Maker((9,), "b1", seed=7)
    make.linear(70)
    make.threshold()
    return make


def real_input() -> Maker:
    make = Maker((4, 4, 2), "f32", seed=8)
    make.threshold()
    make.conv(3, dilation=(2, 1), padding=((0, 2), (1, 0)), pad_value=1)
    make.flatten()
    return make


MAKERS = (mlp, convnet, residual, ternary, reals, factors, gates, moved, pictured, pixels_within_words)
MAKERS += (bits_as_answer, real_input)


@st.composite
def wide_nets(draw: st.DrawFn) -> Whole:
    """Products and thresholds of any encoding, padded with any of their values or with 0."""
    image = draw(st.booleans())
    sizes = st.integers(3, 6)
    shape = (draw(sizes), draw(sizes), draw(st.sampled_from([1, 3, 33]))) if image else (draw(st.integers(1, 140)),)
    make = Whole(shape, draw(st.sampled_from(["b1", "b3", "b8", "u1", "u4", "u8"])), seed=draw(st.integers(0, 2**20)))
    for _ in range(draw(st.integers(1, 3))):
        weights = draw(st.sampled_from(WEIGHTS))
        if image:
            groups = draw(st.sampled_from([g for g in (1, 1, 3) if make.value().channels % g == 0]))
            code = make.value().encoding
            outside = draw(st.sampled_from([0, *range(code.low, code.high + 1, code.step)]))
            make.conv(3 * groups, (3, 2), padding=((1, 1), (2, 1)), pad_value=outside, groups=groups, encoding=weights)
        else:
            make.linear(draw(st.sampled_from([1, 2, 17, 65])), encoding=weights)
        make.threshold(encoding=draw(st.sampled_from(CODES)))
        if image and draw(st.booleans()):
            make.max_pool((2, 2), (1, 2), ((0, 1), (1, 0)))
    return make
