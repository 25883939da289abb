"""What other packages add by an entry point: recipes, data sets, export targets.

In their pyproject.toml: ``[project.entry-points."binarynet.recipes"]``, then ``NAME = "package.module:object"``.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar

from binarynet.errors import BinarynetError

Group = Literal["binarynet.recipes", "binarynet.datasets", "binarynet.exports"]
_T = TypeVar("_T")


class PluginError(BinarynetError):
    """Something that another package adds cannot be imported, or is not what its group holds."""


def names(group: Group) -> tuple[str, ...]:
    """The names that installed packages add to a group, in order; nothing is imported."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def find(group: Group, name: str) -> EntryPoint | None:
    """The entry point of that name, or None. `PluginError` where two packages add the same name."""
    found = list({(point.value): point for point in entry_points(group=group, name=name)}.values())
    if len(found) > 1:
        raise PluginError(
            f"{group} {name!r} is added by {found[0].value} and by {found[1].value}: uninstall one of them"
        )
    return found[0] if found else None


def imported(point: EntryPoint) -> Any:
    """What an entry point names. `PluginError` where its import fails, for whatever reason."""
    try:
        return point.load()
    except Exception as error:
        raise PluginError(f"{point.group} {point.name!r} ({point.value}) cannot be imported: {error}") from error


def called(point: EntryPoint, kind: type[_T]) -> _T:
    """What the function that an entry point names returns, if it is of this kind. `PluginError` otherwise."""
    function = imported(point)
    made = function() if callable(function) else function
    if not isinstance(made, kind):
        raise PluginError(
            f"{point.group} {point.name!r} ({point.value}) gives a {type(made).__name__}; needed is a {kind.__name__}"
        )
    return made
