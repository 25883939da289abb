"""Handwritten digits of 8×8 pixels that come with scikit-learn: the set that needs no download.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998; scikit-learn
ships its test part.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from binarynet.data.dataset import Split, labelled
from binarynet.data.lazy import need
from binarynet.data.source import Source

CLASSES = tuple(str(digit) for digit in range(10))


def read_digits() -> Split:
    """All 1,797 images in scikit-learn's order, their values 0..16 spread over 0..255 → (1797, 1, 8, 8)."""
    bunch = need("sklearn.datasets", "scikit-learn", "the digits data set").load_digits()
    images = np.rint(bunch.images * 255 / 16).astype(np.uint8)
    return labelled(images[:, None], bunch.target, CLASSES, "scikit-learn's digits", "scikit-learn's digits")


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
