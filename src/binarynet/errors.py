"""The errors this package raises on purpose. Each message says where, what, why, and the way out."""

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from pathlib import Path
from types import UnionType
from typing import NoReturn, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_LONGEST = 4000  # characters of a message: what a file holds is quoted in it, and a file can hold megabytes


def printable(text: str) -> str:
    """Text from anywhere fit for a terminal: what is not printable becomes its escape, ``\\x1b``. Lines stay."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii") for char in text
    )


def closest(name: object, known: Iterable[str]) -> str:
    """ " Did you mean 'mnist-small'?" for 'mnist-smal': a sentence to put behind one that says that a name is unknown.

    Empty where nothing known comes near.
    """
    names = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), names, n=1) if isinstance(name, str) else []
    return f" Did you mean {names[found[0]]!r}?" if found else ""


class BinarynetError(Exception):
    """Base of every error below: catches what the package reports, and no bug of its own.

    Messages quote names out of files, so they are made `printable` here, whoever shows them later.
    """

    def __init__(self, message: str = "") -> None:
        text = printable(str(message))
        super().__init__(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


class DataError(BinarynetError):
    """A data set is unknown, missing, damaged, or does not hold what its name promises."""


class LoweringError(BinarynetError):
    """A trained module holds something that has no exact integer counterpart in the graph."""


class TrainingError(BinarynetError):
    """A training run cannot begin, go on or be read: its folder, its settings, its checkpoints or its loss."""


class FormatError(BinarynetError):
    """A `.bnn` file, or the graph inside it, breaks the specification.

    ``kind`` says which of its parts, in the words of docs/format.md: ``file safetensors json version checksum fields
    tensors rules limits``. The C library answers the same.
    """

    def __init__(self, message: str = "", kind: str = "file") -> None:
        super().__init__(message)
        self.kind = kind


class ExportError(BinarynetError):
    """A graph holds something that an export target cannot express."""


class ImportedModelError(BinarynetError):
    """A file of another program holds something that has no exact integer counterpart in the graph."""


class RuntimeUnavailable(BinarynetError):
    """An engine or instruction set was asked for by name, and this machine or install does not have it."""


class InputError(BinarynetError):
    """An array given to a model has the wrong shape, type or values."""


class RecipeError(BinarynetError):
    """A recipe, or a setting of a recipe, does not exist or has a value that it does not take."""


class GraphError(BinarynetError):
    """A graph breaks a rule of `binarynet.graph.verify`, or asks for more than its ``limits``; the text names the op.

    ``kind``: ``rules`` or ``limits``.
    """

    def __init__(self, message: str = "", kind: str = "rules") -> None:
        super().__init__(message)
        self.kind = kind


class ArgumentError(BinarynetError, TypeError):
    """A function was called with something else than it takes: a name for an object, the wrong order, None."""


def expect(where: str, value: object, kind: type | UnionType, instead: str) -> None:
    """Raise `ArgumentError` if ``value`` is none of ``kind``; ``where`` is the call, ``instead`` what it takes."""
    if not isinstance(value, kind):
        text = " ".join(repr(value).split())
        text = text if len(text) <= 60 else f"{text[:60]}…"
        raise ArgumentError(f"{where} is {text}, of type {type(value).__name__}; pass {instead}")


def takes(**kinds: tuple[type | UnionType, str]) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """A decorator: calls with an argument of another kind than these, with too few or too many, raise `ArgumentError`.

    A mistake is so named where it was made, and not by whatever it breaks further in. Each keyword is a parameter; its
    value the type that it must have, and in words what to pass.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        parameters = signature(function)
        name = function.__name__

        @wraps(function)
        def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            try:
                given = parameters.bind_partial(*args, **kwargs).arguments
                for parameter, (kind, instead) in kinds.items():
                    if parameter in given:
                        expect(f"{name}: {parameter}", given[parameter], kind, instead)
                parameters.bind(*args, **kwargs)
            except ArgumentError:
                raise
            except TypeError as error:
                raise ArgumentError(f"{name}: {error}; it takes ({', '.join(parameters.parameters)})") from None
            return function(*args, **kwargs)

        return checked

    return decorate


def run_script(main: Callable[[], int | None]) -> NoReturn:
    """The last line of a program outside the package: run ``main`` and end the process with its answer, or 0.

    A `BinarynetError`, and a file that cannot be read or written, ends it in one line on standard error, with exit code
    2, as it ends the command line.
    """
    try:
        code = main()
    except (BinarynetError, OSError) as error:
        said = str(error)
        if isinstance(error, OSError):
            said = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
        print(f"{Path(sys.argv[0]).name}: {said}", file=sys.stderr)
        code = 2
    raise SystemExit(code or 0)
