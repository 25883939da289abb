"""Expectation backpropagation: weights as probabilities, and a backward pass that is a closed form.

Training knows no weight, only how probable each value of it is. A weight is +1 with p = (1 + tanh h) / 2, else −1
("binary"), or Gaussian of mean h and variance 1 ("real"); h is what is learnt. A sum of many such weights is nearly
Gaussian, so its mean μ and variance σ² say everything about it, and

    z = μ / σ,    P(neuron = +1) = Φ(z),    E[neuron] = m = 2Φ(z) − 1 = erf(z / √2),    Var[neuron] = 1 − m².

K inputs and the bias, which is real, weigh 1 / √(K + 1) each:

=============== ================================ ===================================================
layer           μ √(K+1)                         σ² (K+1)
=============== ================================ ===================================================
binary, first   tanh(h) x + b                    Σ (1 − tanh²h) x² + 1
binary, others  tanh(h) m + b                    Σ (1 − tanh²h · m²) + 1
real, first     h x + b                          Σ x² + 1
real, others    h m + b                          (K + 1) + Σ h² (1 − m²) + 1
=============== ================================ ===================================================

The backward pass is the chain rule of the loss −log Φ(y z), where z counts as (w m + b) / (σ √(K+1)):

* σ counts as a constant.
* The derivative towards h is taken as if w were h itself.
* The derivative towards the layer below is taken with w = E[w].

One step of plain gradient descent of length 1 then is the method's closed-form update, so the recipe uses no optimizer
but that.

| EBP-P | evaluates the same μ and σ: the mean answer of all networks that the probabilities allow |
| EBP-D | evaluates one network, the most probable one: weights and neurons are signs              |

Reference: Soudry, Hubara, Meir, "Expectation Backpropagation", NIPS 2014; Cheng, Soudry, Mao, Lan, "Training Binary
Multilayer Neural Networks for Image Classification using Expectation Backpropagation", arXiv 1503.03562.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn.linear import BinaryLinear
from binarynet.nn.quantizers import IdentitySign
from binarynet.nn.quantizers.expected import Evaluation, one_of

Weights = Literal["binary", "real"]


class ExpectationLinear(BinaryLinear):
    """A fully connected layer of random weights: in training it answers z = μ / σ, in EBP-D plain sums.

    Shapes: x (n, in_features) → (n, out_features). Parameters: `weight` (out_features, in_features) holds h,
    `real_bias` (out_features,) holds b. `bias` is what EBP-D adds to its sums.

    weights: "binary" or "real", see above. EBP-D of a binary layer multiplies with sign(h), of a real one with h.
    inputs: "means" reads the m of random ±1 neurons; "values" reads numbers that are what they are, as pixels.
    zero, unit: how the inputs spell 0 and 1: what the formulas call x is (x − zero) / unit. Bytes read as 2x − 255
        with zero = −255 and unit = 510 are pixels from 0 to 1, yet the sums of EBP-D stay whole numbers: to
        sign(h) · (2x − 255) it adds the bias 510 b + 255 Σ sign(h).
    evaluation: what `eval()` answers, "ebp-d" or "ebp-p"; training is the same for both.

    `InputError` for a value that is none of these.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weights: Weights = "binary",
        inputs: Literal["values", "means"] = "means",
        zero: float = 0.0,
        unit: float = 1.0,
        evaluation: Evaluation = "ebp-d",
    ) -> None:
        one_of("weights", weights, ("binary", "real"))
        one_of("inputs", inputs, ("values", "means"))
        one_of("evaluation", evaluation, ("ebp-d", "ebp-p"))
        quantizer = IdentitySign() if weights == "binary" else None
        super().__init__(in_features, out_features, bias=False, weight_quantizer=quantizer)
        self.real_bias = nn.Parameter(torch.zeros(out_features))
        self.weights, self.inputs, self.evaluation = weights, inputs, evaluation
        self.zero, self.unit = float(zero), float(unit)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """h uniform in [−1, 1]. The authors' code draws it with variance 1 / K, see `initialise`."""
        self.initialise(1.0)

    def initialise(self, half_width: float) -> None:
        """h uniform in ±half_width; √(3 / K) is the authors' choice, for nets with one hidden layer.

        With that, the neurons' means start near 0, and behind a second hidden layer nothing is left of the input.
        """
        nn.init.uniform_(self.weight, -half_width, half_width)

    @property
    def bias(self) -> Any:  # type: ignore[override]  # a parameter in torch's layers
        """b as EBP-D adds it to the sums over the inputs as they come, detached."""
        return self.bias_of(self._likeliest_weight())

    def bias_of(self, weight: Tensor) -> Tensor:
        """What a network with these weights (out_features, in_features) adds to its sums, (out_features,)."""
        of_zero = 0.0 if self.zero == 0 else self.zero * weight.sum(1)
        return self.unit * self.real_bias.detach() - of_zero

    def forward(self, x: Tensor) -> Tensor:
        if self.evaluation == "ebp-d" and not self.training:
            # The sum first, which is a whole number and exact, then the bias: one rounding, the same everywhere.
            sums: Tensor = F.linear(x, self._likeliest_weight()) + self.bias
            return sums
        with torch.autocast(x.device.type, enabled=False):  # σ² is a difference of sums
            z: Tensor = _StandardisedSum.apply(x.to(self.weight.dtype), self.weight, self.real_bias, self)  # type: ignore[no-untyped-call]
        return z

    def _likeliest_weight(self) -> Tensor:
        return self.weight.detach() if self.weight_quantizer is None else self.binary_weight

    def standard(self, x: Tensor) -> Tensor:
        """The inputs as the formulas have them: 0 is 0 and 1 is 1."""
        return x if (self.zero, self.unit) == (0, 1) else (x - self.zero) / self.unit

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and σ² of the sums, both (n, out_features), without gradient."""
        with torch.no_grad():
            share = 1 / (self.in_features + 1)  # each of the K products and the bias has this share of the variance
            x, mean = self.standard(x), self.mean_weight
            mu = F.linear(x, mean, self.real_bias) * math.sqrt(share)
            if self.weights == "binary" and self.inputs == "values":
                spread = F.linear(x.square(), 1 - mean.square())
            elif self.weights == "binary":
                spread = self.in_features - F.linear(x.square(), mean.square())
            elif self.inputs == "values":
                spread = x.square().sum(1, keepdim=True).expand_as(mu)
            else:
                spread = self.in_features + 1 + F.linear(1 - x.square(), mean.square())
            # Where all is certain the bias's variance is left; rounding must not take that, too.
            return mu, ((spread + 1) * share).clamp(min=share)

    @property
    def mean_weight(self) -> Tensor:
        """E[w]: tanh(h) of binary weights, h of real ones; detached."""
        return torch.tanh(self.weight.detach()) if self.weights == "binary" else self.weight.detach()

    @property
    def way_out(self) -> str:
        """What lowering advises where it refuses this layer."""
        if self.evaluation == "ebp-d":
            return ""
        return "EBP-P answers the mean of all networks, which is no integer network. Set evaluation='ebp-d'."

    def extra_repr(self) -> str:
        return (
            f"{super().extra_repr()}, weights={self.weights}, inputs={self.inputs}, zero={self.zero:g}, "
            f"unit={self.unit:g}, evaluation={self.evaluation}"
        )


class _StandardisedSum(torch.autograd.Function):
    """z = μ / σ. Backward, with g the gradient of z divided by σ √(K+1): gᵀx to h, g · E[w] to x, Σ g to the bias.

    With the loss −log Φ(y z) that leaves −½ (Δ∘G) mᵀ in h.grad: G = 2 N(0; μ, σ²) / √(K+1) is σ's and erf's
    derivative together, and Δ what arrives from above.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, bias: Tensor, layer: ExpectationLinear) -> Tensor:
        mu, variance = layer.moments(x)
        deviation = variance.sqrt()
        ctx.save_for_backward(x, deviation)
        ctx.layer, ctx.mean_weight = layer, layer.mean_weight
        return mu / deviation

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        (x, deviation), layer = ctx.saved_tensors, ctx.layer
        g = gradients[0] / (deviation * math.sqrt(layer.in_features + 1))
        towards_x = g @ ctx.mean_weight / layer.unit if ctx.needs_input_grad[0] else None
        return towards_x, g.t() @ layer.standard(x), g.sum(0), None


