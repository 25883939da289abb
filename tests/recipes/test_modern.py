"""The modern line: what changes over the epochs, and that its nets lower to integers with their 8-bit ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.format import to_bytes
from binarynet.graph import interpret
from binarynet.graph.ir import Conv2d, Linear
from binarynet.lower import lower
from binarynet.nn import EdeSign
from binarynet.nn.quantizers import AdaBinWeight, LibraSign, RecuSign
from binarynet.recipes.adabin import AdaBin
from binarynet.recipes.bold import BoldMlp
from binarynet.recipes.modern import Modern
from tests.recipes.steps import two_steps


@pytest.mark.parametrize("name", ["irnet-cifar10", "recu-cifar10", "irnet-digits"])
def test_a_net_lowers_to_integers_that_answer_what_torch_answers(name: str) -> None:
    recipe = recipes.get(name).with_settings({"filters": "4"})
    shape = (1, 8, 8) if name.endswith("digits") else (3, 32, 32)
    model = two_steps(recipe, shape).eval()
    graph = lower(model, shape)
    kinds = [op.weight_encoding for op in graph.ops if isinstance(op, Conv2d | Linear)]
    assert kinds == ["i8", *["b1"] * 5, "i8"]
    images = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    answers = interpret(graph, images.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-4)
    assert np.array_equal(answers.argmax(1), expected.argmax(1))


def test_pairs_of_values_are_multiplied_as_bits_and_joined_as_real_numbers() -> None:
    recipe = recipes.get("adabin-digits").with_settings({"filters": "4"})
    assert isinstance(recipe, AdaBin)
    model = two_steps(recipe).eval()
    recipe.begin_epoch(model, recipe.epochs)
    assert [m.t for m in model.modules() if isinstance(m, AdaBinWeight)] == [pytest.approx(10)] * 5
    graph = lower(model, (1, 8, 8))
    kinds = [op.weight_encoding for op in graph.ops if isinstance(op, Conv2d | Linear)]
    assert set(kinds) == {"i8", "b1"}
    assert "f32" not in kinds
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    answers = interpret(graph, images.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-4)


def test_float_ends_are_what_the_papers_have() -> None:
    recipe = recipes.get("recu-digits").with_settings({"ends": "float", "filters": "4"})
    graph = lower(two_steps(recipe).eval(), (1, 8, 8), allow_real=True)
    assert [op.weight_encoding for op in graph.ops if isinstance(op, Conv2d | Linear)] == ["f32", *["b1"] * 5, "f32"]


def test_t_and_tau_rise_geometrically_over_the_epochs() -> None:
    ir, recu = recipes.get("irnet-digits"), recipes.get("recu-digits")
    assert isinstance(ir, Modern)
    assert isinstance(recu, Modern)
    model = ir.model((1, 8, 8), 10)
    ir.begin_epoch(model, ir.epochs // 2)
    assert {m.t for m in model.modules() if isinstance(m, LibraSign | EdeSign)} == {1.0}
    model = recu.model((1, 8, 8), 10)
    recu.begin_epoch(model, recu.epochs)
    assert [m.tau for m in model.modules() if isinstance(m, RecuSign)] == [pytest.approx(0.99)] * 5


def test_the_rate_rises_and_falls_to_nothing() -> None:
    recipe = recipes.get("recu-digits").with_settings({"epochs": "10", "warmup": "4", "lr": "1"})
    optimizer, schedule = recipe.optimizer(recipe.model((1, 8, 8), 10))
    assert schedule is not None
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[7] == pytest.approx(0.5)
    assert schedule.get_last_lr()[0] == pytest.approx(0, abs=1e-12)


def test_images_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(RecipeError, match="halved three times"):
        recipes.get("irnet-digits").model((1, 7, 7), 10)


def test_boolean_weights_stay_boolean() -> None:
    recipe = recipes.get("bold-digits").with_settings({"width": "16", "eta": "1"})
    assert isinstance(recipe, BoldMlp)
    model = two_steps(recipe)
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.ndim == 2:
            assert set(parameter.unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("name", ["irnet", "recu", "adabin", "reactnet"])
def test_a_file_has_the_size_that_the_page_of_methods_states(name: str) -> None:
    recipe = recipes.get(f"{name}-cifar10")
    model = recipe.model((3, 32, 32), 10).eval()
    rows = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8").splitlines()
    title = {"irnet": "IR-Net", "recu": "ReCU", "adabin": "AdaBin", "reactnet": "ReActNet"}[name]
    row = next(row for row in rows if row.startswith(f"| {title} |"))
    size = len(to_bytes(lower(model, (3, 32, 32), allow_real=name == "reactnet")))
    assert f"CIFAR-10: {size / 1000:.0f} kB" in row
    assert f"{4 * sum(one.numel() for one in model.parameters()) / 1e6:.1f} MB" in row
