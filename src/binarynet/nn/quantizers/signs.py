"""The signs, read side by side: each has the same value and a pseudo-gradient of its own.

=================  =========================  ===========================================
name               forward                    pseudo-gradient
=================  =========================  ===========================================
`ste_sign`         sign(x)                    1 where |x| <= clip
`stochastic_sign`  +1 with p = (x + 1) / 2    1 where |x| <= clip
`sigmoid_sign`     +1 with p = sigmoid(x)     2 sigmoid(x) (1 - sigmoid(x)), or 1
`identity_sign`    sign(x)                    1
`approx_sign`      sign(x)                    2 - 2|x| where |x| <= 1
`tanh_sign`        sign(x)                    1 - tanh(x)^2
`swish_sign`       sign(x)                    b (2 - b x tanh(b x / 2)) / (1 + cosh(b x))
`ede_sign`         sign(x)                    k t (1 - tanh(t x)^2), k = max(1/t, 1)
=================  =========================  ===========================================
"""

from __future__ import annotations

import torch
from torch import Tensor

from binarynet.errors import InputError
from binarynet.nn import native
from binarynet.nn.quantizers.error_decay import ErrorDecay
from binarynet.nn.quantizers.quantizer import Quantizer, positive, sign


class SteSign(Quantizer):
    """Sign with the clipped straight-through estimator.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: 1 where |x| <= clip (border included), 0 elsewhere; with clip = 1 the derivative of
    hardtanh. For latent weights that the optimizer keeps in [-1, 1] the window is always open, and
    `identity_sign` trains to the same numbers for less work.

    Reference: Courbariaux, Hubara, Soudry, El-Yaniv, Bengio, "Binarized Neural Networks", arXiv 1602.02830,
    "Propagating gradients through discretization". Later papers widen the window: QuickNet 1.25,
    MeliusNet 1.3.
    """

    name = "ste_sign"

    def __init__(self, clip: float = 1.0) -> None:
        super().__init__()
        self.clip = positive("SteSign", "clip", clip)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return x.detach().abs().le_(self.clip)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        own = "pseudo_gradient" not in vars(self)  # replaced on the object
        if own and not torch.is_grad_enabled() and native.takes(gradient, x) and x.numel() >= native.ELEMENTS:
            passed = native.window_gradient(gradient, x, self.clip)
            if passed is not None:
                return passed
        return super().propagate(gradient, x)

    def extra_repr(self) -> str:
        return f"clip={self.clip:g}"


class StochasticSign(SteSign):
    """Random sign in training, plain sign in evaluation.

    Forward (training): q(x) = +1 with probability clip((x + 1) / 2, 0, 1), else -1, so that E[q(x)] =
    hardtanh(x). Forward (evaluation): +1 if x >= 0 else -1.
    Pseudo-gradient: 1 where |x| <= clip (border included), 0 elsewhere.

    Reference: Courbariaux et al., arXiv 1602.02830, "Deterministic vs stochastic binarization". Draws come
    from torch's global generator.
    """

    name = "stochastic_sign"

    @property
    def is_plain_sign(self) -> bool:
        """Whether its value is sign(x), in training too, so that whoever multiplies may read it off x."""
        rule = type(self)
        values = rule.value is Quantizer.value and rule.training_value is Quantizer.training_value
        return values and rule.forward is Quantizer.forward

    def training_value(self, x: Tensor) -> Tensor:
        # Noise uniform in (-1, 1]: x = 1 is never below it, x = -1 always is. In float32 whatever x is, as a
        # bfloat16 draw has only 256 levels.
        noise = 1 - 2 * torch.rand_like(x, dtype=torch.float32)
        return sign(x - noise).to(x.dtype)


