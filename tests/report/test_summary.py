"""What a summary adds up."""

from __future__ import annotations

from binarynet.report import Summary, summarise
from binarynet.runtime import Session
from tests.export.graphs import Whole, gates, ternary
from tests.runtime.graphs import Maker


def summary(make: Maker) -> Summary:
    graph = make.graph()
    return summarise(graph, 1000, Session(graph, isa="portable", threads=1))


def test_a_network_of_codes_has_nothing_in_float32():
    assert summary(ternary()).real_share(1) == (0, 0, 0)


def test_one_without_products_has_all_of_its_time_in_float32_and_no_macs():
    macs, moved, seconds = summary(gates()).real_share(1)
    assert macs == 0
    assert 0.9 < moved <= 1  # a sum of codes is none
    assert 0.5 < seconds <= 1


def test_products_of_reals_and_of_real_weights_count():
    make = Whole((4, 4, 2), "u8", seed=1)
    make.conv(3, (1, 1), encoding="f32")  # 4 · 4 · 3 · 2 = 96 MACs of real weights
    make.threshold()
    make.conv(2, (1, 1))  # 4 · 4 · 2 · 3 = 96 of ±1
    found = summary(make)
    macs, moved, _ = found.real_share(1)
    assert macs == 0.5
    assert 0 < moved < 1
    assert [layer.real for layer in found.layers] == [False, True, True, False]
