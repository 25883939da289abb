"""Draw the values and pseudo-gradients of all quantizers: docs/methods/*.png.

    python docs/plot_quantizers.py [FOLDER]

A row of a figure is one thing that is quantized: left its value, right what backpropagation takes for the derivative,
both asked of the very modules that train. Random values are shown by their mean. Weights whose quantizer looks at the
whole layer are those of a layer with weights spread evenly over the axis.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from binarynet.nn import ApproxSign, ByteInput, EdeSign, LearnableShift, RPReLU, SteSign, StochasticSign, squared_hinge
from binarynet.nn.ap2 import ap2
from binarynet.nn.papers.expectation_backprop import log_normal_cdf
from binarynet.nn.papers.few_multiplications import stochastic_power_of_two
from binarynet.nn.papers.gradient import quantized_gradient
from binarynet.nn.quantizers import (
    QUANTIZERS,
    BinaryConnect,
    BitwiseSign,
    BitwiseWeight,
    DorefaActivation,
    DorefaWeight,
    ExpectedSign,
    LinearQuant,
    LogQuant,
    MagnitudeAwareSign,
    ScaledSign,
    TernaryConnect,
    TtqTernary,
    TwnTernary,
    UniformLevels,
    signs,
)

SIGNS = {name: sign for name, sign in QUANTIZERS.items() if sign.__module__ == signs.__name__}
Curve = Callable[[Tensor], Tensor]
POINTS, DRAWS = 1201, 4000


@dataclass(frozen=True)
class Row:
    """Curves over one axis from `low` to `high`; `flat` says that they have no gradient worth a picture."""

    title: str
    curves: Mapping[str, Curve]
    low: float = -2.0
    high: float = 2.0
    flat: bool = False


def one_filter(quantizer: nn.Module) -> Curve:
    """The quantizer on a layer with one output, whose weights are the points of the axis."""
    return lambda x: quantizer(x[None])[0]


def mean_of_draws(random: Curve) -> Curve:
    return lambda x: random(x.expand(DRAWS, -1)).mean(0)


def bitwise_weight(stage: Any) -> Curve:
    quantizer = BitwiseWeight(sparsity=0.3)
    quantizer.stage = stage
    quantizer.fit(torch.linspace(-2, 2, POINTS))
    return quantizer


def bitwise_sign(stage: Any, width: float = 1.0) -> Curve:
    quantizer = BitwiseSign(width)
    quantizer.stage = stage
    return quantizer


def fitted(quantizer: UniformLevels) -> Curve:
    quantizer.fit(torch.linspace(-1, 1, POINTS))
    return quantizer


def two_scales() -> Curve:
    quantizer = TtqTernary()
    with torch.no_grad():
        quantizer.positive.fill_(0.9)
        quantizer.negative.fill_(0.6)
    return quantizer


def hinge(x: Tensor) -> Tensor:
    """The loss of one output whose class is the right one."""
    return torch.stack([squared_hinge(one.view(1, 1), torch.zeros(1, dtype=torch.int64)) for one in x])


def shifted(shift: float) -> Curve:
    """RSign: a learnt shift, here a given one, and the sign behind it."""
    layer, sign = LearnableShift(1).requires_grad_(False), ApproxSign()
    layer.shift.fill_(shift)
    return lambda x: sign(layer(x[:, None])[:, 0])


def rprelu(knee: float, lift: float) -> Curve:
    """One channel of RPReLU."""
    layer = RPReLU(1).requires_grad_(False)
    layer.knee.fill_(knee)
    layer.lift.fill_(lift)
    return lambda x: layer(x[:, None])[:, 0]


WEIGHTS = {"low": -1.0, "high": 1.0}
SIGN = Row("activation", {"clipped": SteSign()})
FIGURES: dict[str, tuple[Row, ...]] = {
    "bnn": (SIGN,),
    "bnn-torch7": (
        Row("activation", {"in training, its mean": mean_of_draws(StochasticSign()), "in evaluation": SteSign()}),
        Row("power of two", {"nearest": ap2, "floor": lambda x: ap2(x, "floor")}, -4, 4),
    ),
    "binaryconnect": (
        Row(
            "weight",
            {"deterministic": BinaryConnect(), "stochastic, its mean": mean_of_draws(BinaryConnect(stochastic=True))},
        ),
    ),
    "bitwise": (
        Row("weight, λ = 0.3", {"stage 1": bitwise_weight(1), "stage 2": bitwise_weight(2)}),
        Row(
            "neuron",
            {"stage 1": bitwise_sign(1), "stage 2, s = 1": bitwise_sign(2), "s = 4": bitwise_sign(2, 4)},
            -8,
            8,
        ),
    ),
    "few_multiplications": (
        Row(
            "weight, W0 = 1",
            {
                "binary, its mean": mean_of_draws(BinaryConnect(stochastic=True)),
                "ternary, its mean": mean_of_draws(TernaryConnect(stochastic=True)),
                "ternary, nearest": TernaryConnect(),
            },
        ),
        Row(
            "layer input, backwards",
            {
                "one draw": lambda x: stochastic_power_of_two(x),
                "its mean": mean_of_draws(lambda x: stochastic_power_of_two(x)),
            },
            -4,
            4,
            flat=True,
        ),
    ),
    "bwn": (Row("weight", {f"gradient={g!r}": one_filter(ScaledSign(g)) for g in ("exact", "paper")}, -1.5, 1.5),),  # type: ignore[arg-type]
    "xnornet": (SIGN, Row("weight", {"α sign(W)": one_filter(ScaledSign())}, -1.5, 1.5)),
    "dorefa": (
        Row("weight", {f"{k} bits": one_filter(DorefaWeight(k)) for k in (1, 2, 3)}),
        Row("activation", {f"{k} bits": DorefaActivation(k) for k in (1, 2, 3)}, -0.5, 1.5),
        Row(
            "gradient, with noise",
            {
                "2 bits, one draw": lambda x: quantized_gradient(x[None], 2)[0],
                "2 bits, its mean": lambda x: torch.stack([quantized_gradient(x[None], 2)[0] for _ in range(200)]).mean(
                    0
                ),
            },
            -1,
            1,
            flat=True,
        ),
    ),
    "qnn": (
        Row("linear", {f"{k} bits": LinearQuant(k) for k in (1, 2, 4)}),
        Row("logarithmic", {f"{k} bits": LogQuant(k) for k in (1, 2, 3, 4)}),
    ),
    "hwang_sung": (Row("weight", {f"{m} levels": fitted(UniformLevels(m)) for m in (3, 7)}, **WEIGHTS),),
    "twn": (Row("weight", {"α t": one_filter(TwnTernary())}, **WEIGHTS),),
    "ttq": (Row("weight, scales 0.9 and −0.6", {"scales times t": two_scales()}, **WEIGHTS),),
    "expectation_backprop": (
        Row(
            "neuron",
            {"in training, its mean": ExpectedSign(), "EBP-D": lambda x: ExpectedSign().eval()(x).detach()},
            -3,
            3,
        ),
        Row("loss of a right answer", {"−log Φ(z)": lambda x: -log_normal_cdf(x)}, -5, 3),
    ),
    "l2svm": (Row("loss of a right answer", {"max(0, 1 − y)²": hinge}),),
    "bop": (SIGN,),
    "bold": (SIGN,),
    "irnet": (Row("sign", {f"t = {t:g}": EdeSign(t) for t in (0.1, 1.0, 4.0)}),),
    "adabin": (Row("sign", {f"t = {t:g}": EdeSign(t) for t in (0.1, 1.0, 4.0)}),),
    "recu": (Row("activation", {"ApproxSign": ApproxSign()}),),
    "bireal": (
        Row("activation", {"ApproxSign": ApproxSign(), "clipped (BNN)": SteSign()}),
        Row("weight", {"α sign(W)": one_filter(MagnitudeAwareSign())}, -1.5, 1.5),
    ),
    "reactnet": (
        Row("sign of x + s", {f"s = {shift:g}": shifted(shift) for shift in (-0.5, 0.0, 0.5)}),
        Row("RPReLU", {"PReLU": rprelu(0, 0), "γ = 0.5, ζ = 0": rprelu(0.5, 0), "γ = −0.5, ζ = −1": rprelu(-0.5, -1)}),
    ),
    "surrogates": (
        Row("all signs", {name: SIGNS[name]().eval() for name in SIGNS}),
        Row("first layer", {ByteInput.name: lambda x: ByteInput()(x / 255)}, 0, 255),  # of intensities, nearest bytes
    ),
}


def sampled(row: Row, curve: Curve) -> tuple[Tensor, Tensor, Tensor | None]:
    """x, value and pseudo-gradient, (POINTS,) each."""
    x = torch.linspace(row.low, row.high, POINTS, requires_grad=True)
    y = curve(x)
    if not y.requires_grad:
        return x.detach(), y, None
    y.backward(torch.ones_like(y))
    return x.detach(), y.detach(), x.grad


def draw(rows: tuple[Row, ...]) -> Figure:
    figure = Figure(figsize=(7.2, 2.3 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 2, squeeze=False)
    for row, (left, right) in zip(rows, panels, strict=True):
        widths = [3.2 - 2 * k / max(1, len(row.curves) - 1) for k in range(len(row.curves))]  # equal ones stay visible
        for width, (label, curve) in zip(widths, row.curves.items(), strict=True):
            x, value, gradient = sampled(row, curve)
            if "one draw" in label:
                left.plot(x, value, ".", markersize=1, label=label)
            else:
                left.plot(x, value, linewidth=width, label=label)
            if gradient is not None and not row.flat:
                right.plot(x, gradient, linewidth=width, label=label)
        left.set_title(f"{row.title}: value", fontsize=9)
        right.set_title(f"{row.title}: pseudo-gradient", fontsize=9)
        if row.flat:
            right.set_axis_off()
            right.set_title("")
        else:
            low, high = right.get_ylim()
            right.set_ylim(min(0.0, low), high + 0.05 * (high - min(0.0, low)))
        for panel in (left, right):
            panel.tick_params(labelsize=7)
            panel.grid(alpha=0.3)
        (left if row.flat else right).legend(fontsize=6)
    return figure


def main(folder: Path) -> None:
    for name, rows in FIGURES.items():
        torch.manual_seed(0)
        draw(rows).savefig(folder / f"{name}.png", dpi=80, metadata={"Software": None}, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "methods")
