"""The quantizers of QONNX beside the package that defines them."""

from __future__ import annotations

import numpy as np
import pytest

from binarynet.importer.model import Node
from binarynet.importer.quantizers import _ROUNDINGS, quantizer

qonnx = pytest.importorskip("qonnx.custom_op.general.quant", reason="pip install 'binarynet[onnx]'")
trunc = pytest.importorskip("qonnx.custom_op.general.trunc", reason="pip install 'binarynet[onnx]'")
HALVES = np.append(np.arange(-20, 20.5, 0.25), [-0.0, 1e-30, -1e-30, 1e30, -1e30]).astype(np.float32)[None]


def node(kind: str, **attributes) -> Node:
    return Node("one", kind, "qonnx.custom_op.general", ("x",), ("y",), attributes, None)


# bits, scale, zero point, narrow; one bit that is narrow, or has a zero point, holds nothing
SHAPES = [
    (bits, scale, zero, narrow)
    for bits in (1, 2, 4, 7)
    for scale, zero in ((1.0, 0.0), (0.3, 0.0), (2.0, 3.0))
    for narrow in (0, 1)
    if bits > 1 or not (narrow or zero)
]


@pytest.mark.parametrize("rounding", list(_ROUNDINGS))
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize(("bits", "scale", "zero", "narrow"), SHAPES)
def test_integers_are_those_of_the_package(bits, scale, zero, narrow, signed, rounding):
    parameters = [np.asarray(one, np.float32) for one in (scale, zero, bits)]
    made = quantizer(node("Quant", signed=signed, narrow=narrow, rounding_mode=rounding), [None, *parameters])
    expected = qonnx.quant(HALVES, *parameters, signed, narrow, rounding)
    found = made.numbers(HALVES)
    np.testing.assert_array_equal((found * made.unit).astype(np.float32), expected)
    assert found.min() == made.low
    assert found.max() == made.high


@pytest.mark.parametrize("rounding", list(_ROUNDINGS))
@pytest.mark.parametrize("after", [1, 3, 4, 8])
def test_upper_bits_are_those_of_the_package(after, rounding):
    """Both forms of Trunc: with the bits before and after, and with the scale behind it, which clips."""
    x = np.arange(-300, 300, dtype=np.float32)[None] * np.float32(0.25)
    scale, zero, before, bits = (np.asarray(one, np.float32) for one in (0.25, 0.0, 9.0, after))
    made = quantizer(node("Trunc", rounding_mode=rounding), [None, scale, zero, before, bits], reach=(-75.0, 75.0))
    found = (made.numbers(x) * made.unit).astype(np.float32)
    np.testing.assert_array_equal(found, trunc.trunc_v1(x, scale, zero, before, bits, rounding))
    for behind, signed, narrow in ((0.25, 1, 0), (1.0, 0, 0), (2.0, 1, 1)):
        behind = np.asarray(behind, np.float32)
        of = node("Trunc", rounding_mode=rounding, signed=signed, narrow=narrow)
        if after == 1 and narrow:
            continue  # holds nothing
        made = quantizer(of, [None, scale, zero, before, behind, bits])
        expected = trunc.trunc_v2(x, scale, zero, before, narrow, signed, behind, bits, rounding)
        np.testing.assert_array_equal((made.numbers(x) * made.unit).astype(np.float32), expected)
        assert made.low <= made.numbers(x).min() <= made.numbers(x).max() <= made.high


@pytest.mark.parametrize(
    ("bias", "levels", "scale", "name"),
    [
        (-1, 1, 2, "b1"),
        (0, 1, 1, "u1"),
        (-1, 2, 1, "t2"),
        (0, 2, 1, "u2"),
        (-2, 3, 1, "i2"),
        (-7, 7, 2, "b3"),
        (-3, 5, 2, "b3"),
        (-3, 6, 1, "i3"),
        (0, 255, 1, "u8"),
    ],
)
def test_an_output_takes_the_smallest_encoding_that_holds_it(bias, levels, scale, name):
    table = np.arange(levels, dtype=np.float32)[None]
    made = quantizer(node("MultiThreshold", out_scale=float(scale), out_bias=float(bias)), [None, table])
    assert str(made.encoding) == name


def test_what_no_eight_bits_hold_has_no_encoding():
    table = np.arange(300, dtype=np.float32)[None]
    assert quantizer(node("MultiThreshold"), [None, table]).encoding is None
