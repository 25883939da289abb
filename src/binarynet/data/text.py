"""Texts for language models: characters or words by number, in windows of a fixed length, with the token behind each.

A window stands where an image stands: (digits, 1, steps) uint8. Up to 256 different tokens are one byte each; more are
two, the high one first. Windows lie side by side, so that each token is asked for once.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from binarynet.data.dataset import DataSet, Split
from binarynet.data.files import read_bytes
from binarynet.data.own.npz import SPLITS
from binarynet.errors import DataError

UNKNOWN, END = "<unk>", "<eos>"  # a token that the vocabulary has not; the end of a line
ONE_BYTE, TWO_BYTES = 256, 65536
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Tokens:
    """How a text is read. kind: characters, or words between white space, with `END` for each line.

    steps: tokens of a window. most: of different tokens; of characters at most 256. The rarest become `UNKNOWN`.
    Raises `DataError` for numbers that cannot be.
    """

    kind: Literal["characters", "words"] = "characters"
    steps: int = 50
    most: int = 10_000

    def __post_init__(self) -> None:
        if self.kind not in ("characters", "words") or self.steps < 1 or not 2 <= self.most <= TWO_BYTES:
            raise DataError(
                f"tokens={self.kind}, steps={self.steps}, most={self.most}: needed are characters or words, 1 step or "
                f"more, 2 to {TWO_BYTES} tokens."
            )

    def of(self, text: str) -> list[str]:
        """The tokens of a text, each by its printable name."""
        if self.kind == "words":
            return [word for line in text.splitlines() for word in (*map(_printable, line.split()), END)]
        return [_printable(character) for character in text.replace("\r\n", "\n")]

    def vocabulary(self, tokens: list[str]) -> tuple[str, ...]:
        """The tokens, the most frequent first; `UNKNOWN` behind them where some are left out."""
        most = min(self.most, ONE_BYTE) if self.kind == "characters" else self.most
        known = [name for name, _ in sorted(Counter(tokens).items(), key=lambda one: (-one[1], one[0]))]
        if len(known) > most:
            known = [name for name in known if name != UNKNOWN][: most - 1]
            known.append(UNKNOWN)
        return tuple(known)

    def windows(self, tokens: list[str], vocabulary: tuple[str, ...], where: str) -> Split:
        """Windows side by side, each with the token behind it. `DataError` for a text shorter than one of them."""
        place = {name: number for number, name in enumerate(vocabulary)}
        unknown = place.get(UNKNOWN)
        if unknown is None and (missing := next((one for one in tokens if one not in place), None)) is not None:
            raise DataError(f"{where} holds {missing!r}, which the training text never has: there is no number for it")
        numbers = np.array([place.get(one, unknown) for one in tokens], np.int64)
        count = (len(numbers) - 1) // self.steps
        if count < 1:
            raise DataError(
                f"{where} holds {len(numbers)} tokens; a window of {self.steps} and one behind it are needed"
            )
        inside = numbers[: count * self.steps].reshape(count, 1, 1, self.steps)
        digits = inside if len(vocabulary) <= ONE_BYTE else np.concatenate([inside // 256, inside % 256], axis=1)
        return Split(digits.astype(np.uint8), numbers[self.steps :: self.steps][:count].copy())


def read_text(path: Path, tokens: Tokens, vocabulary: tuple[str, ...] | None = None) -> DataSet:
    """A text file, of which the last two tenths validate and test, or a folder with train, valid and test ``.txt``.

    vocabulary: that of a model that is asked; None: the training text's.
    `DataError`, naming the file, for one that is no UTF-8 or too short, and for a folder without ``train``.
    """
    texts = _texts(path)
    read = {part: tokens.of(text) for part, text in texts.items()}
    read = {part: read[part] for part in _PARTS if part in read} if "train" in read else read
    if len(read) < len(_PARTS):
        missing = [part for part in _PARTS if part not in read]
        tenth = len(read["train"]) // 10
        for part in reversed(missing):
            read[part], read["train"] = read["train"][len(read["train"]) - tenth :], read["train"][: -tenth or None]
    known = vocabulary or tokens.vocabulary(read["train"])
    if vocabulary is None and UNKNOWN not in known and any(set(read[part]) - set(known) for part in _PARTS):
        known = (*known[: ONE_BYTE - 1 if tokens.kind == "characters" else tokens.most - 1], UNKNOWN)
    if len(known) < 2:
        raise DataError(f"{path} holds {len(known)} different tokens; a language has two at least")
    splits = {part: tokens.windows(read[part], known, f"{path} ({part})") for part in _PARTS}
    origin = {"path": str(path.resolve()), "tokens": tokens.kind}
    return DataSet(path.resolve().stem, known, **splits, origin=origin)


def _texts(path: Path) -> dict[str, str]:
    if path.is_file():
        return {"train": _text(path)}
    found: dict[str, str] = {}
    for file in sorted(path.glob("*.txt")):
        part = next((SPLITS[word] for word in re.findall("[a-z]+", file.stem.lower()) if word in SPLITS), None)
        if part in found:
            raise DataError(f"{file}: the split {part!r} stands twice. Leave one of the files out.")
        if part is not None and file.is_file():
            found[part] = _text(file)
    if "train" not in found:
        raise DataError(f"{path} holds no text to learn: a file train.txt, and perhaps valid.txt and test.txt")
    return found


def _text(file: Path) -> str:
    try:
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no UTF-8: byte {error.start} is {error.object[error.start]:#x}") from None


def _printable(token: str) -> str:
    """A name that can stand in a file's list of classes, a line each: other characters by their numbers."""
    if token == "\n":
        return END
    return "".join(one if one.isprintable() else f"U+{ord(one):04X}" for one in token)