class SigmoidSign(Quantizer):
    """A neuron that is drawn with the probability of a sigmoid in training; plain sign in evaluation.

    Forward (training): q(x) = +1 with probability sigmoid(x), else -1, so that E[q(x)] = tanh(x / 2). Forward
    (evaluation): +1 if x >= 0 else -1, the likelier of the two.
    Pseudo-gradient: 2 sigmoid(x) (1 - sigmoid(x)), the derivative of that mean; 1 if not `adjusted`.

    Reference: Bengio, Leonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
    Conditional Computation", arXiv 1308.3432, the straight-through estimator with and without the derivative of the
    sigmoid. Their neurons are 0 and 1; here 2 h - 1. Draws come from torch's global generator.
    """

    name = "sigmoid_sign"

    def __init__(self, adjusted: bool = True) -> None:
        super().__init__()
        if not isinstance(adjusted, bool):
            raise InputError(f"SigmoidSign: adjusted = {adjusted!r}; give True or False.")
        self.adjusted = adjusted

    def training_value(self, x: Tensor) -> Tensor:
        # 1 - draw is in (0, 1]: probability 1 is never below it, probability 0 always.
        draw = 1 - torch.rand_like(x, dtype=torch.float32)
        return sign(torch.sigmoid(x.detach().float()) - draw).to(x.dtype)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        if not self.adjusted:
            return torch.ones_like(x)
        p = torch.sigmoid(x.detach())
        return 2 * p * (1 - p)

    def extra_repr(self) -> str:
        return f"adjusted={self.adjusted}"


class IdentitySign(Quantizer):
    """Sign with the plain straight-through estimator, which lets every gradient pass.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: 1.

    Reference: Bengio, Leonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
    Conditional Computation", arXiv 1308.3432 (after a lecture of Hinton).
    """

    name = "identity_sign"

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        return gradient


class ApproxSign(Quantizer):
    """Sign with the derivative of a piecewise quadratic.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: 2 - 2|x| where |x| <= 1, 0 elsewhere.

    Reference: Liu, Wu, Luo, Yang, Liu, Cheng, "Bi-Real Net", ECCV 2018.
    """

    name = "approx_sign"

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return (2 - 2 * x.detach().abs()).clamp_(min=0)

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        own = "pseudo_gradient" not in vars(self)  # replaced on the object
        if own and x.numel() >= native.ELEMENTS and not torch.is_grad_enabled() and native.takes(gradient, x):
            passed = native.hat_gradient(gradient, x)
            if passed is not None:
                return passed
        return super().propagate(gradient, x)


class TanhSign(Quantizer):
    """Sign with the derivative of tanh.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: 1 - tanh(x)^2.

    Reference: Kim, Smaragdis, "Bitwise Neural Networks", arXiv 1601.06071.
    """

    name = "tanh_sign"

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return 1 - torch.tanh(x.detach()).square()


class SwishSign(Quantizer):
    """Sign with the derivative of a scaled swish, which overshoots and turns negative outside the window.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: b (2 - b x tanh(b x / 2)) / (1 + cosh(b x)), b = beta.

    Reference: Darabi, Belbahri, Courbariaux, Partovi Nia, "BNN+: Improved Binary Network Training",
    arXiv 1812.11800 (beta = 5).
    """

    name = "swish_sign"

    def __init__(self, beta: float = 5.0) -> None:
        super().__init__()
        self.beta = positive("SwishSign", "beta", beta)

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        # Beyond 60 the value is below 1e-23; without the clamp an infinite x would give inf / inf.
        z = (self.beta * x.detach()).clamp(-60, 60)
        return self.beta * (2 - z * torch.tanh(z / 2)) / (1 + torch.cosh(z))

    def extra_repr(self) -> str:
        return f"beta={self.beta:g}"


class EdeSign(ErrorDecay):
    """Sign with the error decay estimator: from nearly the identity to nearly the true derivative.

    Forward: q(x) = +1 if x >= 0 else -1.
    Pseudo-gradient: k t (1 - tanh(t x)^2), k = max(1/t, 1).
    `t` is a plain attribute, meant to be assigned before every epoch: e of E epochs use
    t = t_min (t_max / t_min)^(e / E), with t_min = 0.1 (their ResNet-20 code: 0.001) and t_max = 10.

    Reference: Qin, Gong, Liu, Shen, Wei, Yu, Song, "Forward and Backward Information Retention for Accurate
    Binary Neural Networks" (IR-Net), CVPR 2020.
    """

    name = "ede_sign"

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return self.slope(x.detach())
