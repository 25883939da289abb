"""What a setting may be."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from typing import Literal, get_type_hints

import pytest

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.recipes.settings import Count, Natural, NotNegative, Positive, Share, check, read, take

HINTS = partial(get_type_hints, include_extras=True)


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


@pytest.mark.parametrize(
    ("value", "hint", "taken"),
    [
        (7, Count, 7),
        (1, Positive, 1.0),
        (True, bool, True),
        ("b", Literal["a", "b"], "b"),
        ("7", Count, 7),
        ([0.5, 0], tuple[Share, Share], (0.5, 0.0)),
        (0.5, tuple[Share, Share], (0.5, 0.5)),
    ],
)
def test_values_of_a_config_are_taken_as_their_type(value: object, hint: object, taken: object) -> None:
    assert take(value, hint) == taken
    assert type(take(value, hint)) is type(taken)


@pytest.mark.parametrize(
    ("value", "hint", "needs"),
    [
        (7.0, Count, "a whole number"),
        (True, Count, "a whole number"),
        ([7], Count, "a whole number"),
        (None, Share, "a number"),
        (1, bool, "true or false"),
        ({"a": 1}, str, "a text"),
        (3, Literal["a", "b"], "one of a, b"),
        ([1, 2, 3], tuple[int, int], "one value, or 2 separated by commas"),
    ],
)
def test_values_that_are_none_say_what_is_needed(value: object, hint: object, needs: str) -> None:
    with pytest.raises(ValueError, match=f"needs {needs}"):
        take(value, hint)


@pytest.mark.parametrize("name", recipes.names())
def test_the_schema_of_a_recipe_takes_its_settings_and_refuses_what_the_recipe_refuses(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="schemas are checked by jsonschema, which nbformat brings")
    recipe = recipes.get(name)
    jsonschema.Draft202012Validator.check_schema(recipe.schema())
    schema = jsonschema.Draft202012Validator(json.loads(json.dumps(recipe.schema())))
    settings = json.loads(json.dumps(recipe.settings()))
    assert schema.is_valid(settings)
    assert not schema.is_valid(settings | {"nothing": 1})
    for key, value in settings.items():
        for other in (-1, 0, 0.5, 1, 1.5, 10**6, True, "text", None, [value], [0, 0], [0.5, 1]):
            if isinstance(other, str) or (isinstance(value, list) and not isinstance(other, list)):
                continue  # texts are read as a command line's, and one value stands for all of a tuple
            try:
                check(key, take(other, HINTS(type(recipe))[key]), HINTS(type(recipe))[key])
                allowed = True
            except ValueError:
                allowed = False
            assert schema.is_valid(settings | {key: other}) == allowed, (key, other)


@pytest.mark.parametrize("name", recipes.names())
def test_no_recipe_takes_a_size_or_a_rate_below_zero(name: str) -> None:
    recipe = recipes.get(name)
    numbers = {
        key: value
        for key, value in recipe.settings().items()
        if type(value) in (int, float)
        or (isinstance(value, tuple) and key != "exponents" and type(value[0]) is not bool)
    }
    for key, value in numbers.items():
        text = ",".join("-1" for _ in value) if isinstance(value, tuple) else "-1"
        with pytest.raises(RecipeError, match=rf"^{key}=-1.*: needs "):
            recipe.with_settings({key: text})
        with pytest.raises(ValueError, match=f"^{key}=-1"):
            dataclasses.replace(recipe, **{key: type(value)(-1 for _ in value) if isinstance(value, tuple) else -1})
