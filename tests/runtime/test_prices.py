"""The prices of this machine: measured in seconds, kept whole or not at all, checked when they are read."""

import json

import numpy as np
import pytest

from binarynet import _native
from binarynet.cli import main
from binarynet.runtime import Session, isa, prices
from binarynet.runtime.tune import fit
from tests.graph.graphs import small_mlp


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A user's cache of its own; the built-in prices are used again at the end."""
    built_in = {name: _native.prices(name) for name in isa.available()}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    prices.use.cache_clear()
    yield tmp_path / "binarynet" / "prices.json"
    for name, known in built_in.items():
        _native.use_prices(name, known)
    prices.use.cache_clear()


def kept(cache, **changes):
    """The document of prices that double the known ones, with changes."""
    name = isa.available()[0]
    doubled = {count: 2 * price for count, price in _native.prices(name).items()}
    prices.keep({name: doubled}, "2026-11-30 00:00")
    return json.loads(cache.read_text()) | changes


def test_without_a_file_the_built_in_prices_are_used_and_named(cache):
    assert prices.source(isa.active()).startswith("prices of an")
    assert "binarynet tune" in prices.source(isa.active())
    assert not cache.exists()


def test_prices_that_are_kept_change_what_is_expected_and_no_answer(cache):
    graph, name = small_mlp(), isa.available()[0]
    images = np.random.default_rng(0).integers(0, 256, (5, *graph.input.shape)).astype(np.uint8)
    before, expected = Session(graph, isa=name).logits(images), Session(graph, isa=name).plan(5)
    kept(cache)
    session = Session(graph, isa=name)
    np.testing.assert_array_equal(session.logits(images), before)
    assert sum(s.seconds for s in session.plan(5)) == pytest.approx(2 * sum(s.seconds for s in expected))
    assert prices.source(name) == "prices of this machine, measured 2026-11-30 00:00"
    assert [path.name for path in cache.parent.iterdir()] == ["prices.json"]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda document: "{", "Expecting"),
        (lambda document: "[" * 100_000, ""),
        (lambda document: json.dumps([]), "it holds no prices"),
        (lambda document: json.dumps(document | {"processor": "another"}), "of another processor"),
        (lambda document: json.dumps(document | {"measured": "\x1b[31m"}), "when they were measured"),
        (lambda document: json.dumps(with_price(document, "popcounts", -1)), "one of its prices is none"),
        (lambda document: json.dumps(with_price(document, "popcounts", float("nan"))), "one of its prices is none"),
        (lambda document: json.dumps(with_price(document, "popcounts", "1")), "one of its prices is none"),
        (lambda document: json.dumps(with_price(document, "more", 1)), "of other counts"),
        (lambda document: "x" * 2_000_000, "it is too large"),
    ],
)
def test_a_file_that_is_damaged_or_of_elsewhere_is_left_aside_and_named(cache, damage, why):
    known = _native.prices(isa.available()[0])
    document = kept(cache)
    _native.use_prices(isa.available()[0], known)
    cache.write_text(damage(document))
    prices.use.cache_clear()
    told = prices.source(isa.available()[0])
    for part in (why, str(cache), "binarynet tune"):
        assert part in told
    assert _native.prices(isa.available()[0]) == known


def with_price(document, count, price):
    of_set = document["prices"][isa.available()[0]]
    return document | {"prices": {isa.available()[0]: of_set | {count: price}}}


def test_a_fit_finds_the_prices_and_moves_those_that_nothing_tells_with_the_rest():
    random = np.random.default_rng(0)
    mostly = random.uniform(100, 1000, (300, 1)) * np.eye(3)[np.arange(300) % 3]  # each step does most of one thing
    counts = np.hstack([mostly + random.uniform(1, 10, (300, 3)), np.zeros((300, 1))])
    true, near = np.array([3.0, 0.5, 10.0, 7.0]), np.array([1.0, 1.0, 5.0, 7.0])
    found = fit(counts, counts @ true, near)
    np.testing.assert_allclose(found[:3], true[:3], rtol=0.07)
    assert found[3] == pytest.approx(7 * np.median(counts @ true / (counts @ near)))


def test_tune_measures_this_machine_in_seconds(cache, capsys):
    assert main(["tune", "--isa", isa.available()[0], "--milliseconds", "0.01", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(cache)
    assert told["sets"][0]["steps"] > 300
    assert set(told["prices"][isa.available()[0]]) == set(_native.prices(isa.available()[0]))
    assert "prices of this machine" in prices.source(isa.available()[0])


def test_tune_of_an_unknown_set_is_an_error(cache, capsys):
    assert main(["tune", "--isa", "avx3"]) == 2
    assert "there is no instruction set 'avx3' here" in capsys.readouterr().err
    assert not cache.exists()
