"""Every recipe trains: two steps of each, made small. And its settings are read as they are written."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.recipes import Recipe

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32), "svhn": (3, 32, 32)}
SHAPES |= {"imagenet": (3, 64, 64), "ptb": (1, 1, 5)}
SMALL = {"width": "16", "filters": "4", "hidden": "16", "width_multiplier": "1", "eta": "3"}
SMALLER = {"reactnet-imagenet": {"width_multiplier": "0.125"}}


def small(name: str) -> Recipe:
    recipe = recipes.get(name)
    fields = {field.name for field in dataclasses.fields(recipe)}
    return recipe.with_settings({key: value for key, value in SMALL.items() if key in fields} | SMALLER.get(name, {}))


@pytest.mark.parametrize("name", recipes.names())
def test_two_steps_have_a_finite_loss_and_move_all_parameters(name: str) -> None:
    recipe = small(name)
    torch.manual_seed(0)
    model = recipe.model(SHAPES[recipe.data], 10)
    optimizer, schedule = recipe.optimizer(model)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    rng = np.random.default_rng(0)
    for _ in range(2):
        images = rng.integers(0, 10 if recipe.data == "ptb" else 256, (8, *SHAPES[recipe.data]), dtype=np.uint8)
        augmented = recipe.augment(images, rng)
        assert augmented.shape == images.shape
        assert augmented.dtype == np.uint8
        shown = torch.from_numpy(augmented)
        logits = model(shown)
        assert logits.shape[:2] == (8, 10)
        loss = recipe.training_loss(logits, torch.arange(8), shown)
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    if schedule is not None:
        schedule.step()
    learnt = {key: value for key, value in model.named_parameters() if value.requires_grad}
    unmoved = [key for key, value in learnt.items() if torch.equal(value, before[key])]
    assert not unmoved
    for group in optimizer.param_groups:
        if group.get("clip") is not None:
            assert all(weight.abs().max() <= np.float32(group["clip"]) for weight in group["params"])


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_says_where_it_comes_from_and_is_named_by_paper_and_data(name: str) -> None:
    recipe = recipes.get(name)
    assert name.endswith(f"-{recipe.data}")
    assert "arXiv" in recipe.paper
    assert recipe.binarized
    assert recipe.data in SHAPES
    assert recipe.epochs > 0
    assert recipe.batch_size > 1
    assert all(0 < error < 100 for error in recipe.reported.values())


@pytest.mark.parametrize("name", recipes.names())
def test_every_setting_is_read_back_from_its_text(name: str) -> None:
    recipe = recipes.get(name)
    texts = {
        field: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for field, value in dataclasses.asdict(recipe).items()
    }
    assert recipe.with_settings(texts) == recipe


def test_settings_are_read_by_their_type() -> None:
    mlp = recipes.get("bnn-mnist").with_settings({"width": "64", "lr_start": "1e-4", "dropout": "0.25"})
    assert (mlp.width, mlp.lr_start, mlp.dropout) == (64, 1e-4, 0.25)  # type: ignore[attr-defined]
    for text, value in {"true": True, "Yes": True, "1": True, "off": False, "FALSE": False, "0": False}.items():
        assert recipes.get("bnn-cifar10").with_settings({"augmented": text}).augmented is value  # type: ignore[attr-defined]


def test_settings_leave_the_recipe_in_the_table_as_it_is() -> None:
    before = recipes.get("bnn-mnist")
    before.with_settings({"width": "1"})
    assert recipes.get("bnn-mnist") == before
    assert before.width == 4096  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widht": "64"}, "no setting 'widht'. Did you mean 'width'"),
        ({"qqq": "1"}, r"no setting 'qqq'. This recipe has data, epochs, batch_size"),
        ({"width": "wide"}, "width=wide: needs a whole number"),
        ({"width": "1.5"}, "width=1.5: needs a whole number"),
        ({"lr_start": "fast"}, "lr_start=fast: needs a number"),
        ({"width": ""}, "needs a whole number"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(settings: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipes.get("bnn-mnist").with_settings(settings)


def test_a_truth_value_must_be_one() -> None:
    with pytest.raises(RecipeError, match="augmented=maybe: needs true or false"):
        recipes.get("bnn-cifar10").with_settings({"augmented": "maybe"})


def test_an_unknown_recipe_brings_the_closest() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'bnn-minst'. Did you mean 'bnn-mnist'\?.*lists them all"):
        recipes.get("bnn-minst")


def test_a_pair_is_read_from_two_numbers_or_one_for_both() -> None:
    recipe = recipes.get("few-multiplications-mnist")
    assert recipe.with_settings({"exponents": "-3,2"}).exponents == (-3, 2)  # type: ignore[attr-defined]
    assert recipe.with_settings({"exponents": "2"}).exponents == (2, 2)  # type: ignore[attr-defined]
    with pytest.raises(RecipeError, match="needs one value, or 2 separated by commas"):
        recipe.with_settings({"exponents": "1,2,3"})


def test_a_net_for_a_small_chip_has_one_convolution_before_each_pool_and_no_hidden_dense_layer() -> None:
    settings = {"convolutions": "single", "dense_layers": "0", "width_multiplier": "0.25"}
    model = recipes.get("bnn-cifar10").with_settings(settings).model((1, 28, 28), 10)
    weights = [
        tuple(value.shape) for key, value in model.named_parameters() if key.endswith("weight") and value.ndim > 1
    ]
    assert weights == [(32, 1, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (10, 576)]


def test_two_recipes_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from binarynet.recipes.bop import RECIPES as theirs\nRECIPES = {'bnn-digits': theirs['bop-digits']}\n"
    (tmp_path / "zz_other.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path)])
    with pytest.raises(RecipeError, match="zz_other has a recipe 'bnn-digits'"):
        recipes.names()
