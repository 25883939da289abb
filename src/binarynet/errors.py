"""The errors this package raises on purpose. Each message says where, what, why, and the way out."""

_LONGEST = 4000  # characters of a message: what a file holds is quoted in it, and a file can hold megabytes


def printable(text: str) -> str:
    """Any text as it may reach a terminal: what is not printable becomes its escape, ``\\x1b``. Line breaks stay."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii") for char in text
    )


def printable(text: str) -> str:
    """Text from anywhere fit for a terminal: what is not printable becomes its escape, ``\\x1b``. Lines stay."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode("ascii") for char in text
    )


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
    """A `.bnn` file, or the graph inside it, breaks the specification."""


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
    """A graph breaks a rule of `binarynet.graph.verify`; the text names the op."""
