"""Recipes: one paper = one file = network + hyper-parameters + reported and obtained numbers, found by name.

Recipes of the user's own are found by their place (`own`), those of other packages by the entry points
``binarynet.recipes``: a recipe, a class of recipes, or a function that returns one.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from binarynet import plugins
from binarynet.errors import RecipeError, closest, expect
from binarynet.recipes import own
from binarynet.recipes.recipe import Recipe

__all__ = ["Recipe", "get", "name_of", "names"]


def names() -> tuple[str, ...]:
    """All recipes, as ``<paper>-<data>``, and those of other packages."""
    return tuple(sorted({*_all(), *plugins.names("binarynet.recipes")}))


def get(name: str) -> Recipe:
    """The recipe of that name, or at that place: ``path/to/recipe.py:Name``.

    Raises:
        RecipeError: there is none; the text names the closest.
    """
    expect("get: name", name, str, "a recipe's name, such as 'bnn-digits'")
    if own.is_reference(name):
        return own.get(name)
    recipes = _all()
    if name in recipes:
        return recipes[name]
    if (point := plugins.find("binarynet.recipes", name)) is not None:
        found = plugins.imported(point)
        recipe = found if isinstance(found, Recipe) else plugins.called(point, Recipe)  # type: ignore[type-abstract]
        _PLUGINS[type(recipe)] = name
        return recipe
    raise RecipeError(f"no recipe {name!r}.{closest(name, names())} `binarynet recipes` lists them all.")


def name_of(recipe: Recipe) -> str:
    """How `get` finds the recipe again: the name or place of the one of this class with most settings in common.

    The class's name for a class that `get` has never met, such as one of a notebook.
    """
    settings = recipe.settings()
    found = {
        name: sum(known.settings()[key] == value for key, value in settings.items())
        for name, known in _all().items()
        if type(known) is type(recipe)
    }
    if found:
        return max(found, key=lambda name: found[name])
    return own.reference(recipe) or _PLUGINS.get(type(recipe)) or type(recipe).__name__


_PLUGINS: dict[type[Recipe], str] = {}  # class → the entry point that it was found by


def _all() -> dict[str, Recipe]:
    """Every module of this package that has a table RECIPES adds its own. `RecipeError` for a name of two."""
    found: dict[str, Recipe] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        own_names = getattr(import_module(module.name), "RECIPES", {})
        if twice := sorted(found.keys() & own_names.keys()):
            raise RecipeError(f"{module.name} has a recipe {twice[0]!r}, and another file has one of that name")
        found.update(own_names)
    return found
