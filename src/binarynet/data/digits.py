"""Handwritten digits of 8×8 pixels that come with this package, in digits.npz: the set that needs nothing else.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998, CC BY 4.0: its test part,
as scikit-learn ships it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from binarynet.data.dataset import Split, labelled
from binarynet.data.source import Source

FILE = Path(__file__).with_name("digits.npz")
CLASSES = tuple(str(digit) for digit in range(10))


def read_digits() -> Split:
    """All 1,797 images in scikit-learn's order, their values 0..16 spread over 0..255 → (1797, 1, 8, 8)."""
    with np.load(FILE, allow_pickle=False) as stored:
        counts, labels = stored["images"], stored["labels"]
    images = np.rint(counts * (255 / 16)).astype(np.uint8)
    return labelled(images[:, None], labels, CLASSES, "digits.npz", "digits.npz")


def read_training(paths: Sequence[Path] = ()) -> tuple[Split, Split]:
    """(train, validation): 1,204 and 297 images."""
    digits = read_digits()
    turn = _turn(digits.labels)
    return _where(digits, turn < 4), _where(digits, turn == 4)


def read_test(paths: Sequence[Path] = ()) -> Split:
    """296 images."""
    digits = read_digits()
    return _where(digits, _turn(digits.labels) == 5)


def _turn(labels: np.ndarray) -> np.ndarray:
    """(n,) 0..5: how often the label was seen before, modulo 6. Four turns train, one validates, one tests.

    So each class is split alike, and the split depends on no random generator.
    """
    turn = np.empty(len(labels), np.int64)
    for digit in range(len(CLASSES)):
        of_class = np.flatnonzero(labels == digit)
        turn[of_class] = np.arange(len(of_class)) % 6
    return turn


def _where(split: Split, mask: np.ndarray) -> Split:
    return Split(split.images[mask], split.labels[mask])


DIGITS = Source("digits", CLASSES, (), (), read_training, read_test)
