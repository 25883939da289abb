"""The options that several verbs have, and how texts of the command line become lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from binarynet.cli import complete
from binarynet.errors import InputError, RecipeError
from binarynet.models import find

ModelFile = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL.bnn",
        callback=find,
        autocompletion=complete.models,
        help="A model file, a run folder, or the name of a model that comes along.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Isa = Annotated[
    str | None,
    typer.Option(
        help="Instruction set to use.",
        metavar="NAME",
        show_default="BINARYNET_ISA, or the best that this CPU has",
        autocompletion=complete.instruction_sets,
    ),
]
Kernel = Annotated[
    str | None,
    typer.Option(
        help="What every Linear and Conv2d must run on: popcount, tiles, vertical, bitsliced, counters, lookup or "
        "multiply.",
        metavar="NAME",
        show_default="BINARYNET_KERNEL, or the cheapest for each",
    ),
]
Threads = Annotated[int, typer.Option(min=0, help="Threads; 0 stands for BINARYNET_NUM_THREADS, or all cores.")]
TorchThreads = Annotated[int, typer.Option(min=0, help="Threads of torch; 0 stands for OMP_NUM_THREADS, or all cores.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the data sets are.", metavar="DIR", show_default="BINARYNET_DATA, or they are downloaded"),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="A data set's name, or the path of your own: class folders of pictures, .npz or .csv.",
        show_default="the recipe's or the model's",
        autocompletion=complete.data_sets,
    ),
]
Shape = Annotated[
    str | None,
    typer.Option(
        help="What pictures of your own are brought to, such as 3x32x32.",
        metavar="CxHxW",
        show_default="as they are, all of one size",
    ),
]
Background = Annotated[
    Literal["black", "white"] | None,
    typer.Option(help="What transparent places of a picture show.", show_default="what the ink stands out from"),
]
SplitName = Annotated[str, typer.Option(help="test, validation, train, or all images.")]
Precision = Annotated[
    str | None, typer.Option(help="32, or bf16 (training steps under autocast).", show_default="32", metavar="32|bf16")
]
Gradients = Annotated[
    str | None,
    typer.Option(
        metavar="float32|bf16|int8|1 … 8",
        help="How gradients enter the products of binary layers on a CPU.",
        show_default="as BINARYNET_GRADIENTS says, else bf16 where the CPU multiplies that, else float32",
    ),
]


def words(text: str) -> list[str]:
    """``a, b`` → ``["a", "b"]``."""
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(option: str, text: str) -> list[int]:
    """``1,100`` → ``[1, 100]``, each once. `InputError`, naming the option, for what is no list of positive numbers."""
    found = words(text)
    if not found or not all(word.isascii() and word.isdigit() and int(word) for word in found):
        raise InputError(f"--{option} {text}: give positive whole numbers separated by commas")
    return list(dict.fromkeys(map(int, found)))


def pairs(settings: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts by name. `RecipeError` for one that is none."""
    pairs = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name or not value:
            raise RecipeError(f"--set {setting}: write it as name=value")
        pairs[name.strip()] = value.strip()
    return pairs
