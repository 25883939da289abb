"""A recipe of the user's own, by where it stands: ``path/to/recipe.py:Name`` or ``package.module:Name``.

``Name`` is a recipe, a class of recipes whose settings all have a default, or a key of the table ``RECIPES`` there.
Without it the file must hold one recipe alone. A file is imported as Python imports the script that it runs: its folder
joins the path, so that it finds what stands beside it, and other processes of a run find it as well.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from binarynet.errors import RecipeError, closest
from binarynet.recipes.recipe import Recipe

# Class → (module or absolute path of its file, what is meant there): how a run names what it trained.
_REFERENCES: dict[type[Recipe], list[tuple[str, str, Recipe]]] = {}


def is_reference(name: str) -> bool:
    """Whether a name says where a recipe stands."""
    return ":" in name or name.endswith(".py")


def get(reference: str) -> Recipe:
    """The recipe at that place. `RecipeError` where there is none, or the import fails, for whatever reason."""
    place, _, name = reference.rpartition(":") if ":" in reference else (reference, "", "")
    module = _of_file(Path(place).expanduser()) if place.endswith(".py") else _imported(place, place)
    known = _recipes(module)
    if not name:
        if len(known) != 1:
            raise RecipeError(f"{place} holds {', '.join(known) or 'no recipe'}: say which one, {place}:NAME")
        name = next(iter(known))
    found = known.get(name, getattr(module, name, None))
    recipe = _made(found, reference) if isinstance(found, type) and issubclass(found, Recipe) else found
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"{place} has no recipe {name!r}.{closest(name, known)} It holds {', '.join(known) or 'none'}."
        )
    origin = str(Path(place).expanduser().resolve()) if place.endswith(".py") else place
    _REFERENCES.setdefault(type(recipe), []).append((origin, name, recipe))
    return recipe


def reference(recipe: Recipe) -> str | None:
    """Where a recipe that `get` has read stands; of several of one class, the one with most settings in common."""
    settings = recipe.settings()
    found = {
        f"{place}:{name}": sum(known.settings().get(key) == value for key, value in settings.items())
        for place, name, known in _REFERENCES.get(type(recipe), [])
    }
    return max(found, key=lambda name: found[name]) if found else None


def short(reference: str) -> str:
    """A reference without the folders of its file, which nobody else has."""
    place, colon, name = reference.rpartition(":")
    return f"{Path(place).name}:{name}" if colon else Path(reference).name


def _of_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise RecipeError(f"{file} does not exist: there is no such file with a recipe")
    file = file.resolve()
    if not file.stem.isidentifier():
        raise RecipeError(f"{file} cannot be imported: call it by letters, digits and _, such as my_net.py")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    module = _imported(file.stem, str(file))
    if not module.__file__ or Path(module.__file__).resolve() != file:
        raise RecipeError(f"{file}: another module is called {file.stem!r} ({module.__file__}). Rename the file.")
    return module


def _imported(name: str, shown: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        line = f", line {at.tb_lineno}" if at is not None and at.tb_frame.f_code.co_filename == shown else ""
        raise RecipeError(f"{shown}{line} cannot be imported: {type(error).__name__}: {error}") from error


def _recipes(module: ModuleType) -> dict[str, Any]:
    """What a module holds: its table RECIPES, else the recipes and the classes that are its own."""
    if table := getattr(module, "RECIPES", None):
        return dict(table)
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    found = {name: value for name, value in own.items() if isinstance(value, Recipe)}
    return found or {
        name: value
        for name, value in own.items()
        if isinstance(value, type)
        and issubclass(value, Recipe)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    }


def _made(kind: type[Recipe], reference: str) -> Recipe:
    try:
        return kind()  # type: ignore[call-arg]
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"{reference}: {error}. Give each setting a default, or make one: RECIPES = {{...: {kind.__name__}(...)}}."
        ) from None
