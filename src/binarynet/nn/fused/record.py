"""What ran each product of a training step, and how long: for `binarynet bench train --layers`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as every

from binarynet.nn.quantizers import Quantizer


@dataclass(frozen=True)
class Ran:
    """One product of a step: of which layer (its name in the model), what multiplied, and in what time.

    by: an instruction set and a unit, or torch and why. multiplications: of all pairs of numbers. seconds: by
    `clock`, with packing and rounding. (The gradients of a layer that is left to torch are not timed.)
    """

    layer: str
    product: str
    by: str
    multiplications: int
    seconds: float


_ran: list[Ran] | None = None
_layer = ""
_naming_hooks: set[Callable[[Any, Any], None]] = set()


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[Ran]]:
    """What ran each product of the binary layers of `model`, inside."""
    global _ran
    hooks = []
    for name, module in model.named_modules():
        if isinstance(getattr(module, "weight_quantizer", None), Quantizer):
            naming = _naming(name)
            _naming_hooks.add(naming)
            hooks.append(module.register_forward_pre_hook(naming))
    _ran = []
    try:
        yield _ran
    finally:
        _ran = None
        _naming_hooks.clear()
        for hook in hooks:
            hook.remove()


def enter(module: nn.Module) -> None:
    """Stands for the call of a layer that `Sequential` runs together with those before it."""
    for hook in module._forward_pre_hooks.values():
        hook(module, ())


def as_typed(module: nn.Module) -> bool:
    """Whether a call of `module` does what its type says, so that something else may stand in for the call.

    No method is replaced on the object, and nobody but this file listens to its calls, or to those of all modules.
    """
    listening = (
        every._global_forward_hooks,
        every._global_forward_pre_hooks,
        every._global_backward_hooks,
        every._global_backward_pre_hooks,
        module._forward_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return (
        not any(listening)
        and all(hook in _naming_hooks for hook in module._forward_pre_hooks.values())
        and not any(callable(value) and hasattr(type(module), name) for name, value in vars(module).items())
    )


def is_plain(layer: nn.Module, *kinds: type[nn.Module]) -> bool:
    """Whether it is in training, of exactly such a type, and a call of it does what that type says."""
    return type(layer) in kinds and layer.training and as_typed(layer)


def _naming(name: str) -> Callable[[Any, Any], None]:
    def hook(module: Any, inputs: Any) -> None:
        global _layer
        _layer = name

    return hook


def note(layer: str, product: str, by: str, multiplications: int, start: float) -> None:
    """What has run since `start`, a time of `clock`, if anybody asked."""
    if _ran is not None:
        _ran.append(Ran(layer, product, by, multiplications, clock() - start))


@contextmanager
def timed(layer: str, product: str, by: str, multiplications: int) -> Iterator[None]:
    """Notes the time of what runs inside, if anybody asked."""
    start = clock() if on() else 0.0
    yield
    note(layer, product, by, multiplications, start)


def clock() -> float:
    """Seconds: of one thread those of the processor, so that other processes do not count; of more, on the clock."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def on() -> bool:
    """Whether anybody asked."""
    return _ran is not None


def layer() -> str:
    """The layer whose forward pass runs, if anybody asked."""
    return _layer
