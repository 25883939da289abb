"""Recipes: one paper = one file = network + hyper-parameters + reported and obtained numbers, found by name."""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from importlib import import_module

from binarynet.errors import RecipeError
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
    recipes = _all()
    if name not in recipes:
        close = get_close_matches(name, recipes, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise RecipeError(f"no recipe {name!r}: {hint}`binarynet recipes` lists them all")
    return recipes[name]


def _all() -> dict[str, Recipe]:
    """Every module of this package that has a table RECIPES adds its own."""
    found: dict[str, Recipe] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        found.update(getattr(import_module(module.name), "RECIPES", {}))
    return found
