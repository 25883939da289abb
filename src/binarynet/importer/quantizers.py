"""The quantizers of QONNX (arXiv:2206.07527) as the integers that they make, and what an integer is worth.

========================= ============================================== ===========================================
node                      integer q                                      value
========================= ============================================== ===========================================
BipolarQuant(x, s)        +1 where x ≥ 0, else −1                        q · s
Quant, IntQuant           round(clip(x / s + z)) − z                     q · s
MultiThreshold(x, t)      how many t satisfy x ≥ t                       q · out_scale + out_bias
Sign (standard)           −1, 0, +1                                      q
========================= ============================================== ===========================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.fold.quantizer import smallest
from binarynet.graph import Encoding
from binarynet.importer import domains
from binarynet.importer.model import Array, Node

_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "DOWN": np.fix,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
}


@dataclass(frozen=True)
class Quantizer:
    """``numbers``: an array as the file has it → whole numbers from ``low`` to ``high`` in steps of ``step``, each
    worth ``unit``, which spreads over the array."""

    numbers: Callable[[Array], Array]
    low: int
    high: int
    step: int
    unit: Array

    @property
    def encoding(self) -> Encoding | None:
        """The smallest encoding that holds all integers; None if none does."""
        return smallest(self.low, self.high, self.step)


def is_quantizer(node: Node) -> bool:
    if not node.domain:
        return node.kind in ("Sign", "QuantizeLinear")
    return node.domain in domains.QUANTIZERS and node.kind in _READERS and node.kind not in ("Sign", "QuantizeLinear")


def quantizer(
    node: Node,
    constants: list[Array | None],
    *,
    weights: bool = False,
    reach: tuple[float, float] = (-math.inf, math.inf),
) -> Quantizer:
    """The quantizer of a node, from the constants among its inputs (None for what is no constant).

    ``weights``: whether it quantizes a constant, which may have more than 8 bits; ``reach``: between which numbers its
    input lies.

    Raises:
        ImportedModelError: a parameter is missing, or has no counterpart.
    """
    if any(one is None for one in constants[1:]):
        node.refuse("its parameters are computed from the image; they must be constants.")
    parameters = [np.asarray(one) for one in constants[1:]]
    wanted = _PARAMETERS.get(node.kind, (0, 0))
    if not wanted[0] <= len(parameters) <= wanted[1]:
        node.refuse(f"has {len(parameters)} parameters; it takes {wanted[1]}.")
    if node.kind == "Trunc":
        return _trunc(node, parameters, reach)
    if node.kind in ("Quant", "IntQuant"):
        return _integer(node, parameters, 32 if weights else 8)
    return _READERS[node.kind](node, parameters)


def _sign(node: Node, parameters: list[Array]) -> Quantizer:
    return Quantizer(lambda x: np.sign(x).astype(np.int64), -1, 1, 1, np.ones(()))


def _bipolar(node: Node, parameters: list[Array]) -> Quantizer:
    (scale,) = parameters
    return Quantizer(lambda x: np.where(x >= 0, 1, -1), -1, 1, 2, _positive(node, scale))


def _integer(node: Node, parameters: list[Array], most: int = 8) -> Quantizer:
    scale, zero, bits = parameters
    signed, narrow = bool(node.get("signed", 1)), bool(node.get("narrow", 0))
    width = float(bits.reshape(-1)[0])
    if bits.size != 1 or width != int(width) or not 1 <= width <= most:
        node.refuse(f"{width:g} bits; whole numbers from 1 to {most} have a counterpart")
    if width == 1 and signed:
        return _bipolar(node, [scale])
    rounding = _rounding(node, "ROUND")
    if zero.size != 1 or float(zero.reshape(-1)[0]) != int(zero.reshape(-1)[0]):
        node.refuse("its zero point is not one whole number")
    shift = np.float32(zero.reshape(-1)[0])
    low = -(1 << (int(width) - 1)) + narrow if signed else 0
    high = (1 << (int(width) - 1)) - 1 if signed else (1 << int(width)) - 1 - narrow
    unit = _positive(node, scale)

    def numbers(x: Array) -> Array:
        y = np.clip((x / unit + shift).astype(np.float32), np.float32(low), np.float32(high))
        return (rounding(y) - shift).astype(np.int64)

    return Quantizer(numbers, low - int(shift), high - int(shift), 1, unit)


def _trunc(node: Node, parameters: list[Array], reach: tuple[float, float]) -> Quantizer:
    """Trunc: the upper bits of a sum. Its first form (4 parameters: scale, zero point, bits before and after) clips
    nothing, so its input must be bounded; the second has the scale behind it before the last."""
    old = len(parameters) == 4
    scale, zero, before, *rest = parameters
    after = float(np.reshape(rest[-1], -1)[0])
    if any(one.size != 1 for one in parameters) or float(zero.reshape(-1)[0]) != 0:
        node.refuse("has several parameters for one layer, or a zero point other than 0.")
    rounding = _rounding(node, "FLOOR")
    unit = _positive(node, scale.reshape(()))
    made = unit if old else _positive(node, rest[0].reshape(()))
    shift = 2.0 ** (float(before.reshape(-1)[0]) - after) if old else 2.0 ** np.round(np.log2(made / unit))
    signed, narrow = bool(node.get("signed", 1)), bool(node.get("narrow", 0))
    sides = (-(2.0 ** (after - 1)) + narrow, 2.0 ** (after - 1) - 1) if signed else (0.0, 2.0**after - 1 - narrow)
    sides = (-math.inf, math.inf) if old else sides

    def numbers(x: Array) -> Array:
        y = (np.round((x / unit).astype(np.float32)) / np.float32(shift)).astype(np.float32)
        return rounding(np.clip(y, np.float32(sides[0]), np.float32(sides[1]))).astype(np.int64)

    if not old:
        return Quantizer(numbers, int(sides[0]), int(sides[1]), 1, made)
    if not np.isfinite(reach).all() or max(map(abs, reach)) > 1e9:
        node.refuse("its input is not bounded, so its range is unknown.")
    low, high = (int(numbers(np.full((1, 1), side, np.float32))[0, 0]) for side in reach)
    return Quantizer(numbers, low, high, 1, made)


def _linear(node: Node, parameters: list[Array]) -> Quantizer:
    """QuantizeLinear: codes of 8 bits, worth 1 each until a DequantizeLinear says otherwise."""
    scale, *rest = parameters
    zero = rest[0] if rest else np.zeros((), np.uint8)
    if scale.size != 1 or zero.size != 1:
        node.refuse("has a scale for each channel; one for the whole layer has a counterpart.")
    limits = {"uint8": (0, 255), "int8": (-128, 127)}.get(zero.dtype.name)
    if limits is None:
        node.refuse(f"makes {zero.dtype}; uint8 and int8 have a counterpart.")
    unit, shift = _positive(node, scale.reshape(())), int(zero.reshape(()))

    def numbers(x: Array) -> Array:
        return np.clip(np.rint((x / unit).astype(np.float32)).astype(np.int64) + shift, *limits)

    return Quantizer(numbers, *limits, 1, np.ones((), np.float32))


def _rounding(node: Node, default: str) -> Callable[[Array], Array]:
    name = str(node.get("rounding_mode", default)).upper()
    found = _ROUNDINGS.get(name)
    if found is None:
        node.refuse(f"rounding_mode {name!r} is unknown; known: {', '.join(_ROUNDINGS)}")
    return found


def _multi(node: Node, parameters: list[Array]) -> Quantizer:
    (table,) = parameters  # (channels or 1, levels)
    scale, bias = float(node.get("out_scale", 1.0)), float(node.get("out_bias", 0.0))
    levels = table.shape[1]
    if scale <= 0:
        node.refuse(f"out_scale {scale:g} is not positive")
    if node.get("data_layout", "") not in ("", "NC", "NCHW"):
        node.refuse(f"data_layout {node.get('data_layout', '')!r}; only NC and NCHW have a counterpart")
    twice = 2 * bias / scale
    if twice != int(twice):
        node.refuse(f"out_bias {bias:g} is no multiple of half of out_scale {scale:g}")
    step = 2 if int(twice) % 2 else 1  # of a bipolar code the lowest is odd
    low = int(twice) if step == 2 else int(twice) // 2

    def numbers(x: Array) -> Array:
        limits = table.reshape(table.shape[0], *(1,) * (x.ndim - 2), levels)
        count = (x[..., None] >= limits).sum(axis=-1)
        found: NDArray[Any] = low + step * count
        return found

    return Quantizer(numbers, low, low + step * levels, step, np.asarray(scale / step, np.float32))


def _positive(node: Node, scale: Array) -> Array:
    if not np.all(scale > 0):
        node.refuse("its scale is not positive")
    return scale.astype(np.float32)


_READERS: dict[str, Callable[[Node, list[Array]], Quantizer]] = {
    "Sign": _sign,
    "BipolarQuant": _bipolar,
    "Quant": _integer,
    "IntQuant": _integer,
    "MultiThreshold": _multi,
    "QuantizeLinear": _linear,
    "Trunc": _integer,
}
# How few and how many parameters stand behind the input.
_PARAMETERS = {
    "BipolarQuant": (1, 1),
    "Quant": (3, 3),
    "IntQuant": (3, 3),
    "MultiThreshold": (1, 1),
    "QuantizeLinear": (1, 2),
    "Trunc": (4, 5),
}
