"""Tensors of images → their bytes, for `ByteInput`: the rule of `binarynet.pixels`, asked as seldom as is safe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from binarynet.errors import InputError
from binarynet.pixels import TAKEN, either, meaning

Normal = tuple[Sequence[float], Sequence[float]]  # mean and std, of each channel or of all
_NEAR = 0.1  # how far from a whole byte a normalised one may be, in bytes: more than float16 rounds


class ByteReader:
    """Reads the bytes of one model's images, and remembers what its floats have meant.

    uint8 needs no look at the numbers. Others are looked at: on a CPU all (one to three passes over the images), on a
    GPU, where a look waits for the device, the first batch of training and all of evaluation. Where numbers cannot be
    seen (`torch.compile`, `torch.export`, `torch.func`), floats mean what they meant before.

    normal: (mean, std), a number for each channel, or one for all. If given, floats are (byte / 255 - mean) / std.
    """

    def __init__(self, normal: Normal | None = None) -> None:
        self.normal = normal
        self._meant: dict[tuple[bool, bool], str] = {}  # (float, training) → what they meant

    def __call__(self, x: Tensor, training: bool, dtype: torch.dtype = torch.float32) -> Tensor:
        """Whole numbers 0..255 in `dtype`, shape of x; the gradient passes the rounding as if it were not there.

        `InputError` for numbers that mean nothing, with the first of them and the way out.
        """
        meant = self.meaning(x, training)
        exact = x if not x.is_floating_point() or x.dtype in (torch.float32, torch.float64) else x.float()
        if meant == "bytes":
            return exact.to(dtype)
        exact = 255 * exact if self.normal is None else self._undone(exact)
        codes = exact.detach().round()  # halves to even, as numpy's
        if exact.requires_grad:
            codes = codes + (exact - exact.detach())  # + 0
        return codes.to(dtype)

    def meaning(self, x: Tensor, training: bool) -> str:
        """`bytes`, `intensities` or `normalised`."""
        if x.dtype == torch.uint8:
            return "bytes"
        if x.dtype == torch.bool or x.is_complex():
            raise InputError(f"ByteInput got a tensor of {x.dtype}; it reads {TAKEN}.")
        real = x.is_floating_point()
        said = None if real and self.normal is None else "normalised" if real else "bytes"
        known = self._meant.get((real, training)) or said
        if torch.compiler.is_compiling():
            # Its decorator loads torch's compiler, which takes longer than all of torch: only where that is there.
            from binarynet.nn.uncompiled import look_outside_of_the_compiler

            return known or look_outside_of_the_compiler(self, x, training)
        if _is_hidden(x) and known is not None:
            return known
        if (real, training) in self._meant and training and x.device.type != "cpu":
            return self._meant[real, training]
        return self.look(x, training)

    def look(self, x: Tensor, training: bool) -> str:
        """What these numbers mean, which is then remembered."""
        if _is_hidden(x):
            raise InputError(
                "ByteInput cannot see what floats mean under torch.func or torch.export: "
                "pass uint8, or run one batch before."
            )
        x = x.detach()
        if not x.numel():
            return "bytes"
        real = x.is_floating_point()
        before = self._meant.get((real, training)) or self._meant.get((real, not training))
        found = self._normalised(x) if real and self.normal else _plain(x, before)
        if found != "black":
            self._meant[real, training] = found
        return "bytes" if found == "black" else found

    def _undone(self, x: Tensor) -> Tensor:
        """Normalised → 255 times the intensity."""
        assert self.normal is not None
        mean, std = (spread(numbers, x) for numbers in self.normal)
        return (x * std + mean) * 255

    def _normalised(self, x: Tensor) -> str:
        codes = self._undone(x if x.dtype == torch.float64 else x.float())
        bad = ~((codes - codes.round()).abs() <= _NEAR) | (codes.round() < 0) | (codes.round() > 255)
        if bad.any():
            raise _refusal(
                x,
                bad,
                "is not (byte / 255 − mean) / std of any byte. Normalise last, after crops and noise, or pass uint8",
            )
        return "normalised"


def per_channel(mean: float | Sequence[float], std: float | Sequence[float]) -> Normal:
    """(mean, std) of equal length, which is 1 if all channels have the same."""
    channels = [
        [float(one) for one in given] if isinstance(given, Iterable) else [float(given)] for given in (mean, std)
    ]
    most = max(map(len, channels))
    pairs = list(zip(*(one * most if len(one) == 1 else one for one in channels), strict=False))
    sizes = {len(one) for one in channels} - {1}
    if len(sizes) > 1 or 0 in sizes or not all(math.isfinite(m) and 0 < s < math.inf for m, s in pairs):
        raise InputError(
            f"ByteInput: mean={mean}, std={std}; give finite numbers, std positive, one or one for each channel."
        )
    means, stds = zip(*(pairs[:1] if len(set(pairs)) == 1 else pairs), strict=True)
    return means, stds


def spread(numbers: Sequence[float], x: Tensor) -> Tensor:
    """One number for all, or one for each channel (dimension 1 of x), in a shape that meets x."""
    made = torch.tensor(numbers, dtype=x.dtype if x.dtype == torch.float64 else torch.float32, device=x.device)
    if len(numbers) == 1:
        return made[0]
    if x.ndim < 2 or x.shape[1] != len(numbers):
        raise InputError(
            f"ByteInput has mean and std of {len(numbers)} channels and got a tensor of shape {tuple(x.shape)}: "
            "its dimension 1 must be the channels. Put ByteInput before the Flatten."
        )
    return made.view(-1, *[1] * (x.ndim - 2))


def _is_hidden(x: Tensor) -> bool:
    """Whether a tensor has no numbers that Python may ask for."""
    return (
        isinstance(x, FakeTensor) or x.device.type == "meta" or torch._C._functorch.peek_interpreter_stack() is not None
    )


def _plain(x: Tensor, before: str | None) -> str:
    low, high = torch.stack(x.aminmax()).tolist()
    if not x.is_floating_point():
        if low < 0 or high > 255:
            raise _refusal(x, (x < 0) | (x > 255), "is no byte")
        return "bytes"
    if before == "intensities" and low >= 0 and high <= 1:
        return before
    found = meaning(low, high, bool((x == x.round()).all()))
    if found == "either":
        if before is None:
            raise InputError(f"ByteInput: {either()}.")
        return before
    if found != "neither":
        return "black" if high == 0 else found
    if not low >= 0:
        raise _refusal(
            x,
            ~(x >= 0),
            "is neither. Either ByteInput is not the first layer, or the images are normalised: give it their mean and "
            "std, ByteInput(mean=…, std=…), or leave that to the BatchNorm behind the first layer",
        )
    if high > 255:
        raise _refusal(x, x > 255, "is neither")
    way = "pass x.round().to(torch.uint8) if these are bytes, x.clamp(0, 1) if they are intensities"
    raise _refusal(x, x != x.round(), f"stands beside {high:g}: {way}")


def _refusal(x: Tensor, bad: Tensor, why: str) -> InputError:
    place = tuple(bad.nonzero()[0].tolist())
    return InputError(f"ByteInput reads {TAKEN}; {x[place].item():g} at {place} {why}.")
