"""AdaBin's pairs of numbers: weights and activations of one bit whose two values need not lie around 0."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.nn.quantizers.error_decay import ErrorDecay
from binarynet.nn.quantizers.quantizer import Quantizer, sign
from binarynet.nn.quantizers.signs import SteSign
from binarynet.nn.quantizers.standardized import Standardized


class AdaBinWeight(ErrorDecay, Standardized):
    """AdaBin's weights: two numbers for each filter, with the filter's own mean and deviation.

    Forward: q(w) = alpha sign(w − beta) + beta, beta = mean of the filter, alpha its deviation (divided by n): the two
    values have the mean and the deviation of the filter's weights, where the signs are balanced.
    Gradient: through alpha, beta and ŵ = (w − beta) / alpha, with k t (1 − tanh(t ŵ)²), k = max(1/t, 1), for the sign
    (the error decay estimator). `t` is assigned before every epoch, as that of `EdeSign`.

    Two numbers are no whole numbers times a scale: `integers` answers only where every beta is 0. `lower` takes them as
    they are: alpha times the product with the signs, plus beta times the sum of what lies under the window, which is
    one more filter of ones (`binarynet.fold.pairs`).

    Weights have shape (out, in, ...), else `InputError`.
    Reference: Tu, Chen, Ren, Wang, "AdaBin: Improving Binary Neural Networks with Adaptive Binary Sets", ECCV 2022,
    arXiv 2208.08084, section 3.1.
    """

    name = "adabin_weight"

    def pair(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, beta) of each filter, (out, 1, ...), without gradient."""
        return tuple(one.detach() for one in self._pair(x.detach()))  # type: ignore[return-value]

    def _pair(self, x: Tensor) -> tuple[Tensor, Tensor]:
        axes = self.axes(x)
        beta = x.mean(axes, keepdim=True)
        variance = (x - beta).square().mean(axes, keepdim=True)
        return torch.where(variance > 0, variance, 1).sqrt() * (variance > 0), beta

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(signs, alpha). `InputError` where a filter's beta is not 0."""
        alpha, beta = self.pair(x)
        if beta.any():
            raise InputError(
                "AdaBinWeight has a centre that is not 0: its values are no integers times a scale. Read .pair(weight)."
            )
        return sign(x - beta), alpha

    def value(self, x: Tensor) -> Tensor:
        alpha, beta = self.pair(x)
        return sign(x.detach() - beta) * alpha + beta

    def propagate(self, gradient: Tensor, x: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            standard, (alpha, beta) = self.standard(leaf), self._pair(leaf)
            seen = standard.detach()
            joined = standard * (alpha.detach() * self.slope(seen)) + alpha * sign(seen) + beta
        (passed,) = torch.autograd.grad(joined, leaf, gradient.to(joined.dtype))
        return passed


class AdaBinActivation(Quantizer):
    """AdaBin's activations: two numbers for a layer, whose centre and distance are learnt.

    Forward: q(x) = alpha sign((x − beta) / alpha) + beta; alpha and beta are parameters, 1 and 0 at the start.
    Gradient, with g = dC/dq, u = (x − beta) / alpha and the window m = 1{|u| <= 1}: of x: m g; of beta: the sum of
    (1 − m) g; of alpha: the sum of (sign(u) − m u) g.

    `integers` answers only while beta is 0. `lower` records the steps: the sign is one bit, alpha and beta go into the
    layers behind. A zero that is padded around such codes lies between them; `binarynet.fold.pairs` keeps it exact.
    Reference: Tu, Chen, Ren, Wang, "AdaBin", ECCV 2022, arXiv 2208.08084, section 3.2; the authors' code returns
    alpha (sign + beta), which is another beta.
    """

    name = "adabin_activation"

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))
        self.sign = SteSign()

    def integers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(signs, alpha). `InputError` where beta is not 0."""
        if self.beta:
            raise InputError(
                f"AdaBinActivation has the centre {self.beta.item():g}: its values are no integers times a scale."
            )
        return sign(x.detach() / self.alpha.detach()), self.alpha.detach().to(x.dtype)

    def value(self, x: Tensor) -> Tensor:
        alpha, beta = self.alpha.detach().to(x.dtype), self.beta.detach().to(x.dtype)
        return sign((x.detach() - beta) / alpha) * alpha + beta

    def forward(self, x: Tensor) -> Tensor:
        alpha, beta = self.alpha.to(x.dtype), self.beta.to(x.dtype)
        found: Tensor = self.sign((x - beta) / alpha) * alpha + beta
        return found

    def extra_repr(self) -> str:
        return f"alpha={self.alpha.item():g}, beta={self.beta.item():g}"
