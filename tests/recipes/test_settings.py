"""What a setting may be."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.recipes.settings import Count, Natural, NotNegative, Positive, Share, check, read


@pytest.mark.parametrize(
    ("hint", "allowed", "refused"),
    [
        (Count, [1, 4096], [0, -1]),
        (Natural, [0, 7], [-1]),
        (Positive, [1e-30, 3.0], [0.0, -1.0, float("nan"), float("inf")]),
        (NotNegative, [0.0, 3.0], [-1e-9, float("nan"), float("inf")]),
        (Share, [0.0, 0.999], [1.0, -0.1, float("nan")]),
        (tuple[Share, Count], [(0.5, 1)], [(1.5, 1), (0.5, 0)]),
        (int, [-5], []),
    ],
)
def test_numbers_are_held_to_the_range_of_their_type(
    hint: object, allowed: list[object], refused: list[object]
) -> None:
    for value in allowed:
        check("name", value, hint)
    for value in refused:
        with pytest.raises(ValueError, match=r"^name=.*: needs "):
            check("name", value, hint)


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("7", Count, 7),
        ("1e-3", Positive, 1e-3),
        ("Yes", bool, True),
        ("off", bool, False),
        ("b", Literal["a", "b"], "b"),
        ("0.5", tuple[Share, Share], (0.5, 0.5)),
        ("-4,4", tuple[int, int], (-4, 4)),
    ],
)
def test_texts_are_read_as_their_type(text: str, hint: object, value: object) -> None:
    assert read(text, hint) == value


@pytest.mark.parametrize(
    ("text", "hint", "needs"),
    [
        ("7.5", Count, "a whole number"),
        ("x", Share, "a number"),
        ("maybe", bool, "true or false"),
        ("c", Literal["a", "b"], "one of a, b"),
        ("1,2,3", tuple[int, int], "one value, or 2 separated by commas"),
    ],
)
def test_texts_that_are_none_say_what_is_needed(text: str, hint: object, needs: str) -> None:
    with pytest.raises(ValueError, match=f"needs {needs}"):
        read(text, hint)


@pytest.mark.parametrize("name", recipes.names())
def test_no_recipe_takes_a_size_or_a_rate_below_zero(name: str) -> None:
    recipe = recipes.get(name)
    numbers = {
        key: value
        for key, value in recipe.settings().items()
        if type(value) in (int, float) or (isinstance(value, tuple) and key != "exponents")
    }
    for key, value in numbers.items():
        text = ",".join("-1" for _ in value) if isinstance(value, tuple) else "-1"
        with pytest.raises(RecipeError, match=rf"^{key}=-1.*: needs "):
            recipe.with_settings({key: text})
        with pytest.raises(ValueError, match=f"^{key}=-1"):
            dataclasses.replace(recipe, **{key: type(value)(-1 for _ in value) if isinstance(value, tuple) else -1})
