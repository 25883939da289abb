"""Recipes: one paper = one file = network + hyper-parameters + reported and obtained numbers, found by name."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from binarynet.errors import RecipeError, closest, expect
from binarynet.recipes.recipe import Recipe

__all__ = ["Recipe", "get", "names"]


def names() -> tuple[str, ...]:
    """All recipes, as ``<paper>-<data>``."""
    return tuple(sorted(_all()))


def get(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        RecipeError: there is none; the text names the closest.
    """
    expect("get: name", name, str, "a recipe's name, such as 'bnn-digits'")
    recipes = _all()
    if name not in recipes:
        raise RecipeError(f"no recipe {name!r}.{closest(name, recipes)} `binarynet recipes` lists them all.")
    return recipes[name]


def _all() -> dict[str, Recipe]:
    """Every module of this package that has a table RECIPES adds its own."""
    found: dict[str, Recipe] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        found.update(getattr(import_module(module.name), "RECIPES", {}))
    return found
