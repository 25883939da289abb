"""What is learnt from, or done to, images before a network sees them: contrast normalization, ZCA, PCA.

Global contrast normalization and ZCA whitening are options, fitted on training images, saved with the model.

The Theano code of BinaryNet uses neither; BinaryConnect and the Torch7 code whiten CIFAR-10. Both take raw
bytes, 0..255. The defaults are those of I. Goodfellow et al., "Maxout Networks" (arXiv 1302.4389), which
BinaryConnect took over: contrast scaled to 55, so that a value of a 3×32×32 image has a standard deviation
near 1, then ZCA with bias 0.1. `principal_components` is for networks whose first layer is that projection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np

from binarynet.data.local_contrast import LocalContrast
from binarynet.errors import DataError

CHUNK = 1024  # images in float64 at a time: 25 MB for 32×32 colour images


class Step(Protocol):
    """One stage: images in, float32 images out, and the arrays that bring it back."""

    name: ClassVar[str]

    @classmethod
    def fit(cls, images: np.ndarray) -> Self: ...
    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self: ...
    def arrays(self) -> dict[str, np.ndarray]: ...
    def apply(self, images: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class GlobalContrast:
    """Each image by itself: x ← (x − mean(x)) / d, with d = sqrt(bias + Σ(x − mean(x))²) / scale.

    With `use_std` the sum is divided by the number of values less one, so that it is the variance. A
    d under `floor` (an image of one colour) becomes 1. The Torch7 code has scale 1, use_std and bias
    10 for SVHN.
    """

    name: ClassVar[str] = "gcn"
    floor: ClassVar[float] = 1e-8

    scale: float = 55.0
    bias: float = 0.0
    use_std: bool = False

    @classmethod
    def fit(cls, images: np.ndarray) -> Self:
        """Nothing is learnt from the images."""
        return cls()

    def apply(self, images: np.ndarray) -> np.ndarray:
        """(n, c, h, w) of any number type → the same shape, float32."""
        result = np.empty(images.shape, np.float32)
        for part, flat in _chunks(images):
            flat = flat - flat.mean(axis=1, keepdims=True)
            squares = np.einsum("nd,nd->n", flat, flat)
            divisor = (
                np.sqrt(self.bias + (squares / max(flat.shape[1] - 1, 1) if self.use_std else squares)) / self.scale
            )
            divisor[divisor < self.floor] = 1.0
            result[part] = (flat / divisor[:, None]).reshape(result[part].shape)
        return result

    def arrays(self) -> dict[str, np.ndarray]:
        """`settings`: (3,) float64, scale, bias and use_std."""
        return {"settings": np.array([self.scale, self.bias, self.use_std], np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `arrays`."""
        scale, bias, use_std = arrays["settings"].tolist()
        return cls(scale, bias, bool(use_std))


