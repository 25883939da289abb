"""The papers' update of latent weights, for the optimizers of torch.

The rule of the Theano code (Courbariaux et al., arXiv 1602.02830) for a latent weight W of a layer with scale
s:

    W <- clip(W + s (W_step - W), -1, 1)        W_step: where the plain optimizer would have put W

Every optimizer whose step is proportional to its learning rate gives W + s (W_step - W) by itself when its
rate is s times larger. So the scale becomes one parameter group per value of s, and the clip a hook behind
`step()`; learning rate schedulers that multiply, gradient scalers, Lightning and checkpoints need to know
nothing of it.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from binarynet.errors import InputError, takes
from binarynet.nn import latent_weights
from binarynet.nn.ap2 import ap2
from binarynet.optim.clip import clip_groups
from binarynet.optim.flips import Flips

# Their step is not proportional to lr, so a larger lr is not a larger step in the same direction.
_NOT_LINEAR: dict[type[Optimizer], str] = {
    torch.optim.LBFGS: "its line search and curvature history depend on the step",
    torch.optim.Rprop: "its learning rate is only the first step size, later ones adapt by themselves",
    torch.optim.ASGD: "its step size decays by a rule that contains the learning rate",
    torch.optim.Adafactor: "its step is limited by 1 / sqrt(steps), whatever the learning rate",
    Flips: "it has no latent weights, only signs that flip (see bop_optimizer, bold_optimizer)",
}


def glorot_scale(layer: nn.Module) -> float:
    """How much longer a step the latent weights of `layer` take: sqrt((fan_in + fan_out) / 1.5).

    Linear: fan_in and fan_out are the features. Convolution: fan_in = kh kw c_in / groups (the depth of one
    output), fan_out = kh kw c_out, with pooling and stride left aside. 57.0 for 784 -> 4096.
    `InputError` for a module without a weight of two or more dimensions.

    It is the inverse of Glorot and Bengio's initial half-width, up to a constant: in the float net weights
    live in a range of 1/scale, here in [-1, 1], and steps must grow with the range. The reference code has
    it; without it the papers' accuracies are not reached.
    """
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.ndim < 2:
        raise InputError(f"{type(layer).__name__} has no weight matrix or kernel, so it has no fan-in and fan-out.")
    outputs, inputs = weight.shape[:2]  # inputs already divided by groups
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        inputs, outputs = weight.shape[0] // layer.groups, weight.shape[1] * layer.groups
    kernel = math.prod(weight.shape[2:])
    return math.sqrt(kernel * (inputs + outputs) / 1.5)


@takes(
    optimizer_class=(type, "an optimizer's class, such as torch.optim.Adam"),
    module=(nn.Module, "the torch.nn.Module whose weights it moves"),
    lr=(float | int, "the learning rate, a number"),
)
def latent_optimizer(
    optimizer_class: type[Optimizer],
    module: nn.Module,
    lr: float,
    *,
    step_scale: bool | Literal["glorot", "ap2"] = True,
    clip: float | Literal["glorot"] | None = 1.0,
    **kwargs: Any,
) -> Optimizer:
    """`optimizer_class` over the parameters of `module`, with the papers' step scale and clip for latent
    weights.

    Latent weights are those of `nn.latent_weights(module)`. Their groups carry the keys `latent` (True),
    `step_scale` and `clip`, and lr = `lr` * `step_scale`; all other parameters are one group with `latent`
    False, `lr` as given, and no clip. The keys travel with the optimizer's `state_dict`.

    step_scale: True or "glorot" for `glorot_scale` of each layer, "ap2" for the power of two next to it (the
        Torch7 code for CIFAR-10 and SVHN), False for 1.
    clip: latent weights are clamped in place to [-clip, clip] after every step; None leaves them free.
        "glorot" is 1 / `glorot_scale` of each layer, for weights that mean ±1 / `glorot_scale` (BinaryConnect's
        H = "Glorot").
    kwargs: further arguments of `optimizer_class`.

    A scheduler that multiplies (`geometric_decay`, `StepLR`, `LambdaLR`, ...) keeps the ratio of the groups;
    one with an absolute end value (`eta_min`) does not.
    `InputError` for optimizers whose step is not proportional to lr (LBFGS, Rprop, ASGD, Adafactor), for a
    `clip` that is not positive, for an unknown `step_scale`.
    """
    if step_scale not in (True, False, "glorot", "ap2"):
        raise InputError(f"step_scale={step_scale!r}; choose True (the same as 'glorot'), 'ap2' or False.")
    if clip not in ("glorot", None) and (isinstance(clip, str) or not clip > 0):
        raise InputError(f"clip={clip!r}; it is the largest magnitude of a latent weight: positive, 'glorot', or None.")
    for refused, reason in _NOT_LINEAR.items():
        if step_scale and issubclass(optimizer_class, refused):
            raise InputError(
                f"{optimizer_class.__name__} cannot take the step scale of latent weights: {reason}. "
                "Use SGD, Adam or one of its kin, RMSprop, Adagrad or Adadelta; or step_scale=False."
            )
    rules: dict[nn.Parameter, tuple[float, float | None]] = {}  # step scale and clip
    for _, layer, weight in latent_weights(module):
        # A weight shared by several layers is stepped once, by the rule of the first.
        rules.setdefault(weight, (_scale(layer, step_scale), 1 / glorot_scale(layer) if clip == "glorot" else clip))
    groups: list[dict[str, Any]] = [
        {
            "params": [weight for weight in rules if rules[weight] == (scale, limit)],
            "lr": lr * scale,
            "latent": True,
            "step_scale": scale,
            "clip": limit,
        }
        for scale, limit in dict.fromkeys(rules.values())
    ]
    others = [parameter for parameter in module.parameters() if parameter not in rules]
    if others:
        groups.append({"params": others, "lr": lr, "latent": False, "step_scale": 1.0, "clip": None})
    optimizer = optimizer_class(groups, lr=lr, **kwargs)  # type: ignore[call-arg]
    if not getattr(optimizer_class, "clips", False):  # ours clip in the pass in which they step
        optimizer.register_step_post_hook(_clip_latent_weights)
    return optimizer


def _scale(layer: nn.Module, step_scale: bool | str) -> float:
    if not step_scale:
        return 1.0
    scale = glorot_scale(layer)
    return ap2(torch.tensor(scale, dtype=torch.float64)).item() if step_scale == "ap2" else scale


def _clip_latent_weights(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    """Step hook. Reads the groups, not a closure, so that a loaded state dict decides."""
    clip_groups(optimizer.param_groups)
