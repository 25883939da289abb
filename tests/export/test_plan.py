"""Where values lie in the arena."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from binarynet.export.c.memory import Block, places
from binarynet.export.c.network import build
from binarynet.export.c.options import Options
from tests.runtime.graphs import Maker

BLOCKS = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 6), st.integers(0, 3)), max_size=12)


@settings(derandomize=True, database=None, deadline=None)
@given(BLOCKS)
def test_blocks_that_live_together_never_overlap(sizes):
    blocks = [Block(f"b{k}", size, first, first + length) for k, (size, first, length) in enumerate(sizes)]
    offsets, arena = places(blocks)
    for one in blocks:
        assert offsets[one.name] % 8 == 0
        assert offsets[one.name] + one.bytes <= arena
        for other in blocks:
            if one is not other and one.first <= other.last and other.first <= one.last:
                begin, end = offsets[one.name], offsets[one.name] + one.bytes
                assert end <= offsets[other.name] or offsets[other.name] + other.bytes <= begin


def test_a_chain_of_layers_takes_the_memory_of_its_two_largest_neighbours():
    make = Maker((64,), "b1")
    for width in (640, 1280, 640, 64, 64):
        make.linear(width, encoding="t2")
        make.threshold()
    make.linear(10)
    network = build(make.graph(), Options(word=64))
    assert network.arena == (640 + 1280) // 8


def test_accumulators_and_reals_between_layers_are_not_stored():
    make = Maker((8, 8, 16), "b1")
    make.conv(32)
    make.affine()
    make.relu()
    make.threshold()
    make.flatten()
    make.linear(10)
    network = build(make.graph(), Options())
    assert [len(one.layer.ops) for one in network.functions] == [4, 1]
    assert network.arena < 6 * 6 * 32 * 4 // 8
