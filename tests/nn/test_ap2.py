"""AP2 against its table, its two roundings at their break points, and the numbers that are none."""

from __future__ import annotations

import math
from math import inf, nan, nextafter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from binarynet.errors import InputError
from binarynet.nn.ap2 import ap2

NEAREST = {
    2.5: 2,
    2.8: 2,
    2.83: 4,
    2.9: 4,
    3.14: 4,
    0.7: 0.5,
    0.75: 1,
    1.42: 2,
    -3.14: -4,
    1.0: 1,
    4.0: 4,
    -0.125: -0.125,
}
FLOOR = {2.5: 2, 2.83: 2, 3.14: 2, 0.7: 0.5, 0.75: 0.5, 1.42: 1, -3.14: -2, 3.99: 2, 4.0: 4, 1.0: 1}
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])  # bfloat16 reads 3.99 as 4
@pytest.mark.parametrize(("rounding", "table"), [("nearest", NEAREST), ("floor", FLOOR)])
def test_the_table_of_the_texts(rounding, table, dtype):
    found = ap2(torch.tensor(list(table), dtype=dtype), rounding)
    assert found.dtype == dtype
    assert found.tolist() == list(table.values())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("exponent", [-10, -1, 0, 1, 7])
def test_nearest_breaks_exactly_at_the_square_root_of_two_and_floor_at_the_power(exponent, dtype):
    power = 2.0**exponent
    edge = torch.tensor(power * math.sqrt(2), dtype=dtype)
    if edge.double().item() ** 2 > 2 * power**2:  # the float next to it lies above the irrational number
        edge = torch.nextafter(edge, edge * 0)
    above = torch.nextafter(edge, edge * 2)
    assert (ap2(edge).item(), ap2(above).item()) == (power, 2 * power)
    below = torch.nextafter(torch.tensor(2 * power, dtype=dtype), torch.tensor(0.0, dtype=dtype))
    assert (ap2(below, "floor").item(), ap2(torch.tensor(2 * power, dtype=dtype), "floor").item()) == (power, 2 * power)


@given(st.floats(-(2.0**126), 2.0**126, width=32, allow_subnormal=False))
def test_every_float_goes_to_the_power_that_its_logarithm_rounds_to(value):
    for rounding, to_integer in (("nearest", round), ("floor", math.floor)):
        expected = 0.0 if value == 0 else math.copysign(2.0 ** to_integer(math.log2(abs(value))), value)
        for dtype in (torch.float32, torch.float64):
            assert ap2(torch.tensor(value, dtype=dtype), rounding).item() == expected


@pytest.mark.parametrize("rounding", ["nearest", "floor"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_zero_infinities_and_nan_stay_what_they_are(dtype, rounding):
    assert ap2(torch.tensor([0.0, -0.0, inf, -inf], dtype=dtype), rounding).tolist() == [0, 0, inf, -inf]
    assert ap2(torch.tensor([nan, -nan], dtype=dtype), rounding).isnan().all()


def test_the_largest_and_the_smallest_numbers():
    largest = torch.finfo(torch.float32).max
    assert ap2(torch.tensor(largest)).item() == inf
    assert ap2(torch.tensor(largest), "floor").item() == 2.0**127
    smallest = torch.tensor([2.0**-126, -(2.0**-126), 2.0**-149, 2.0**-127])
    assert ap2(smallest).tolist() == [2.0**-126, -(2.0**-126), 0, 2.0**-126]
    assert ap2(smallest.double()).tolist() == smallest.tolist()


def test_tensors_that_are_not_contiguous_are_read_in_their_order():
    x = torch.randn(6, 8).t()[::2]
    assert torch.equal(ap2(x), ap2(x.double()).float())


def test_scaling_by_a_power_of_two_commutes():
    x = torch.randn(1000)
    for rounding in ("nearest", "floor"):
        assert torch.equal(ap2(x * 2**-7, rounding), ap2(x, rounding) * 2**-7)


def test_the_gradient_is_that_of_the_identity():
    x = torch.tensor([0.0, 0.3, -2.9, 100.0], requires_grad=True)
    ap2(x).backward(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [1, 2, 3, 4]


def test_what_cannot_be_rounded_is_refused():
    with pytest.raises(InputError, match="rounding='up'"):
        ap2(torch.ones(1), "up")
    with pytest.raises(InputError, match=r"torch\.int64"):
        ap2(torch.ones(1, dtype=torch.int64))


def test_next_to_one_nothing_moves_up_or_down_by_mistake():
    assert ap2(torch.tensor(nextafter(1, 0), dtype=torch.float64)).item() == 1
    assert ap2(torch.tensor(nextafter(1, 0), dtype=torch.float64), "floor").item() == 0.5
