"""`GlobalContrastNorm`, `LocalContrastNorm`: what papers do to the contrast of an image before their first layer.

The rules are `GlobalContrast` and `LocalContrast` of `binarynet.data`, in numpy and float64; here they are float32
steps of a network, so that they are trained with, saved and lowered as a part of it.
"""

from __future__ import annotations

from math import isfinite, prod, sqrt

import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn.quantizers import ByteInput

_MOST = 2**24 // 510  # values of an image: so far float32 holds n (2 byte − 255) less its sum exactly
_FEW = 8  # channels of an image
_NOTHING = 1e-20  # far below the least square there is, 1: it changes no sum but 0, which has no root to divide by


class GlobalContrastNorm(nn.Module):
    """Each image by itself: y = (x − mean(x)) / d, with d = sqrt(bias + Σ(x − mean(x))²) / scale, x its bytes.

    With ``use_std`` the sum is divided by the number of values less one. An image of one colour becomes 0. It reads
    images (n, channels, height, width) or vectors (n, features) as `ByteInput` does, which is its first step, and makes
    numbers of the same shape, of the type that `ByteInput` makes. Nothing is learnt, and no gradient passes to bytes.

    n times a value less the sum of all n is a whole number, which float32 holds: what rounds is the root of the sum of
    its squares, and the division. `InputError` for images of more than 32,896 values, where it would not be, and for
    settings that are not finite or not positive (scale), or negative (bias).

    Reference: Goodfellow, Warde-Farley, Mirza, Courville, Bengio, "Maxout Networks", arXiv 1302.4389 (scale 55).
    """

    def __init__(self, scale: float = 55.0, bias: float = 0.0, use_std: bool = False) -> None:
        super().__init__()
        if not (0 < scale <= 1e6 and isfinite(bias) and bias >= 0):
            raise InputError(f"GlobalContrastNorm: scale={scale}, bias={bias}; needs 0 < scale ≤ 1e6 and bias ≥ 0.")
        self.scale, self.bias, self.use_std = scale, bias, use_std
        self.bytes = ByteInput()

    def forward(self, x: Tensor) -> Tensor:
        read = self.bytes(x)
        x = full(read)
        n = prod(x.shape[1:])
        if n > _MOST:
            raise InputError(f"GlobalContrastNorm: images of {n:,} values; sums of more than {_MOST:,} are not exact.")
        away = x * n - _sum(x)  # 2n (byte − mean): whole numbers
        over = max(n - 1, 1) if self.use_std else 1
        bias = 4 * n**2 * over * self.bias
        root = torch.rsqrt(_sum(away * away) + max(bias, _NOTHING))
        return (away * (root * (self.scale * sqrt(over)))).to(read.dtype)

    def extra_repr(self) -> str:
        return f"scale={self.scale:g}, bias={self.bias:g}, use_std={self.use_std}"


class LocalContrastNorm(nn.Module):
    """Each pixel by its neighbours, each channel by itself: y = v / max(s, mean(s), threshold), with v = x − g ⋆ x and
    s = sqrt(g ⋆ v²); g is a Gaussian of ``size`` × ``size`` and standard deviation ``sigma`` with the sum 1, 0 outside.

    Shapes: (n, channels, height, width) → the same, of x's type. It has no state. `InputError` for an even size,
    settings that are not positive, and what is no image.

    References: Jarrett, Kavukcuoglu, Ranzato, LeCun, "What is the best multi-stage architecture for object
    recognition?", ICCV 2009, with channels apart and the Gaussian of the authors of BinaryNet's Torch7 code.
    """

    gaussian: Tensor

    def __init__(self, size: int = 9, sigma: float = 2.0, threshold: float = 1e-4) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0 or not (0 < sigma < float("inf") and 0 < threshold < float("inf")):
            raise InputError(
                f"LocalContrastNorm: size={size}, sigma={sigma}, threshold={threshold}; needs an odd size, and numbers "
                "above 0."
            )
        self.size, self.sigma, self.threshold = size, sigma, threshold
        away = torch.arange(size, dtype=torch.float64) - size // 2
        line = torch.exp(-away.square() / (2 * sigma**2))
        plane = line[:, None] * line[None, :]  # (size, 1) · (1, size) → (size, size)
        self.register_buffer("gaussian", (plane / plane.sum()).to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            raise InputError(f"LocalContrastNorm: got a tensor of {x.ndim} dimensions; it reads images (n, c, h, w).")
        given, x = x.dtype, full(x)
        with torch.autocast(x.device.type, enabled=False):
            centred = x - self._blurred(x)
            deviation = self._blurred(centred * centred).sqrt()
        mean = deviation.mean(3, keepdim=True).mean(2, keepdim=True)  # (n, c, h, w) → (n, c, 1, 1)
        largest = torch.relu(deviation - mean) + mean
        return (centred / largest.clamp(min=self.threshold)).to(given)

    def _blurred(self, x: Tensor) -> Tensor:
        """Each channel with the Gaussian, as large as it was."""
        kernel = full(self.gaussian).expand(x.shape[1], 1, -1, -1)
        return nn.functional.conv2d(x, kernel, padding=self.size // 2, groups=x.shape[1])

    def extra_repr(self) -> str:
        return f"size={self.size}, sigma={self.sigma:g}, threshold={self.threshold:g}"


def full(x: Tensor) -> Tensor:
    """In float32, or float64: what these layers compute in, whatever the network's type."""
    return x if x.dtype == torch.float64 else x.float()


def _sum(x: Tensor) -> Tensor:
    """The sum of each image (n, c, h, w) or vector (n, d), with a 1 in the place of all other sizes."""
    for dim in range(x.ndim - 1, 1, -1):
        x = x.sum(dim, keepdim=True)
    if x.ndim == 2 or x.shape[1] > _FEW:
        return x.sum(1, keepdim=True)
    total = x[:, :1]  # one after the other, so that every engine rounds alike: a sum over channels is a product there
    for channel in range(1, x.shape[1]):
        total = total + x[:, channel : channel + 1]
    return total
