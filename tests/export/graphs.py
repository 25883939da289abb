"""Encodings that the tests of the exports draw from, and weights whose products with reals are exact."""

from __future__ import annotations

import numpy as np

from tests.runtime.graphs import Maker

WEIGHTS = ("b1", "b2", "b7", "u1", "u3", "u7", "i2", "i4", "i8", "t2")
CODES = ("b1", "b2", "b4", "u1", "u2", "u5", "i2", "i4", "t2")
SAME = ((1, 1), (1, 1))


class Whole(Maker):
    """A `Maker` whose real weights are small whole numbers, so that no order of a sum rounds."""

    def weights(self, encoding: str, *shape: int) -> np.ndarray:
        if encoding == "f32":
            return self.random.integers(-3, 4, shape).astype(np.float32)
        return super().weights(encoding, *shape)
