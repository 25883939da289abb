"""Every paper's network, a few training steps old: torch, oracle and native engine give the same answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.data import load
from binarynet.errors import LoweringError
from binarynet.format import from_bytes, to_bytes
from binarynet.lower import lower
from binarynet.report import has_real_products, oracle_logits, with_native
from binarynet.runtime import Session, isa

VARIANTS = [
    *((name, {}) for name in recipes.names() if name.endswith("-digits")),
    ("binaryconnect-digits", {"weights": "stochastic", "test_weights": "real"}),
    ("dorefa-digits", {"weight_bits": "1", "activation_bits": "1"}),
    ("dorefa-digits", {"weight_bits": "3", "activation_bits": "4"}),
    ("dorefa-digits", {"ends": "float"}),
    ("few-multiplications-digits", {"weights": "ternary"}),
    ("qnn-digits", {"weight_bits": "3", "activation_bits": "3", "quantizer": "log"}),
    ("qnn-digits", {"weight_bits": "4", "activation_bits": "4"}),
    ("ternary-digits", {"method": "twn"}),
    ("ternary-digits", {"method": "ttq"}),
    ("xnornet-digits", {"k_map": "true"}),
    ("xnornet-digits", {"relu": "true"}),
]


def trained(name: str, settings: dict[str, str]):
    """(model in eval mode, data set) after three steps in the last stage of the recipe."""
    data = load("digits")
    recipe = recipes.get(name).with_settings(settings)
    torch.manual_seed(0)
    model = recipe.model(data.shape, len(data.classes))
    optimizer, _ = recipe.optimizer(model)
    recipe.begin_epoch(model, recipe.epochs - 1)
    model.train()
    images, labels = torch.tensor(data.train.images), torch.tensor(data.train.labels)
    for start in range(0, 150, 50):
        optimizer.zero_grad()
        recipe.loss(model(images[start : start + 50]), labels[start : start + 50]).backward()
        optimizer.step()
    return model.eval(), data


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=lambda part: part if isinstance(part, str) else str(part))
def test_a_papers_network_lowers_and_all_engines_agree(name, settings):
    model, data = trained(name, settings)
    graph = from_bytes(to_bytes(lower(model, data.shape, allow_real=True)))
    images = data.test.images
    with torch.no_grad():
        expected = model(torch.tensor(images)).numpy()
    oracle = Session(graph, engine="oracle").logits(images)
    # torch adds up reals in its own order, and its last norm rounds in its own way; classes must not care
    np.testing.assert_allclose(oracle, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert np.array_equal(oracle.argmax(1), expected.argmax(1))
    real = has_real_products(graph)
    for one in isa.available():
        native = Session(graph, isa=one, threads=1).logits(images)
        if real:  # float32 sums in another order
            np.testing.assert_allclose(native, oracle, rtol=1e-3, atol=1e-3 * np.abs(oracle).max())
            assert np.array_equal(native.argmax(1), oracle.argmax(1))
        else:
            assert np.array_equal(native, oracle)


def test_ebp_p_is_refused_with_the_way_out():
    model, data = trained("expectation-backprop-digits", {"evaluation": "ebp-p"})
    with pytest.raises(LoweringError, match=r"mean of all networks.*ebp-d"):
        lower(model, data.shape)


def test_engines_of_a_net_with_real_products_are_compared_by_their_classes():
    model, data = trained("binaryconnect-digits", {})
    graph, images = lower(model, data.shape, allow_real=True), data.test.images
    for agreement in with_native(graph, images, oracle_logits(graph, images)):
        assert agreement.what == "predictions"
        assert agreement.holds