class _LogNormalCdf(torch.autograd.Function):
    """log Φ(x), and its derivative φ(x) / Φ(x) where both underflow: there it is |x|, not 0 / 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        value: Tensor = torch.special.log_ndtr(x)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        # Φ(x) = exp(−x²/2) erfcx(−x/√2) / 2, so the exponentials cancel and nothing underflows: exp(log φ − log Φ)
        # in one step, accurate to the last digits where the difference of two logarithms would lose them.
        ratio: Tensor = math.sqrt(2 / math.pi) / torch.special.erfcx(-x / math.sqrt(2))
        return gradients[0] * ratio


def log_normal_cdf(x: Tensor) -> Tensor:
    """log Φ(x) elementwise, with a gradient that is right in both tails: → |x| for x → −∞, → 0 for x → +∞."""
    result: Tensor = _LogNormalCdf.apply(x)  # type: ignore[no-untyped-call]
    return result


def probit_loss(z: Tensor, target: Tensor, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
    """−log P(all outputs are right) = −Σ_c log Φ(y_c z_c), with y = +1 for the target class and −1 for the others.

    `z` (n, classes) float; `target` (n,) int64. Returns a scalar, the sum or the mean over the n images: "sum"
    is the method's (its steps add up over a mini-batch), "mean" the same with a step length of n.
    `InputError` when the shapes or the target's dtype do not fit.
    """
    if z.ndim != 2 or target.shape != z.shape[:1] or target.dtype != torch.int64:
        raise InputError(
            f"probit_loss got z of shape {tuple(z.shape)} and a target of shape {tuple(target.shape)}, "
            f"{target.dtype}; it takes z (n, classes) and int64 indices (n,)."
        )
    y = torch.full_like(z, -1.0).scatter(1, target.unsqueeze(1), 1.0)  # (n, classes)
    total = -log_normal_cdf(y * z).sum()
    return total if reduction == "sum" else total / len(z)
