"""The functions of `Apply`: one formula of float32 each, which every engine follows step by step.

A library's exp differs from the next one's in the last bit. So a function is written here as additions,
multiplications and divisions, each of which rounds once, in this order, fused nowhere; whoever does the same gets the
same bits. Away from float32's ends they are within a few units of the last place of what they approximate.

The square root is so written, too: of its own ones some libraries' are quick rather than exact.

exp and tanh by the polynomials of Cephes (S. L. Moshier, expf and tanhf); erf by the Chebyshev fit to erfc of Numerical
Recipes in C (Press et al., section 6.2), whose relative error is below 1.2·10⁻⁷.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Arithmetic(Protocol, Generic[T]):
    """What an engine computes with: float32 numbers of its own kind, each step rounded by itself."""

    def number(self, value: float) -> T: ...
    def add(self, a: T, b: T) -> T: ...
    def multiply(self, a: T, b: T) -> T: ...
    def divide(self, a: T, b: T) -> T: ...
    def floor(self, a: T) -> T: ...
    def power(self, n: T) -> T:
        """2^n, for whole n from −126 to 127."""

    def choose(self, a: T, least: float, yes: T, no: T) -> T:
        """``yes`` where a >= least, else ``no``: so also where a is no number."""


def exp(on: Arithmetic[T], x: T) -> T:
    """e^x; from 88 on ∞, and below −87, and of NaN, that of −87."""
    large, x = x, on.choose(x, 88.0, on.number(88.0), x)
    x = on.choose(x, -87.0, x, on.number(-87.0))
    n = on.floor(on.add(on.multiply(x, on.number(1.44269504)), on.number(0.5)))
    r = on.add(x, on.multiply(n, on.number(-0.693359375)))  # x − n ln 2, in two parts
    r = on.add(r, on.multiply(n, on.number(2.12194440e-4)))
    p = _polynomial(
        on,
        r,
        (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1),
    )
    made = on.add(on.add(on.multiply(p, on.multiply(r, r)), r), on.number(1.0))
    return on.choose(large, 88.0, on.number(np.inf), on.multiply(made, on.power(n)))


def sigmoid(on: Arithmetic[T], x: T) -> T:
    """1 / (1 + e^−x), which is 0 up to −88."""
    e = exp(on, on.multiply(x, on.number(-1.0)))
    return _or_nan(on, x, on.divide(on.number(1.0), on.add(e, on.number(1.0))))


def tanh(on: Arithmetic[T], x: T) -> T:
    """tanh x: near 0 a polynomial, else 1 − 2 / (e^2x + 1)."""
    z = on.multiply(x, x)
    p = _polynomial(
        on, z, (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
    )
    near = on.add(on.multiply(on.multiply(p, z), x), x)
    a = _size(on, x)
    e = exp(on, on.add(a, a))
    far = on.add(on.divide(on.number(-2.0), on.add(e, on.number(1.0))), on.number(1.0))
    far = on.choose(x, 0.0, far, on.multiply(far, on.number(-1.0)))
    return _or_nan(on, x, on.choose(a, 0.625, far, near))


def erf(on: Arithmetic[T], x: T) -> T:
    """The error function, 1 − erfc x: near ±1 it is as exact as float32, so that 1 + erf x keeps its sign."""
    a = _size(on, x)
    t = on.divide(on.number(1.0), on.add(on.multiply(a, on.number(0.5)), on.number(1.0)))
    p = _polynomial(
        on,
        t,
        (
            *(0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807),
            *(-0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223),
        ),
    )
    e = exp(on, on.add(on.multiply(on.multiply(a, a), on.number(-1.0)), p))
    made = on.add(on.multiply(on.multiply(t, e), on.number(-1.0)), on.number(1.0))
    made = on.choose(x, 0.0, made, on.multiply(made, on.number(-1.0)))
    return _or_nan(on, x, made)


def sqrt(on: Arithmetic[T], x: T) -> T:
    """√x, within a unit of the last place; 0 of what is below 2^−126, no number of what is below 0.

    x = a 4^n with a from 1 to below 4, by powers of two that round nothing; then Heron's r ← (r + a / r) / 2 from a
    line that is off by 1/24 at most, of which three steps leave 10⁻¹³.
    """
    small = on.choose(x, 1.0, on.number(1.0), on.number(2.0**-63))
    a = on.choose(x, 1.0, x, on.multiply(x, on.number(2.0**126)))
    for half in (32, 16, 8, 4, 2, 1):
        least = 4.0**half
        small = on.choose(a, least, on.multiply(small, on.number(2.0**half)), small)
        a = on.choose(a, least, on.multiply(a, on.number(1 / least)), a)
    r = on.add(on.multiply(a, on.number(1 / 3)), on.number(17 / 24))
    for _ in range(3):
        r = on.multiply(on.add(r, on.divide(a, r)), on.number(0.5))
    made = on.choose(x, np.inf, x, on.multiply(r, small))
    return on.choose(x, 2.0**-126, made, on.choose(x, 0.0, on.number(0.0), on.number(np.nan)))


def reciprocal(on: Arithmetic[T], x: T) -> T:
    """1 / x: one division. As −(−1 / x), since a library may make y / x of y · (1 / x), which rounds once."""
    return on.multiply(on.divide(on.number(-1.0), x), on.number(-1.0))


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "erf": erf,
    "sqrt": sqrt,
    "reciprocal": reciprocal,
}


def _polynomial(on: Arithmetic[T], x: T, factors: Sequence[float]) -> T:
    """The highest power first, by Horner's rule."""
    made = on.number(factors[0])
    for one in factors[1:]:
        made = on.add(on.multiply(made, x), on.number(one))
    return made


def _size(on: Arithmetic[T], x: T) -> T:
    return on.choose(x, 0.0, x, on.multiply(x, on.number(-1.0)))


def _or_nan(on: Arithmetic[T], x: T, made: T) -> T:
    """What is no number stays none."""
    return on.choose(x, -np.inf, made, x)


class OnArrays:
    """numpy's float32."""

    def number(self, value: float) -> NDArray[np.float32]:
        return np.asarray(value, np.float32)

    def add(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        return a + b

    def multiply(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        return a * b

    def divide(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        return a / b

    def floor(self, a: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.floor(a)

    def power(self, n: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((n.astype(np.int32) + 127) << 23).astype(np.int32).view(np.float32)

    def choose(
        self, a: NDArray[np.float32], least: float, yes: NDArray[np.float32], no: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        return np.where(a >= np.float32(least), yes, no)


def apply(function: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A function of `FUNCTIONS`, by name, of an array."""
    with np.errstate(all="ignore"):
        made: NDArray[np.float32] = FUNCTIONS[function](OnArrays(), x)
    return made
