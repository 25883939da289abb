"""K-bit quantizers: DoReFa-Net's of weights and activations, XNOR-Net's of inputs, QNN's linear and logarithmic.

=================  ==============================================  ==========================  =================
name               integers                                        times                       pseudo-gradient
=================  ==============================================  ==========================  =================
`dorefa_weight`    k = 1: sign(w)                                  mean |w| of the layer       1
                   2 round((2^k - 1) u) - (2^k - 1),               1 / (2^k - 1)               chain rule of u
                   u = tanh(w) / (2 max |tanh(w)|) + 1/2
`dorefa_act`       round((2^k - 1) clip(x, 0, 1))                  1 / (2^k - 1)               1 where 0 <= x <= 1
`xnor_act`         2 round((2^k - 1) (x + 1) / 2) - (2^k - 1)      1 / (2^k - 1)               1 where |x| <= 1
                   of x clipped to [-1, 1]; k = 1: sign(x)
`linear_quant`     clip(round(2^(k-1) x), -2^(k-1), 2^(k-1) - 1)   2^-(k-1)                    1 where |x| <= 1
`log_quant`        0 and signed powers of two                      the smallest power          1 where |x| <= 1
=================  ==============================================  ==========================  =================

round takes ties to even, as torch and TensorFlow do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn.quantizers.grid import GridQuantizer
from binarynet.nn.quantizers.quantizer import sign


class DorefaWeight(GridQuantizer):
    """DoReFa-Net's weights: k-bit codes, symmetric around 0, with one scale for the whole layer.

    Forward: k = 1: q(w) = mean |w| sign(w), the mean over the whole layer, so that the backward convolution
    has one scale too. k > 1: q(w) = 2 quantize_k(tanh(w) / (2 max |tanh(w)|) + 1/2) - 1, quantize_k(r) =
    round((2^k - 1) r) / (2^k - 1): odd multiples of 1 / (2^k - 1) up to ±1. A layer of zeros counts as 0 / 1.
    Gradient: k = 1: 1, everywhere and without the mean. k > 1: that of the formula without its rounding,
    through tanh, and through the maximum unless `max_gradient` is False (several largest weights share it).

    bits: 1 to 8, else `InputError`.
    Reference: Zhou, Wu, Ni, Zhou, Wen, Zou, "DoReFa-Net", arXiv 1606.06160; gradients as in the authors'
    tensorpack code.
    """

    name = "dorefa_weight"

    def __init__(self, bits: int = 1, max_gradient: bool = True) -> None:
        super().__init__()
        self.bits, self.max_gradient = checked("DorefaWeight", bits, 8), max_gradient
        self.encoding = f"b{bits}"

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.bits == 1:
            return sign(x), x.detach().abs().mean()
        top = 2**self.bits - 1
        tanh, largest = self._tanh(x)
        codes = torch.round(top * (tanh / (2 * largest) + 0.5))  # 0 .. top
        return 2 * codes - top, x.new_full((), 1 / top)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        if self.bits == 1:
            return gradient
        tanh, largest = self._tanh(x)
        of_tanh = gradient / largest
        if self.max_gradient:
            at_maximum = tanh.abs() == largest
            share = (gradient * tanh).sum() / (largest.square() * at_maximum.sum().clamp(min=1))
            of_tanh = of_tanh - share * tanh.sign() * at_maximum
        return of_tanh * (1 - tanh.square())

    def _tanh(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """tanh(x) and its largest magnitude, 1 where all are 0."""
        tanh = torch.tanh(x.detach())
        largest = tanh.abs().max()
        return tanh, torch.where(largest == 0, 1, largest)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class DorefaActivation(GridQuantizer):
    """DoReFa-Net's activations: a clip to [0, 1] and k-bit codes.

    Forward: q(x) = quantize_k(clip(x, 0, 1)), quantize_k(r) = round((2^k - 1) r) / (2^k - 1). With k = 1 the
    values are 0 and 1, not ±1, and 1/2 is a tie that goes to 0.
    Pseudo-gradient: 1 where 0 <= x <= 1 (both borders included), 0 elsewhere.

    bits: 1 to 8, else `InputError`.
    Reference: Zhou et al., arXiv 1606.06160.
    """

    name = "dorefa_act"

    def __init__(self, bits: int = 2) -> None:
        super().__init__()
        self.bits = checked("DorefaActivation", bits, 8)
        self.encoding = f"u{bits}"

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        top = 2**self.bits - 1
        return torch.round(x.detach().clamp(0, 1) * top), x.new_full((), 1 / top)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return (x >= 0) & (x <= 1)

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class XnorActivation(GridQuantizer):
    """XNOR-Net's k-bit inputs: 2^k values at equal distances from -1 to 1, without a 0.

    Forward: q(x) = 2 (round((2^k - 1) (clip(x, -1, 1) + 1) / 2) / (2^k - 1) - 1/2); k = 1 is sign(x).
    Pseudo-gradient: 1 where |x| <= 1 (border included), 0 elsewhere.

    bits: 1 to 8, else `InputError`. The integers are odd numbers up to ±(2^k - 1).
    Reference: Rastegari, Ordonez, Redmon, Farhadi, "XNOR-Net", arXiv 1603.05279, section 3.2 (k-bit quantization).
    """

    name = "xnor_act"

    def __init__(self, bits: int = 2) -> None:
        super().__init__()
        self.bits = checked("XnorActivation", bits, 8)
        self.encoding = f"b{bits}"

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.bits == 1:
            return sign(x), x.new_ones(())
        top = 2**self.bits - 1
        return 2 * torch.round((x.detach().clamp(-1, 1) + 1) * (top / 2)) - top, x.new_full((), 1 / top)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return x.detach().abs() <= 1

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class LinearQuant(GridQuantizer):
    """QNN's linear quantizer: signed fixed point with k bits in [-1, 1).

    Forward: q(x) = clip(round(x / s) s, -1, 1 - s), s = 2^-(k-1); k = 1 is sign(x).
    Pseudo-gradient: 1 where |x| <= 1 (border included), 0 elsewhere.

    bits: 1 to 8, else `InputError`.
    Reference: Hubara, Courbariaux, Soudry, El-Yaniv, Bengio, "Quantized Neural Networks", arXiv 1609.07061:
    after second-hand accounts, LinearQuant(x) = clip(round(x / step) step, min, max). Step and range are ours.
    """

    name = "linear_quant"

    def __init__(self, bits: int = 4) -> None:
        super().__init__()
        self.bits = checked("LinearQuant", bits, 8)
        self.encoding = "b1" if bits == 1 else f"i{bits}"

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.bits == 1:
            return sign(x), x.new_ones(())
        half = 2 ** (self.bits - 1)
        return torch.round(x.detach() * half).clamp(-half, half - 1), x.new_full((), 1 / half)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return x.detach().abs() <= 1

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class LogQuant(GridQuantizer):
    """QNN's logarithmic quantizer: a sign and a (k-1)-bit exponent, so that products are shifts.

    Forward: q(x) = sign(x) 2^e, e = round(log2 |x|) (the paper's AP2), with L = 2^(k-1) - 1 powers 1, 1/2, ..,
    2^-(L-1); larger magnitudes give 1, smaller than 2^(1/2-L) give 0, the remaining code. k = 1 is sign(x),
    k = 2 is {-1, 0, +1}, k = 3 is {0, ±1/4, ±1/2, ±1}, k = 4 goes down to ±1/64.
    Pseudo-gradient: 1 where |x| <= 1 (border included), 0 elsewhere.

    Stored as its integers, the smallest power being 1: `t2` for 2 bits, `i4` for 3, `i8` for 4; more would not
    fit eight bits. bits: 1 to 4, else `InputError`.
    Reference: Hubara et al., arXiv 1609.07061: after second-hand accounts, LogQuant(x) = clip(AP2(x), min, max).
    The range, and the code for 0, are ours.
    """

    name = "log_quant"

    def __init__(self, bits: int = 3) -> None:
        super().__init__()
        self.bits = checked("LogQuant", bits, 4)
        self.encoding = {1: "b1", 2: "t2", 3: "i4", 4: "i8"}[bits]

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.bits == 1:
            return sign(x), x.new_ones(())
        powers = 2 ** (self.bits - 1) - 1
        exponents = torch.arange(powers, dtype=x.dtype, device=x.device)
        smallest = 2.0 ** (1 - powers)
        borders = smallest * 2 ** (exponents - 0.5)  # in the middle between two powers on the log scale
        place = torch.bucketize(x.detach().abs(), borders, right=True)  # 0: below the smallest
        magnitudes = torch.cat([exponents.new_zeros(1), 2**exponents])
        return sign(x) * magnitudes[place], x.new_full((), smallest)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return x.detach().abs() <= 1

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


def checked(owner: str, bits: int, most: int) -> int:
    if bits not in range(1, most + 1):
        raise InputError(f"{owner}: bits={bits!r}; it takes 1 to {most}. Leave the quantizer out for float values.")
    return bits
