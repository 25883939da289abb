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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.graph import Encoding
from binarynet.importer.model import Array, Node

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
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
    """``numbers``: (n, channels, …) → integers from ``low`` to ``high`` in steps of ``step``, each worth ``unit``."""

    numbers: Callable[[Array], Array]
    low: int
    high: int
    step: int
    unit: Array

    @property
    def encoding(self) -> Encoding | None:
        """The smallest encoding that holds all integers; None if none does."""
        names = [f"{kind}{bits}" for bits in range(1, 9) for kind in ("b", "u", "i") if (kind, bits) != ("i", 1)]
        found = (Encoding.parse(name) for name in ("b1", "u1", "t2", *names))
        return next((one for one in found if self._fits(one)), None)

    def _fits(self, made: Encoding) -> bool:
        within = made.low <= self.low and self.high <= made.high
        return within and self.step % made.step == 0 and (self.low - made.low) % made.step == 0


def is_quantizer(node: Node) -> bool:
    return node.kind == "Sign" if not node.domain else node.domain in DOMAINS and node.kind in _READERS


def quantizer(node: Node, constants: list[Array | None]) -> Quantizer:
    """The quantizer of a node, from the constants among its inputs (None for what is no constant).

    Raises:
        ImportedModelError: a parameter is missing, or has no counterpart.
    """
    if any(one is None for one in constants[1:]):
        node.refuse("its parameters are computed from the image; they must be constants")
    return _READERS[node.kind](node, [np.asarray(one) for one in constants[1:]])


def _sign(node: Node, parameters: list[Array]) -> Quantizer:
    return Quantizer(lambda x: np.sign(x).astype(np.int64), -1, 1, 1, np.ones(()))


def _bipolar(node: Node, parameters: list[Array]) -> Quantizer:
    (scale,) = parameters
    return Quantizer(lambda x: np.where(x >= 0, 1, -1), -1, 1, 2, _positive(node, scale))


def _integer(node: Node, parameters: list[Array]) -> Quantizer:
    scale, zero, bits = parameters
    signed, narrow = bool(node.get("signed", 1)), bool(node.get("narrow", 0))
    width = float(bits.reshape(-1)[0])
    if bits.size != 1 or width != int(width) or not 1 <= width <= 8:
        node.refuse(f"{width:g} bits; whole numbers from 1 to 8 have a counterpart")
    if width == 1 and signed:
        return _bipolar(node, [scale])
    rounding = _ROUNDINGS.get(str(node.get("rounding_mode", "ROUND")).upper())
    if rounding is None:
        node.refuse(f"rounding_mode {node.get('rounding_mode', '')!r} is unknown; known: {', '.join(_ROUNDINGS)}")
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
}
