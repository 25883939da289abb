"""Products whose outputs lie side by side in a word, and rows that pass from layer to layer: equal to the oracle."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binarynet.export.c.network import build
from binarynet.export.c.options import Options
from binarynet.graph.ir import Linear
from tests.export.building import CHECKED, STRICT, assert_c_equals_the_oracle
from tests.export.graphs import SAME, Whole

FEW = settings(derandomize=True, database=None, deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))


@st.composite
def lane_nets(draw: st.DrawFn) -> Whole:
    """Convolutions of any window and ±1 weights whose outputs fill words of 16, with pools of bits between them."""
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    encoding = draw(st.sampled_from(["b1", "b3", "b8", "u2", "u8"]))
    make = Whole((*size, draw(st.sampled_from([1, 2, 3, 17, 32]))), encoding, seed=draw(st.integers(0, 2**20)))
    for _ in range(draw(st.integers(1, 4))):
        height, width, channels = make.value().shape
        dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
        kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        reach = [(k - 1) * step for k, step in zip(kernel, dilation, strict=True)]
        padding = tuple((draw(st.integers(0, far)), draw(st.integers(0, far))) for far in reach)
        fits = all(n + sum(p) > far for n, p, far in zip((height, width), padding, reach, strict=True))
        if not fits:
            kernel, padding = (1, 1), ((0, 0), (0, 0))
        groups = draw(st.sampled_from([g for g in (1, 1, 2, channels) if channels % g == 0 and g <= 4]))
        code = make.value().encoding
        outside = draw(st.sampled_from([0, *range(code.low, code.high + 1, code.step)]))
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        out = 16 * groups * draw(st.integers(1, 3))
        make.conv(out, kernel, stride, dilation, padding, outside, groups)
        make.threshold(draw(st.sampled_from(["mixed", "rising", "falling", "extreme", "always", "never"])))
        if draw(st.booleans()):
            height, width, _ = make.value().shape
            kernel = (draw(st.integers(1, min(2, height))), draw(st.integers(1, min(3, width))))
            padding = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel)
            make.max_pool(kernel, draw(st.tuples(st.integers(1, 3), st.integers(1, 3))), padding)
    make.flatten()
    make.linear(16 * draw(st.integers(1, 2)))
    make.threshold()
    make.linear(3)
    return make


@FEW
@given(lane_nets(), st.sampled_from([16, 32]), st.booleans())
def test_any_net_of_lanes_equals_the_oracle(make, word, constant_time):
    with tempfile.TemporaryDirectory() as folder:
        options = Options("net", word=word, constant_time=constant_time)
        text = assert_c_equals_the_oracle(make.graph(), make.codes(3), Path(folder), options)
    assert "run_lanes(" in text or word == 32


@pytest.mark.parametrize("constant_time", [False, True])
@pytest.mark.parametrize("encoding", ["b1", "b8", "u4"])
def test_depths_at_the_edges_of_words_and_units(encoding, constant_time, tmp_path):
    for depth in (1, 16, 17, 63, 64, 65, 254, 255, 256, 257, 700):
        make = Whole((depth,), encoding, seed=depth)
        make.linear(32)
        make.threshold("extreme" if depth % 2 else "mixed")
        make.linear(2)
        folder = tmp_path / str(depth)
        options = Options("net", word=32, constant_time=constant_time)
        flags = CHECKED if depth in (1, 255, 257) else STRICT
        assert_c_equals_the_oracle(make.graph(), make.codes(6), folder, options, flags=flags)


@pytest.mark.parametrize(("word", "cc"), [(16, "gcc"), (32, "clang"), (64, "gcc"), (64, "clang")])
def test_words_of_every_size_and_both_compilers(word, cc, tmp_path):
    make = Whole((9, 8, 3), "b8", seed=4)
    make.conv(64, padding=SAME)
    make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.conv(128, padding=SAME, groups=2)
    make.threshold()
    make.conv(64, padding=SAME, pad_value=-1, stride=(1, 2))
    make.threshold()
    make.max_pool((2, 1), (2, 1))
    make.flatten()
    make.linear(64)
    make.threshold()
    make.linear(10)
    make.affine()
    options = Options("net", word=word)
    text = assert_c_equals_the_oracle(make.graph(), make.codes(12), tmp_path, options, cc=cc, flags=STRICT)
    assert text.count("run_lanes(&view") == 4


@pytest.mark.parametrize("constant_time", [False, True])
def test_all_bits_set_and_none(constant_time, tmp_path):
    weight = np.concatenate([np.ones((16, 600), np.int8), -np.ones((16, 600), np.int8)])
    for number, bits in enumerate((np.zeros, np.ones)):
        make = Whole((600,), "b1")
        make._add(Linear("linear", ("input",), weight))
        make.threshold("extreme")
        options = Options("net", word=32, constant_time=constant_time)
        codes = bits((2, 600), np.uint8)
        assert_c_equals_the_oracle(make.graph(), codes, tmp_path / str(number), options)


def test_rows_pass_on_and_little_of_an_image_is_ever_in_memory(tmp_path):
    make = Whole((40, 32, 1), "b8", seed=3)
    for width in (32, 32):
        make.conv(width, padding=SAME)
        make.threshold()
    make.max_pool((2, 2), (2, 2))
    make.conv(32, padding=SAME)
    make.threshold()
    make.flatten()
    make.linear(4)
    network = build(make.graph(), Options("net", word=32))
    assert [len(stage) for stage in network.stages] == [4, 1]
    image, row = 20 * 16 * 4, 32 * 4
    assert network.arena < image + 3 * row + row + 3 * row // 2 + 700
    text = assert_c_equals_the_oracle(make.graph(), make.codes(3), tmp_path, Options("net", word=32))
    assert re.search(r"3 rows at a time", text)
