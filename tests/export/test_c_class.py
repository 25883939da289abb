"""The class without floats, and the fixed path."""

from __future__ import annotations

import re

import numpy as np
import pytest

from binarynet.errors import ExportError
from binarynet.export import write
from binarynet.export.c.classes import keys, rounded
from binarynet.export.c.options import Options
from binarynet.graph import Graph
from binarynet.graph.ir import Affine, Input, Linear
from tests.export.building import STRICT, assert_c_equals_the_oracle, need
from tests.export.graphs import SAME, Whole, residual


def affine(scale, offset) -> Affine:
    return Affine("affine", ("linear",), np.array(scale, np.float32), np.array(offset, np.float32))


def test_rounding_to_24_bits_is_that_of_float32():
    rng = np.random.default_rng(0)
    numbers = rng.integers(-(2**61), 2**61, 3000) >> rng.integers(0, 60, 3000)
    numbers = np.concatenate([numbers, (1 << 40) + (np.arange(512) << 15), [0, 2**24 - 1, 2**24 + 1, -(2**25) - 1]])
    np.testing.assert_array_equal(rounded(numbers), numbers.astype(np.float32).astype(np.int64))


@pytest.mark.parametrize("seed", range(8))
def test_integers_are_ordered_as_the_float_answers_and_equal_where_these_are(seed):
    rng = np.random.default_rng(seed)
    op = affine(rng.normal(size=6) * 10.0 ** -rng.integers(0, 5), np.append(rng.normal(size=5), 0))
    found = keys(op, 300)
    assert found is not None
    sums = np.arange(-300, 301)[:, None]
    made = rounded(rounded((found.mantissa.astype(np.int64) * sums) << found.shift) + found.offset).reshape(-1)
    real = (sums.astype(np.float32) * op.scale + op.offset).reshape(-1)
    order = np.argsort(real, kind="stable")
    np.testing.assert_array_equal(np.diff(made[order]) > 0, np.diff(real[order]) > 0)
    assert np.all(np.diff(made[order]) >= 0)


def test_scales_that_no_integer_spans_have_no_keys():
    assert keys(affine([1e-30, 1e30], [0, 0]), 10) is None
    assert keys(affine([1, 2], [0, 0]), 1 << 24) is None
    assert keys(affine([0, 0], [0, 0]), 10) is not None


def net(answers: bool) -> Graph:
    make = Whole((40,), "b8", seed=1)
    make.linear(64)
    make.threshold()
    make.linear(7)
    if answers:
        make.affine()
    return make.graph()


def test_the_class_needs_no_floats(tmp_path):
    need("gcc", "nm")
    codes = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    text = assert_c_equals_the_oracle(net(True), codes, tmp_path, flags=STRICT)
    inner, public = (
        re.search(rf"^{name}.*?^}}", text, re.MULTILINE | re.DOTALL)[0]
        for name in ("static int32_t best_", "int32_t net_class")
    )
    assert "float" not in inner + public
    assert "; no floats" in (tmp_path / "net.h").read_text()


def test_where_logits_tie_the_first_class_wins(tmp_path):
    weight = np.ones((3, 20), np.int8)
    ops = (Input("input", (), (20,), "b1"), Linear("linear", ("input",), weight), affine([1, 1, 1], [0, 1e-9, 0]))
    codes = np.random.default_rng(0).integers(0, 2, (30, 20), np.uint8)
    assert_c_equals_the_oracle(Graph(ops), codes, tmp_path, flags=STRICT)


def test_a_fixed_path_refuses_reals_by_name(tmp_path):
    with pytest.raises(ExportError, match=r"affine\d+ \(Affine\): the target c makes reals, which --constant-time"):
        write(residual().graph(), "c", tmp_path, Options("net", constant_time=True))


def test_the_fixed_path_equals_the_oracle_for_what_is_no_lane_as_well(tmp_path):
    make = Whole((8, 7, 3), "u4", seed=6)
    make.conv(5, padding=SAME)
    make.relu()
    make.threshold(encoding="u2")
    make.max_pool((2, 2), (2, 2))
    make.conv(7, padding=SAME, encoding="t2")
    make.max_pool((2, 2), (1, 1))
    make.threshold()
    make.flatten()
    make.linear(16)
    make.threshold()
    make.linear(5)
    make.affine()
    options = Options("net", word=16, constant_time=True)
    text = assert_c_equals_the_oracle(make.graph(), make.codes(9), tmp_path, options)
    assert not re.search(r"\b(list_ones|set_bit)\b|if \(v [<>]|next > v", text)
