"""The gate to the native training steps (`binarynet._training`): what may pass, and how it is handed over.

Everything behind the gate has its rule in torch as well, which runs on GPUs, under `torch.compile` and the
transforms of `torch.func`, in other precisions, and where the extension or the CPU lacks something. Elementwise
steps are native on every CPU; matrix products where it has a matrix unit for bfloat16 (AMX).

`BINARYNET_TRAINING=torch` in the environment, or `with native.off()`, leaves everything to torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from binarynet.errors import InputError

try:
    from binarynet import _training

    engine = _training
except ImportError:  # a source tree whose extension is not built
    engine = None  # type: ignore[assignment]

_training_by = os.environ.get("BINARYNET_TRAINING", "")
if _training_by not in ("", "torch"):
    raise InputError(f"BINARYNET_TRAINING={_training_by}: choose torch, or leave it unset.")
_on = engine is not None and not _training_by
_products = _on and engine.products_supported()

_pieces = os.environ.get("BINARYNET_GRADIENT_PIECES", "1")
if _pieces not in ("1", "2", "3"):
    raise InputError(f"BINARYNET_GRADIENT_PIECES={_pieces}: choose 1, 2 or 3.")
_gradient_pieces = int(_pieces)

# Numbers from which a call pays: a few microseconds of Python against a pass over memory.
ELEMENTS = 1 << 14
# Products from which a multiplication pays. Below, torch's float32 is as quick.
PRODUCTS = 1 << 22


@contextmanager
def off() -> Iterator[None]:
    """Nothing passes inside."""
    global _on
    before, _on = _on, False
    try:
        yield
    finally:
        _on = before


def takes(*tensors: Tensor) -> bool:
    """Whether these are plain float32 tensors in this CPU's memory, without gaps, outside every transform.

    Ask this before a size: where a batch has no fixed size (`torch.export`), a comparison would fix it.
    """
    return (
        _on
        and not torch.compiler.is_compiling()
        and not torch._C._is_tracing()
        and torch._C._functorch.peek_interpreter_stack() is None
        and not torch.is_autocast_enabled("cpu")
        and all(
            type(tensor) in (Tensor, torch.nn.Parameter)
            and tensor.dtype == torch.float32
            and tensor.device.type == "cpu"
            and dense(tensor)
            for tensor in tensors
        )
    )


def multiplies(products: int) -> bool:
    """Whether a multiplication of that many products is one for the matrix unit."""
    return _on and _products and products >= PRODUCTS


def dense(tensor: Tensor) -> bool:
    """Whether its numbers lie one after the other, in the order of its dimensions or with the channels last."""
    return tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


def gradient_pieces() -> int:
    """How many bfloat16 numbers stand for one of a gradient in a product: 1, or what `BINARYNET_GRADIENT_PIECES` says.

    One keeps 8 significant bits, two 16, three all 24. See docs/training.md for what that does to the curves.
    """
    return _gradient_pieces


def sign(x: Tensor) -> Tensor:
    """`quantizers.sign` of a tensor that passes."""
    y = torch.empty_like(x)
    engine.sign(x.data_ptr(), y.data_ptr(), x.numel(), torch.get_num_threads())
    return y


def window_gradient(gradient: Tensor, x: Tensor, window: float) -> Tensor | None:
    """gradient where |x| <= window, else 0; None where the two do not lie in memory in the same order."""
    if gradient.stride() != x.stride():
        return None
    dx = torch.empty_like(x)
    engine.window_gradient(gradient.data_ptr(), x.data_ptr(), window, dx.data_ptr(), x.numel(), torch.get_num_threads())
    return dx


def step(rule: str, parameter: Tensor, first: Tensor, second: Tensor, **factors: Any) -> None:
    """One step of the optimizer `rule`, in place, for a parameter that passes, with its gradient and its state."""
    gradient, *state = (_ordered_like(parameter, tensor) for tensor in (parameter.grad, first, second))
    addresses = (tensor.data_ptr() for tensor in (parameter, gradient, *state))
    getattr(engine, rule)(*addresses, parameter.numel(), threads=torch.get_num_threads(), **factors)
    for given, used in zip((first, second), state, strict=True):
        if used is not given:
            given.copy_(used)
    torch.autograd.graph.increment_version(parameter)


def _ordered_like(model: Tensor, tensor: Tensor | None) -> Tensor:
    """`tensor`, or a copy that lies in memory as `model` does."""
    assert tensor is not None
    return tensor if tensor.stride() == model.stride() else torch.empty_like(model).copy_(tensor)
