"""What ran each product of a training step, and how long: for `binarynet bench train --layers`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from binarynet.nn.quantizers import Quantizer


@dataclass(frozen=True)
class Ran:
    """One product of a step: of which layer (its name in the model), what multiplied, and in what time.

    by: an instruction set and a unit, or torch and why. multiplications: of all pairs of numbers. seconds: on the
    clock, with packing and rounding. (The gradients of a layer that is left to torch are not timed.)
    """

    layer: str
    product: str
    by: str
    multiplications: int
    seconds: float


_ran: list[Ran] | None = None
_layer = ""


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[Ran]]:
    """What ran each product of the binary layers of `model`, inside."""
    global _ran
    hooks = []
    for name, module in model.named_modules():
        if isinstance(getattr(module, "weight_quantizer", None), Quantizer):
            hooks.append(module.register_forward_pre_hook(_naming(name)))
    _ran = []
    try:
        yield _ran
    finally:
        _ran = None
        for hook in hooks:
            hook.remove()


def _naming(name: str) -> Callable[[Any, Any], None]:
    def hook(module: Any, inputs: Any) -> None:
        global _layer
        _layer = name

    return hook


@contextmanager
def timed(layer: str, product: str, by: str, multiplications: int) -> Iterator[None]:
    """Notes the time of what runs inside, if anybody asked."""
    if _ran is None:
        yield
        return
    start = time.perf_counter()
    yield
    _ran.append(Ran(layer, product, by, multiplications, time.perf_counter() - start))


def on() -> bool:
    """Whether anybody asked."""
    return _ran is not None


def layer() -> str:
    """The layer whose forward pass runs, if anybody asked."""
    return _layer
