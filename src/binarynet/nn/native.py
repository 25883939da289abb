"""The gate to the native training steps (`binarynet._training`): what may pass, and how it is handed over.

Everything behind the gate has its rule in torch as well, which runs on GPUs, under `torch.compile` and the
transforms of `torch.func`, in other precisions, and where the extension lacks something.

`BINARYNET_TRAINING` in the environment names what multiplies: one of `KERNELS`, which this CPU must have, or `torch`,
which leaves everything to torch, as `with native.off()` does. Unset, it is the first of them that runs here.
`BINARYNET_GRADIENTS`, or `with native.rounded_as(..)`, says how gradients enter a product (`GRADIENTS`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from binarynet import environment
from binarynet.errors import InputError

try:
    from binarynet import _training

    engine = _training
except ImportError:  # a source tree whose extension is not built
    engine = None  # type: ignore[assignment]

# float32: as they are. bf16: rounded to 8 significant bits. int8: to 255 steps, at random and without bias. 1 to 8:
# to that many bits, at random and without bias, as DoReFa-Net's.
GRADIENTS = ("float32", "bf16", "int8", "1", "2", "3", "4", "5", "6", "7", "8")
# What multiplies, best first.
KERNELS = tuple(engine.kernels()) if engine is not None else ()
RUNS = tuple(name for name in KERNELS if engine.runs(name))  # on this CPU

_by = environment.read("BINARYNET_TRAINING")
if _by not in ("", "torch", *RUNS):
    there = ", ".join((*RUNS, "torch"))
    raise InputError(f"BINARYNET_TRAINING={_by}: choose {there}, or leave it unset: the first is taken.")
_on = engine is not None and _by != "torch"
_kernel = _by if _by in RUNS else (RUNS[0] if RUNS else "")


def checked_gradients(text: str, where: str) -> str:
    """`text`, if it is one of `GRADIENTS`. `InputError` else, which begins with `where`."""
    if text not in GRADIENTS:
        raise InputError(f"{where}={text}: choose float32, bf16, int8, or 1 to 8 for so many bits.")
    return text


_gradients = environment.read("BINARYNET_GRADIENTS")
if _gradients:
    checked_gradients(_gradients, "BINARYNET_GRADIENTS")

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
    """Whether a product of that many multiplications is worth a call."""
    return _on and products >= max(PRODUCTS, 1)  # an empty batch has none


def has_matrix_unit() -> bool:
    """Whether it multiplies plain signs at stride 1 in place (`matrix_unit`). Gradients enter there as bfloat16."""
    return _on and _kernel == "amx" and gradients() in ("float32", "bf16")


def kernel() -> str:
    """The instruction set of all other products: one of `KERNELS`, or "" if there is none."""
    return _kernel


def dense(tensor: Tensor) -> bool:
    """Whether its numbers lie one after the other, in the order of its dimensions or with the channels last."""
    return (
        tensor.is_contiguous()
        or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
        or (tensor.ndim == 3 and tensor.transpose(1, 2).is_contiguous())
    )


def channels_last(x: Tensor) -> bool:
    """Whether the channels, its second dimension, lie next to each other."""
    return (x.ndim == 2 and x.is_contiguous()) or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))


def gradients() -> str:
    """How gradients enter a product: one of `GRADIENTS`.

    Unset, it is the quickest that leaves curves as they are (docs/training.md): bf16 where the CPU multiplies it, else
    float32.
    """
    if _gradients:
        return _gradients
    return "bf16" if _kernel and engine.has_bfloat16(_kernel) else "float32"


@contextmanager
def rounded_as(mode: str | None) -> Iterator[None]:
    """Gradients enter products as `mode` says, one of `GRADIENTS`; None: as the environment says."""
    global _gradients
    before = _gradients
    if mode is not None:
        _gradients = checked_gradients(mode, "gradients")
    try:
        yield
    finally:
        _gradients = before


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


def hat_gradient(gradient: Tensor, x: Tensor) -> Tensor | None:
    """gradient (2 - 2 |x|) where |x| <= 1, else 0; None as above."""
    if gradient.stride() != x.stride():
        return None
    dx = torch.empty_like(x)
    engine.hat_gradient(gradient.data_ptr(), x.data_ptr(), dx.data_ptr(), x.numel(), torch.get_num_threads())
    return dx


def step(rule: str, parameter: Tensor, *state: Tensor | None, **factors: Any) -> None:
    """One step of the optimizer `rule`, in place, for a parameter that passes, with its gradient and its state."""
    gradient, *used = (
        None if tensor is None else _ordered_like(parameter, tensor) for tensor in (parameter.grad, *state)
    )
    addresses = (0 if tensor is None else tensor.data_ptr() for tensor in (parameter, gradient, *used))
    getattr(engine, rule)(*addresses, parameter.numel(), threads=torch.get_num_threads(), **factors)
    for given, ordered in zip(state, used, strict=True):
        if given is not None and ordered is not given:
            given.copy_(ordered)  # type: ignore[arg-type]
    torch.autograd.graph.increment_version(parameter)


def _ordered_like(model: Tensor, tensor: Tensor) -> Tensor:
    """`tensor`, or a copy that lies in memory as `model` does."""
    return tensor if tensor.stride() == model.stride() else torch.empty_like(model).copy_(tensor)
