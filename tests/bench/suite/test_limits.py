"""The roofline: which unit and which bandwidth a workload is held against."""

import pytest

from binarynet.bench.suite.limits import Roof
from binarynet.bench.suite.workloads import Workload, mlp, product
from binarynet.runtime import peaks

GEMM = Workload("g", "W1", product(128, 256), 64)
MLP = Workload("m", "W3", mlp(64, 128), 1)


def roof(**macs: float) -> Roof:
    known = ("amx int8", "avx512 adders", "avx512 fma", "avx512 popcount")
    units = {name.replace(" ", "_"): name for name in known}
    return Roof(1, {units[name]: rate for name, rate in macs.items()}, {1 << 10: 100e9, 1 << 20: 25e9})


def test_a_product_is_held_against_the_fastest_unit_for_it():
    macs = 64 * 128 * 256
    assert roof(avx512_popcount=1e12).arithmetic(GEMM) == pytest.approx(macs / 1e12)
    assert roof(avx512_popcount=1e12, amx_int8=3e12).arithmetic(GEMM) == pytest.approx(macs / 3e12)
    assert roof(avx512_popcount=4e12, amx_int8=3e12).arithmetic(GEMM) == pytest.approx(macs / 4e12)


def test_counting_bits_pays_for_every_bit_of_a_byte_and_tiles_do_not():
    bytes_in, bits_in = MLP.macs[8], MLP.macs[1]
    assert roof(avx512_popcount=1e12).arithmetic(MLP) == pytest.approx((8 * bytes_in + bits_in) / 1e12)
    both = roof(avx512_popcount=4e12, amx_int8=3e12)
    assert both.arithmetic(MLP) == pytest.approx(bytes_in / 3e12 + bits_in / 4e12)


def test_adding_words_is_for_signs_alone():
    bytes_in, bits_in = MLP.macs[8], MLP.macs[1]
    both = roof(avx512_popcount=1e12, avx512_adders=2e12)
    assert both.arithmetic(MLP) == pytest.approx(8 * bytes_in / 1e12 + bits_in / 2e12)


def test_without_a_known_unit_there_is_no_limit():
    assert roof(avx512_fma=1e11).limit(GEMM) is None


def test_bandwidth_lies_between_the_sizes_measured_and_does_not_leave_them():
    known = roof()
    assert known.bandwidth(1) == known.bandwidth(1 << 10) == 100e9
    assert known.bandwidth(1 << 20) == known.bandwidth(1 << 30) == 25e9
    assert known.bandwidth(1 << 15) == pytest.approx(50e9), "halfway between the logarithms"


def test_the_limit_is_the_larger_of_both():
    assert roof(amx_int8=1e9).limit(GEMM) == roof(amx_int8=1e9).arithmetic(GEMM)
    assert roof(amx_int8=1e15).limit(GEMM) == roof().memory(GEMM)


def test_this_machine_can_be_measured():
    assert peaks.read_rate(1 << 15, 1) > 0
    for unit in peaks.arithmetic_units():
        assert peaks.arithmetic_rate(unit, 2) > 0
    assert peaks.arithmetic_rate("abacus", 1) == 0
