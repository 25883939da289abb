"""`ByteInput`: the raw bytes of an image as eight digits of ±1, in front of the first layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers.quantizer import Quantizer, positive
from binarynet.nn.quantizers.reader import ByteReader, per_channel, spread


class ByteInput(Quantizer):
    """The fixed first step of every image model: a raw byte read as eight digits of ±1.

    Forward: q(x) = scale (2 byte - 255). With scale 1 the odd integers -255, -253, .., 255, exact in float32 and in
    bfloat16; a BatchNorm behind the first layer absorbs the factor. `scale=1/255` gives the papers' 2x/255 - 1, for
    networks without that BatchNorm. Gradient: the true derivative (nothing is learnt here).

    x holds bytes 0..255 (uint8, other integers, or whole floats) or intensities in [0, 1], of which the nearest byte
    is taken; what else it holds is refused at the first batch with `InputError`, see docs/data.md and
    `binarynet.nn.quantizers.reader`.

    `mean` and `std`, a number or one for each channel, are for networks that learn from normalised floats:
    q(x) = (byte / 255 - mean) / std for bytes, and floats x *are* (byte / 255 - mean) / std, of which again the
    nearest byte is taken. Dimension 1 of x is the channels. `affine` says what that makes of 2 byte - 255.

    The result is float32, or what `.double()` and `.bfloat16()` made of the model.

    Reference: Courbariaux et al., arXiv 1602.02830, "First layer", with the input scaling of their Theano
    code.
    """

    name = "byte_input"
    bits = 8
    encoding = "b8"

    def __init__(
        self,
        scale: float = 1.0,
        *,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self._makes = torch.get_default_dtype()
        if mean is None and std is None:
            self.reader = ByteReader()
            self._scale: tuple[float, ...] = (positive("ByteInput", "scale", scale),)
            self._offset: tuple[float, ...] = (0.0,)
            return
        if mean is None or std is None or scale != 1:
            raise InputError("ByteInput takes mean and std together, and no scale beside them.")
        means, stds = per_channel(mean, std)
        self.reader = ByteReader((means, stds))
        self._scale = tuple(1 / (510 * one) for one in stds)
        self._offset = tuple((0.5 - centre) / one for centre, one in zip(means, stds, strict=True))

    @property
    def scale(self) -> float:
        """q = (2 byte - 255) * scale. `InputError` where mean and std make more of it than a multiple: see `affine`."""
        if len(self._scale) > 1 or self._offset[0]:
            raise InputError(
                f"{self!r} is no multiple of 2 byte − 255. Only mean=0.5 with one std is; or leave the normalisation "
                "to the BatchNorm behind the first layer, with ByteInput() and bytes or floats in [0, 1]."
            )
        return self._scale[0]

    def affine(self) -> tuple[Tensor, Tensor]:
        """(scale, offset) with q = (2 byte - 255) * scale + offset, float32: 0-dimensional, or both (channels,)."""
        scale, offset = torch.tensor(self._scale), torch.tensor(self._offset)
        return (scale, offset) if len(scale) > 1 else (scale[0], offset[0])

    def value(self, x: Tensor) -> Tensor:
        return self._read(x.detach())

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * self.reader(x.detach(), self.training) - 255, torch.tensor(self.scale, device=x.device)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        leaf = x.detach().float().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self._read(leaf).sum(), leaf)
        return gradient

    def forward(self, x: Tensor) -> Tensor:
        return self._read(x)

    def _read(self, x: Tensor) -> Tensor:
        makes = self._makes
        if makes == torch.float16 and 255 * max(self._scale) > 4:
            raise InputError(
                f"{self!r} in a float16 model: sums of {65504 / 255 / max(self._scale):.0f} bytes pass 65504, where "
                "float16 ends. Use .bfloat16() or torch.autocast, or ByteInput(scale=1/255)."
            )
        codes = self.reader(x, self.training, torch.float64 if makes == torch.float64 else torch.float32)
        odd = 2 * codes - 255
        if self.reader.normal is not None:
            odd = odd * spread(self._scale, codes) + spread(self._offset, codes)
        elif self._scale[0] != 1:
            odd = odd * self._scale[0]
        return odd.to(makes)

    def _apply(self, fn: Any, recurse: bool = True) -> ByteInput:
        self._makes = fn(torch.empty(0, dtype=self._makes)).dtype  # .double(), .half(), .to(…): no tensor of its own
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        if self.reader.normal is None:
            return f"scale={self._scale[0]:g}"
        mean, std = (one[0] if len(one) == 1 else list(one) for one in self.reader.normal)
        return f"mean={mean}, std={std}"
