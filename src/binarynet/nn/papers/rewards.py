"""Bengio, Léonard, Courville's unbiased estimator: a neuron that is drawn learns from the loss that followed its draw.

Y. Bengio, N. Léonard, A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
Computation", 2013 (arXiv 1308.3432), "Unbiased Estimator of Gradient for Stochastic Binary Neurons".

A neuron fires, h = 1, with p = sigmoid(a), else h = 0; its value here is 2 h − 1. With L the loss of its image, the
mean over all draws of

    (h − p) (L − B),   B = E[(h − p)² L] / E[(h − p)²],

is the derivative of the mean loss by a. No gradient comes through the neuron: neurons before it learn from L, too. B
makes the variance smallest; any B that does not know this draw leaves the mean as it is.

    with Rewards(model) as rewards:
        logits = model(images)
    losses = F.cross_entropy(logits, target, reduction="none")  # (n,)
    (losses.mean() + rewards(losses)).backward()

**Departures.** B is taken over the batch without the image itself, so that one batch is unbiased already; the authors
keep a moving average. The paper's other neurons, the noisy rectifier and the stochastic times smooth unit, answer
reals: they have no bits to lower, and are not here. Its straight-through neurons are `SigmoidSign`.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from binarynet.errors import InputError, expect
from binarynet.nn.fused import record
from binarynet.nn.quantizers import Quantizer, SigmoidSign, watched


class RewardSign(SigmoidSign):
    """A neuron that is drawn in training and lets no gradient pass; what it learns comes from `Rewards`.

    Forward (training): q(x) = +1 with probability sigmoid(x), else -1. Forward (evaluation): +1 if x >= 0 else -1.
    Pseudo-gradient: 0.

    Reference: Bengio, Leonard, Courville, arXiv 1308.3432, the unbiased estimator.
    """

    name = "reward_sign"

    def __init__(self) -> None:
        super().__init__()

    def pseudo_gradient(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def extra_repr(self) -> str:
        return ""


class Rewards:
    """Inside ``with Rewards(model) as rewards``, notes what every `RewardSign` of ``model`` draws in training.

    One batch goes through the model inside: all that is drawn there is held to the losses of that batch.

    Raises:
        ArgumentError: ``model`` is no module.
        InputError: it has no `RewardSign`, or one whose draws are not the class's own: of a subclass, or with hooks.
    """

    def __init__(self, model: nn.Module) -> None:
        expect("Rewards: model", model, nn.Module, "a torch module")
        self._neurons = {module: name for name, module in model.named_modules() if isinstance(module, RewardSign)}
        for neuron, name in self._neurons.items():
            if type(neuron) is not RewardSign or not record.as_typed(neuron):
                raise InputError(
                    f"Rewards: {name or 'the model'} ({type(neuron).__name__}) may draw or answer otherwise than "
                    "RewardSign, whose probabilities the estimate needs. Give RewardSign itself, without hooks."
                )
        if not self._neurons:
            raise InputError(f"Rewards: {type(model).__name__} has no RewardSign, so nothing of it learns by rewards.")
        self._draws: list[tuple[Tensor, Tensor]] = []  # what a neuron saw, with its gradient's way; its value
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._draws.clear()
        self._stack.enter_context(watched(self._note))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _note(self, quantizer: Quantizer, x: Tensor, value: Tensor) -> None:
        if quantizer not in self._neurons or not quantizer.training:
            return
        if isinstance(x, nn.Parameter):
            raise InputError(
                f"Rewards: {self._neurons[quantizer]} draws weights, which have no loss of an image each. RewardSign "
                "is for activations; `stochastic_sign` draws weights."
            )
        self._draws.append((x, value.detach().clone()))  # whoever reads the value may change it in place

    def __call__(self, losses: Tensor) -> Tensor:
        """A scalar of value 0 whose gradient is the estimator's of the mean of ``losses`` (n,), one an image.

        Raises:
            ArgumentError: ``losses`` are no tensor.
            InputError: they are not one an image, or nothing was drawn (the model was in evaluation mode).
        """
        expect("Rewards: losses", losses, Tensor, "a tensor (n,), one loss an image")
        if not self._draws:
            raise InputError(
                "Rewards: no RewardSign drew anything. Run the model inside `with`, in training mode (`model.train()`)."
            )
        total = losses.new_zeros(())
        for x, value in self._draws:
            if losses.shape != x.shape[:1]:
                raise InputError(
                    f"Rewards: losses of shape {tuple(losses.shape)} beside neurons of {tuple(x.shape)}; give one loss "
                    'an image, as cross_entropy(…, reduction="none") does.'
                )
            gradient = estimate(x.detach(), value, losses.detach()) / len(losses)
            total = total + (gradient * (x - x.detach())).sum()
        return total


def estimate(x: Tensor, value: Tensor, losses: Tensor) -> Tensor:
    """(h − p) (L − B) of each neuron and image: ``x`` and its ``value`` ±1 (n, …), ``losses`` (n,) → the shape of x."""
    loss = losses.double().reshape(-1, *[1] * (x.ndim - 1))
    apart = (value.double() + 1) / 2 - torch.sigmoid(x.double())  # h − p
    weight = apart.square()
    # The sums of all but one; in float64, as what is left may be a millionth of what is taken away.
    others = weight.sum(0) - weight
    baseline = ((weight * loss).sum(0) - weight * loss) / others
    baseline = torch.where(others > 1e-9 * weight, baseline, 0)  # nothing to compare with, such as in a batch of one
    return (apart * (loss - baseline)).to(x.dtype)
