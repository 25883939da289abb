"""Local contrast normalization: each pixel by its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np


@dataclass(frozen=True)
class LocalContrast:
    """Each channel by itself: y = v / max(s, mean(s), threshold), with v = x − g ⋆ x and s = sqrt(g ⋆ v²).

    g is a Gaussian of `size` × `size` pixels (odd) and standard deviation `sigma` with the sum 1; 0 stands outside the
    image, and mean(s) is that of the channel.

    K. Jarrett, K. Kavukcuoglu, M. Ranzato, Y. LeCun, "What is the best multi-stage architecture for object
    recognition?", ICCV 2009; channels apart and this Gaussian as in the data of BinaryNet's Torch7 code for SVHN.
    """

    name: ClassVar[str] = "lcn"

    size: int = 9
    sigma: float = 2.0
    threshold: float = 1e-4

    @classmethod
    def fit(cls, images: np.ndarray) -> Self:
        """Nothing is learnt from the images."""
        return cls()

    def apply(self, images: np.ndarray) -> np.ndarray:
        """(n, c, h, w) of any number type → the same shape, float32."""
        result = np.empty(images.shape, np.float32)
        for number, image in enumerate(images.astype(np.float64)):
            centred = image - self._blurred(image)
            deviation = np.sqrt(self._blurred(centred**2))
            mean = deviation.mean(axis=(1, 2), keepdims=True)
            result[number] = centred / np.maximum(np.maximum(deviation, mean), self.threshold)
        return result

    def _blurred(self, image: np.ndarray) -> np.ndarray:
        """(c, h, w) → the same, by rows and then by columns: the Gaussian of the plane is a product of two."""
        away = np.arange(self.size) - self.size // 2
        line = np.exp(-(away**2) / (2 * self.sigma**2))
        line /= line.sum()
        for axis in (1, 2):
            around = [(0, 0)] * 3
            around[axis] = (self.size // 2, self.size // 2)
            views = np.lib.stride_tricks.sliding_window_view(np.pad(image, around), self.size, axis=axis)
            image = views @ line  # (c, h, w, size) @ (size,) → (c, h, w)
        return image

    def arrays(self) -> dict[str, np.ndarray]:
        """`settings`: (3,) float64, size, sigma and threshold."""
        return {"settings": np.array([self.size, self.sigma, self.threshold], np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `arrays`."""
        size, sigma, threshold = arrays["settings"].tolist()
        return cls(int(size), sigma, threshold)
