"""What a data set is on disk: the folders it may stand in, their files, and where those are published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from binarynet.data.dataset import Split

Part = Literal["training", "test"]


@dataclass(frozen=True)
class Layout:
    """A folder under the data directory, and the names of the training and the test files in it.

    gz: whether each file may also stand there compressed, as `<name>.gz`.
    """

    folder: str
    training: tuple[str, ...]
    test: tuple[str, ...]
    gz: bool = False

    def files(self, parts: Sequence[Part]) -> tuple[str, ...]:
        """The names of all files of these parts."""
        return sum((self.training if part == "training" else self.test for part in parts), ())


@dataclass(frozen=True)
class Published:
    """A file on the web, with its SHA-256 and the addresses of its copies, which are tried in order.

    provides: the names of the layout's files that it holds.
    archive: whether it is a tar file; otherwise it is one of those files, plain or compressed.
    """

    file: str
    sha256: str
    urls: tuple[str, ...]
    provides: tuple[str, ...]
    archive: bool = False


@dataclass(frozen=True)
class Source:
    """A data set by name: its classes, its files, and the two functions that read them.

    layouts: where the files may stand; the first is the one a download makes and messages ask for. Empty
        for a set that comes with an installed package.
    read_training: the training files, in the layout's order → (train, validation).
    read_test: the test files → test.
    """

    name: str
    classes: tuple[str, ...]
    layouts: tuple[Layout, ...]
    published: tuple[Published, ...]
    read_training: Callable[[Sequence[Path]], tuple[Split, Split]]
    read_test: Callable[[Sequence[Path]], Split]
