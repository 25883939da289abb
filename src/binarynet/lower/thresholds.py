"""Thresholds of a torch chain and the quantizer behind it, in the very arithmetic of the layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from binarynet.graph import Encoding, Value, thresholds
from binarynet.lower.chain import Chain
from binarynet.nn import Quantizer


def read(chain: Chain, quantizer: Quantizer, value: Value) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Thresholds (channels, levels) and rising (channels,) with which a `Threshold` answers what the chain and the
    quantizer behind it answer, for every number that ``value`` can be (see `binarynet.graph.thresholds`)."""
    low, high = (-1e6, 1e6) if value.encoding.is_float else (-value.bound, value.bound)
    rising = ~chain.falling(low, high, value.channels)

    def quantized(x: NDArray[np.float32]) -> NDArray[Any]:
        with torch.no_grad():
            numbers, _ = quantizer.integers(chain.evaluate(torch.from_numpy(x)[None]))
        found: NDArray[Any] = numbers[0].numpy()
        return found

    return thresholds.read(quantized, rising, value, Encoding.parse(quantizer.encoding)), rising
