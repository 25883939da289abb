"""``binarynet run``: classify arrays and pictures, as they are read, so that a file may be larger than memory."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from binarynet.cli.app import app
from binarynet.cli.many import check, is_many, run_many
from binarynet.cli.options import Background, Isa, ModelFile, Threads
from binarynet.cli.printing import fail
from binarynet.data.shown import Shown
from binarynet.errors import DataError, InputError, printable
from binarynet.graph import Graph

_PIECE = 4 << 20  # bytes of images that are read, answered and printed at a time
_MOST = 4096  # images


class _Piece(NamedTuple):
    """Some images of a file; ``first`` is the place of the first among the file's ``total``."""

    images: NDArray[Any]
    first: int
    total: int
    notes: list[str]


@app.command()
def run(
    file: ModelFile,
    inputs: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help=".npy arrays, pictures, folders, Parquet, or -.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a line for each image, with its logits.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the answers of a folder, Parquet or a stream into a folder of Parquet files; a run that was "
            "stopped goes on there.",
            metavar="DIR",
            show_default="a line an image",
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Of Parquet: where the images are.", show_default="found by its name and type")
    ] = None,
    background: Background = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="native, oracle (slow and obvious) or triton.", show_default="what the device has", metavar="NAME"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda with the extra gpu.")] = "cpu",
    isa: Isa = None,
    threads: Threads = 0,
) -> None:
    """Classify .npy arrays (one image or a batch of any length) and pictures: PNG, JPEG, GIF, BMP, TIFF, WebP, PPM.

    A picture is brought to the size and colours that the model takes; what that changed stands behind its class.
    A file that cannot be read is named on standard error, the others are answered, and the exit code is 2.
    Folders, Parquet files and - (an Arrow stream or a .npy array on standard input) are read a few megabytes at a time.
    """
    from binarynet.format import load
    from binarynet.runtime import Session

    check(inputs, out, column)
    graph = load(file)
    session = Session(graph, engine=engine, device=device, isa=isa, threads=threads)
    code = 0
    for path in inputs:
        first = 0
        try:
            if is_many(path):
                code = max(code, run_many(session, path, out, column, background, as_json))
                continue
            for piece in _pieces(path, graph, background):
                first = piece.first
                _show(path, piece, session.run(piece.images), session.classes, as_json)
        except (InputError, DataError) as error:
            named = str(error) if str(path) in str(error) else f"{path}: {error}"
            code = fail(f"{named} (counted from image {first:,})" if first else named)
        except OSError as error:
            if error.filename is None:
                raise  # not of the file: standard output
            code = fail(f"{path}: {error.strerror}")
    raise typer.Exit(code)


def _show(
    path: Path, piece: _Piece, found: NDArray[Any] | dict[str, NDArray[Any]], names: tuple[str, ...], as_json: bool
) -> None:
    """A line for each image, all of them in one write. Of several answers the first is the class."""
    outputs = found if isinstance(found, dict) else {"logits": found}
    logits = next(iter(outputs.values()))
    classes = logits.reshape(len(logits), -1).argmax(axis=1).tolist()
    lines = []
    for index, (number, row) in enumerate(zip(classes, logits, strict=True), piece.first):
        name = names[number] if names else str(number)
        if as_json:
            document = {"file": str(path), "index": index, "class": number, "name": name, "logits": row.tolist()}
            if isinstance(found, dict):
                document["outputs"] = {key: part[index - piece.first].tolist() for key, part in outputs.items()}
            lines.append(json.dumps(document | {"notes": piece.notes}))
        else:
            place = f"[{index}]" if piece.total > 1 else ""
            done = f"  ({', '.join(piece.notes)})" if piece.notes else ""
            lines.append(printable(f"{path}{place}: {name}{done}").replace("\n", "\\n"))
    print("\n".join(lines), file=sys.stdout, flush=True)


def _pieces(path: Path, graph: Graph, background: Literal["black", "white"] | None) -> Iterator[_Piece]:
    """The images of a file: a picture as one, a .npy array (one image, or a batch) a piece at a time."""
    if path.suffix == ".npy":
        yield from parts(path, graph.input.shape)
    else:
        pixels, notes = Shown.to(graph.input.shape, graph.meta, background).read(path)
        yield _Piece(pixels, 0, 1, notes)


def parts(path: Path, shape: tuple[int, ...]) -> Iterator[_Piece]:
    """The images of a .npy file, a few megabytes at a time. `InputError` for what is no array of images."""
    with open(path, "rb") as file:
        if file.read(2) == b"PK":  # a zip file, as np.savez writes
            raise InputError(f"{path} holds several arrays: pass one, as a .npy file")
    try:
        array = _mapped(path)
    except OSError:
        raise
    except Exception as error:  # ValueError, EOFError, BadZipFile, OverflowError, TokenError … by where the damage is
        raise InputError(f"{path}: not a .npy array: {error}") from None
    assert isinstance(array, np.memmap)
    if _is_one(array.shape, shape):
        yield _Piece(np.array(array)[None], 0, 1, [])
        return
    total = len(array) if array.ndim else 0
    if not total:
        raise InputError(f"{path}: an array of shape {array.shape} holds no images")
    each = array[0].nbytes if array.ndim > 1 else array.itemsize
    step = max(1, min(_MOST, _PIECE // max(1, each)))
    if array.dtype.kind == "f":
        step = total  # whether reals are bytes or intensities, all of them together decide
    for first in range(0, total, step):
        part = np.array(array[first : first + step])
        # Pages that were read count as this process's memory for as long as they stay mapped.
        array = _mapped(path)
        yield _Piece(part, first, total, [])


def _mapped(path: Path) -> NDArray[Any]:
    with warnings.catch_warnings():  # of headers that Python 2, or nobody, has written
        warnings.simplefilter("ignore")
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def _is_one(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Is an array of the shape ``found`` one image without a batch axis, for a model that takes ``shape``?"""
    if len(shape) == 3:
        height, width, channels = shape
        alone = [(height, width, channels), (channels, height, width), (prod(shape),)]
        return found in alone or (channels == 1 and found == (height, width))
    return prod(found) == shape[0] and (len(found) == 1 or found[0] != 1)
