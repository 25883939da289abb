"""Convolutions that read pixels in place (a matrix unit's) against the oracle: every arrangement, at its edges."""

from __future__ import annotations

import pytest

from binarynet.graph.ir import Padding
from binarynet.runtime import Session, isa
from tests.runtime.graphs import Maker, assert_engines_agree

SAME: Padding = ((1, 1), (1, 1))
NONE: Padding = ((0, 0), (0, 0))


def assert_arrangement(make: Maker, arrangement: str) -> None:
    """The last convolution runs as the test means it to, where this CPU has a matrix unit."""
    if "amx" not in isa.available():
        return
    kernels = Session(make.graph(), isa="amx").kernels
    text = [text for op, text in kernels.items() if op.startswith("conv")][-1]
    assert arrangement in text
    assert ("implicit" in text) == arrangement.startswith("implicit")


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "arrangement"),
    [
        ((8, 8), (3, 3), (1, 1), (1, 1), SAME, "implicit shifted pixels"),
        ((4, 8), (3, 3), (1, 1), (1, 1), SAME, "implicit shifted pixels"),  # 32 positions, one strip
        ((3, 11), (3, 3), (1, 1), (1, 1), SAME, "implicit shifted pixels"),  # 33: two
        ((4, 7), (3, 3), (1, 1), (1, 1), SAME, "gathered"),  # 28: too few
        ((5, 16), (3, 3), (1, 1), (1, 1), SAME, "implicit pixels"),  # an odd number of tiles
        ((7, 28), (2, 5), (1, 1), (1, 1), ((2, 0), (1, 3)), "implicit pixels"),
        ((9, 26), (3, 3), (1, 2), (1, 1), SAME, "implicit pixels"),  # tiles of 13 with a step of two pixels
        ((33, 17), (7, 5), (3, 2), (1, 1), ((3, 3), (2, 2)), "implicit shifted pixels"),
        ((19, 24), (3, 3), (2, 1), (2, 3), ((4, 0), (3, 3)), "implicit pixels"),
        ((20, 19), (3, 2), (2, 3), (1, 4), ((1, 2), (9, 7)), "implicit shifted pixels"),
        ((6, 6), (1, 1), (1, 1), (1, 1), SAME, "implicit shifted pixels"),
        ((12, 12), (1, 1), (2, 2), (1, 1), NONE, "implicit shifted pixels"),
        ((4, 3), (4, 3), (1, 1), (1, 1), ((7, 7), (8, 8)), "implicit shifted pixels"),  # windows wholly outside
    ],
)
def test_windows_of_every_form_in_every_arrangement(size, kernel, stride, dilation, padding, arrangement):
    for encoding, pad_value in (("b1", 0), ("b1", 1), ("b1", -1), ("u3", 0), ("b2", 3)):
        make = Maker((*size, 64), encoding, seed=sum(size))
        make.conv(49, kernel, stride, dilation, padding, pad_value)
        make.threshold()
        assert_engines_agree(make.graph(), make.codes(3))
        assert_arrangement(make, arrangement)


@pytest.mark.parametrize("filters", [1, 33])
@pytest.mark.parametrize("width", [8, 13])
@pytest.mark.parametrize("channels", [1, 16, 47, 48, 65, 96, 128, 145])
def test_pixels_that_end_within_a_word(channels, width, filters):
    for encoding, pad_value in (("b1", 0), ("b1", 1), ("b4", 0)):
        make = Maker((7, width, channels), encoding, seed=channels)
        make.conv(filters, padding=SAME, pad_value=pad_value)
        make.threshold()
        assert_engines_agree(make.graph(), make.codes(2))
        in_place = encoding == "b1" or channels in (48, 96, 128, 145)  # codes: at least three quarters of each line
        assert_arrangement(make, "implicit" if in_place else "implicit patches")


@pytest.mark.parametrize("encoding", ["b8", "u8", "b3"])
@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "dilation"),
    [
        (1, (5, 5), (1, 1), (1, 1)),
        (3, (3, 3), (1, 1), (1, 1)),
        (3, (7, 7), (2, 2), (1, 1)),
        (8, (3, 3), (1, 2), (2, 3)),
    ],
)
def test_patches_of_codes_with_few_channels(encoding, channels, kernel, stride, dilation):
    make = Maker((19, 23, channels), encoding, seed=channels)
    pad_value = 0 if encoding == "u8" else 1
    make.conv(40, kernel, stride, dilation, ((2, 3), (3, 1)), pad_value)
    make.threshold()
    assert_engines_agree(make.graph(), make.codes(3), threads=(1, 3))
    assert_arrangement(make, "implicit patches")


@pytest.mark.parametrize("channels", [32, 63, 64, 65, 129, 300])
@pytest.mark.parametrize("follow", ["accumulators", "affine", "bits", "codes"])
def test_whatever_follows_the_convolution(channels, follow):
    make = Maker((10, 12, 64), "b1", seed=channels)
    make.conv(channels, padding=SAME)
    if follow == "affine":
        make.affine()
    elif follow != "accumulators":
        make.threshold(encoding="b1" if follow == "bits" else "u2")
    assert_engines_agree(make.graph(), make.codes(2))
    assert_arrangement(make, "implicit pixels")


@pytest.mark.parametrize("images", [1, 2, 3, 5, 17, 40])
def test_every_batch_size_and_number_of_threads(images):
    make = Maker((9, 9, 3), "b8", seed=images)
    make.conv(64, padding=SAME)
    make.threshold()
    make.conv(130, padding=SAME)
    make.threshold()
    make.max_pool((2, 2), (1, 1))
    make.conv(48, padding=SAME)
    make.affine()
    assert_engines_agree(make.graph(), make.codes(images), threads=(1, 2, 3, 8))


@pytest.mark.parametrize("encoding", ["b1", "b8"])
def test_images_larger_than_a_block(encoding):
    make = Maker((99, 96, 64 if encoding == "b1" else 3), encoding)
    make.conv(32, padding=SAME)
    make.threshold()
    assert_engines_agree(make.graph(), make.codes(2), threads=(1, 3))
    assert_arrangement(make, "implicit pixels" if encoding == "b1" else "implicit patches")
