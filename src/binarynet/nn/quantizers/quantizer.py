"""What every quantizer is: a forward value and a pseudo-gradient that stands in for the derivative of a step.

sign(0) = sign(-0.0) = +1, windows include their border, and NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn import native


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, -1 where x < 0, NaN where x is NaN; same shape and dtype, no gradient of its own.

    floor(clamp(x, -1, 0)) is 0 or -1. Unlike `torch.where(x >= 0, 1, -1)` this carries NaN along, and in
    eager mode it allocates once: a third of the time on a 4096 x 4096 weight.
    """
    x = x.detach()
    if native.takes(x) and x.numel() >= native.ELEMENTS:
        return native.sign(x)
    return x.clamp(-1, 0).floor_().mul_(2).add_(1)


class _WithPseudoGradient(torch.autograd.Function):
    """Forward: `value` as it is. Backward: `quantizer.propagate` to x, nothing to `value`.

    x itself is what is saved, so a latent weight costs no memory for its backward pass.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, value: Tensor, quantizer: Quantizer) -> Tensor:
        return value.detach()  # not an input itself, nor a view of it, which torch forbids to change in place

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Quantizer], output: Tensor) -> None:
        x, _, ctx.quantizer = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return ctx.quantizer.propagate(grads[0], x), None, None


class Quantizer(nn.Module):
    """Maps a float tensor to a tensor of the same shape and dtype that holds few distinct values.

    A subclass sets `name` (how recipes and configurations call it) and `bits`, and overrides
    `pseudo_gradient`; `value` is sign(x) unless it says otherwise. `forward` joins the two, and refuses
    integer tensors, whose sign would be +1 everywhere, with `InputError`.

    `encoding` and `integers` say how the values are stored, for the integer graph: they are integers of that
    encoding times a scale. A quantizer whose values are not ±1 overrides both.
    """

    name: ClassVar[str]
    bits: int = 1
    encoding: str = "b1"

    def __init_subclass__(cls, **options: Any) -> None:
        """A pseudo-gradient of its own is what a subclass propagates, whatever shorter way its parent goes."""
        super().__init_subclass__(**options)
        if "pseudo_gradient" in vars(cls) and "propagate" not in vars(cls):
            cls.propagate = Quantizer.propagate  # type: ignore[method-assign]

    def value(self, x: Tensor) -> Tensor:
        """The value at evaluation, without gradient: deterministic, whatever mode the module is in."""
        return sign(x)

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(numbers, scale) with value(x) = numbers * scale, without gradient.

        numbers: same shape and dtype as x, whole numbers of `encoding` (`b1`: -1, +1; `t2`: -1, 0, +1;
        `bK`: odd, |n| < 2^K; `uK`: 0..2^K - 1; `iK`: two's complement range). scale: 0-dimensional, or for
        weights also (out, 1, ...). A quantizer of activations has a scale that does not depend on x.
        """
        return self.value(x), x.new_ones(())

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        """What stands in for d value / d x, elementwise; a new tensor, same shape as x."""
        raise NotImplementedError(f"{type(self).__name__} defines no pseudo-gradient.")

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        """The gradient of x, given that of the value."""
        return gradient * self.pseudo_gradient(x).to(gradient.dtype)

    @property
    def is_plain_sign(self) -> bool:
        """Whether its value is sign(x), in training too, so that whoever multiplies may read it off x."""
        rule = type(self)
        values = rule.value is Quantizer.value and rule.training_value is Quantizer.training_value
        return values and rule.forward is Quantizer.forward

    def training_value(self, x: Tensor) -> Tensor:
        """The value in training mode; differs from `value` only where a quantizer draws at random."""
        return self.value(x)

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            raise InputError(
                f"{type(self).__name__} got a tensor of {x.dtype}: the sign of pixel bytes is +1 everywhere. "
                "Put binarynet.nn.ByteInput() in front of the first layer, or convert to float."
            )
        value = self.training_value(x) if self.training else self.value(x)
        result: Tensor = _WithPseudoGradient.apply(x, value, self)  # type: ignore[no-untyped-call]
        for watcher in _watchers:
            watcher(self, x, result)
        return result


Watcher = Callable[[Quantizer, Tensor, Tensor], None]
_watchers: list[Watcher] = []


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Inside, ``watcher(quantizer, x, value)`` is told of every value that a quantizer makes.

    Native steps are off inside: they would take a sign together with its neighbours, and its value would never be made.
    """
    _watchers.append(watcher)
    try:
        with native.off():
            yield
    finally:
        _watchers.remove(watcher)


def positive(owner: str, setting: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise InputError(f"{owner}: {setting} = {value!r}; it must be a positive finite number.")
    return float(value)