@dataclass(frozen=True, eq=False)
class Zca:
    """Whitening that stays close to the image: x ← (x − μ) · (Σ + bias·I)^(−1/2), μ and Σ over the
    training images.

    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A.

    mean: (d,) float32, d = c·h·w. whitener: (d, d) float32, symmetric (37.7 MB for CIFAR-10).
    """

    name: ClassVar[str] = "zca"

    mean: np.ndarray
    whitener: np.ndarray

    @classmethod
    def fit(cls, images: np.ndarray, bias: float = 0.1) -> Self:
        """Of images (n, c, h, w), n at least 2, preferably more than d. Takes 15 s for CIFAR-10 on two cores.

        Raises `DataError` if the covariance cannot be inverted: bias 0 and fewer independent images than
        values.
        """
        if len(images) < 2:
            raise DataError(f"ZCA needs at least 2 images to whiten, not {len(images)}")
        mean, covariance = _moments(images)
        depth = len(mean)
        variances, axes = np.linalg.eigh(covariance + bias * np.eye(depth))
        if variances[0] <= variances[-1] * depth * np.finfo(np.float64).eps:
            raise DataError(
                f"ZCA cannot whiten: {len(images)} images leave some of the {depth} directions without "
                f"variance. Give more images or a bias > 0."
            )
        whitener = (axes / np.sqrt(variances)) @ axes.T
        return cls(mean.astype(np.float32), whitener.astype(np.float32))

    def apply(self, images: np.ndarray) -> np.ndarray:
        """(n, c, h, w) of any number type → the same shape, float32."""
        if int(np.prod(images.shape[1:])) != len(self.mean):
            raise DataError(f"ZCA was fitted on images of {len(self.mean)} values, not of shape {images.shape[1:]}")
        result = np.empty(images.shape, np.float32)
        for part, flat in _chunks(images, np.float32):
            result[part] = ((flat - self.mean) @ self.whitener).reshape(result[part].shape)
        return result

    def arrays(self) -> dict[str, np.ndarray]:
        """`mean` (d,) and `whitener` (d, d), float32."""
        return {"mean": self.mean, "whitener": self.whitener}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `arrays`."""
        return cls(arrays["mean"], arrays["whitener"])


def principal_components(images: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and the `count` orthonormal directions (count, d) of most variance, that of most first; float64.

    Of images (n, c, h, w), d = c·h·w. An axis has its largest entry positive. Raises `DataError` unless
    1 ≤ count ≤ d.

    K. Pearson, "On lines and planes of closest fit to systems of points in space", 1901.
    """
    mean, covariance = _moments(images)
    if not 1 <= count <= len(mean):
        raise DataError(f"images of {len(mean)} values have 1 to {len(mean)} principal components, not {count}")
    axes = np.linalg.eigh(covariance)[1].T[: -count - 1 : -1]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)
    return mean, axes * np.sign(largest)


def _moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and covariance (d, d) of images (n, c, h, w), float64."""
    depth = int(np.prod(images.shape[1:]))
    mean = np.zeros(depth)
    for _, flat in _chunks(images):
        mean += flat.sum(axis=0) / len(images)
    covariance = np.zeros((depth, depth))
    for _, flat in _chunks(images):
        flat = flat - mean
        covariance += flat.T @ flat / len(images)  # (d, n) @ (n, d) → (d, d)
    return mean, covariance


STEPS: dict[str, type[Step]] = {step.name: step for step in (GlobalContrast, Zca, LocalContrast)}


@dataclass(frozen=True)
class Preprocessing:
    """Steps, one after the other; none at all leaves the values as they are, in float32."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def fit(cls, steps: Sequence[str | Step], images: np.ndarray) -> Self:
        """Fit `steps` in order, each on what the ones before make of the training images (n, c, h, w).

        A step is a name ("gcn", "zca", "lcn": fitted with its default values) or a fitted step, taken as it is.
        """
        fitted: list[Step] = []
        for step in steps:
            if isinstance(step, str):
                if step not in STEPS:
                    raise DataError(f"unknown pre-processing step {step!r}. Known: {', '.join(STEPS)}.")
                step = STEPS[step].fit(images)
            fitted.append(step)
            if len(fitted) < len(steps):
                images = step.apply(images)
        return cls(tuple(fitted))

    def apply(self, images: np.ndarray) -> np.ndarray:
        """(n, c, h, w) of any number type → the same shape, float32."""
        for step in self.steps:
            images = step.apply(images)
        return images.astype(np.float32, copy=False)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `from_arrays` needs, under names `preprocessing.<position>.<step>.<array>`."""
        return {
            f"preprocessing.{position}.{step.name}.{key}": array
            for position, step in enumerate(self.steps)
            for key, array in step.arrays().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of `arrays`; other names in the mapping (a model's tensors) are passed over.

        Raises `DataError` if a step is unknown or one of its arrays is missing.
        """
        groups: dict[tuple[int, str], dict[str, np.ndarray]] = {}
        try:
            for key, array in arrays.items():
                if key.startswith("preprocessing."):
                    _, position, name, field = key.split(".")
                    groups.setdefault((int(position), name), {})[field] = array
            return cls(tuple(STEPS[name].from_arrays(groups[at, name]) for at, name in sorted(groups)))
        except (KeyError, ValueError) as error:
            raise DataError(f"the saved pre-processing is incomplete or unknown: {error}") from error


def _chunks(images: np.ndarray, dtype: type = np.float64) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices of at most `CHUNK` images, and those images as a (chunk, c·h·w) array of floats."""
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        chunk = images[part]
        yield part, chunk.reshape(len(chunk), -1).astype(dtype)
