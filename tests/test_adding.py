"""The worked example of docs/adding.md: its file, put where recipes are found, trains and lowers like any other."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.data import load
from binarynet.graph import interpret
from binarynet.graph.ir import Linear, Threshold
from binarynet.lower import lower
from tests.recipes.steps import two_steps

PAGE = Path(__file__).parents[1] / "docs" / "adding.md"
NAME = "forgiving-digits"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[recipes.Recipe]:
    text = PAGE.read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (file,) = re.findall(r"Save this as `src/binarynet/recipes/(\w+)\.py`", text)
    (tmp_path / f"{file}.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    yield recipes.get(NAME)
    sys.modules.pop(f"binarynet.recipes.{file}")


def test_the_example_is_found_by_its_name_alone(recipe: recipes.Recipe) -> None:
    assert NAME in recipes.names()
    assert "bnn-digits" in recipes.names()
    assert recipe.with_settings({"width": "64"}).settings()["width"] == 64


def test_the_example_trains_two_steps_on_digits_and_its_graph_answers_what_torch_answers(
    recipe: recipes.Recipe,
) -> None:
    data = load("digits")
    model = recipe.model(data.shape, len(data.classes))
    optimizer, schedule = recipe.optimizer(model)
    assert schedule is not None
    losses = []
    for rows in np.arange(100).reshape(2, 50):
        images, labels = (torch.from_numpy(array[rows]) for array in (data.train.images, data.train.labels))
        loss = recipe.loss(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(map(np.isfinite, losses))
    graph = lower(model, data.shape)
    assert [op.weight_encoding for op in graph.ops if isinstance(op, Linear)] == ["b1"] * 3
    assert sum(isinstance(op, Threshold) for op in graph.ops) == 2
    images = data.test.images
    answer = interpret(graph, images.reshape(len(images), -1))
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(images)).numpy()
    # One multiply and one add in float32 by the graph, against the last BatchNorm's own order of the same.
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(answer.argmax(1), expected.argmax(1))


def test_every_parameter_of_the_example_moves(recipe: recipes.Recipe) -> None:
    two_steps(recipe)


def test_the_gradient_of_the_example_is_what_its_page_says(recipe: recipes.Recipe) -> None:
    sign = recipe.model((1, 8, 8), 10).get_submodule("sign1")
    x = torch.tensor([-3.0, -2.0, -1.0, 0.0, 0.5, 2.0, 3.0], requires_grad=True)
    sign(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 0.5, 1.0, 0.75, 0.0, 0.0]
