"""A quantizer as the papers draw it: its value, and what backpropagation takes for its derivative."""

from __future__ import annotations

from typing import Any

from binarynet.errors import expect
from binarynet.nn import QUANTIZERS, Quantizer
from binarynet.plot.figure import new_figure, panels, plain

_POINTS, _DRAWS = 801, 2000


def quantizer(*of: Quantizer | str, low: float = -2.0, high: float = 2.0) -> Any:
    """A `Figure` of quantizers, given as objects or by name: left the value, right the pseudo-gradient.

    Both are asked of the modules themselves, in the mode that they are in; what is random is shown by its mean.
    """
    import torch

    figure = new_figure(7.2, 2.5)
    left, right = panels(figure, 1, 2)
    for one in of or tuple(QUANTIZERS)[:1]:
        expect("quantizer", one, Quantizer | str, "a quantizer, or its name, such as 'ste_sign'")
        module = QUANTIZERS[one]() if isinstance(one, str) and one in QUANTIZERS else one
        expect("quantizer", module, Quantizer, f"one of {', '.join(QUANTIZERS)}")
        x = torch.linspace(low, high, _POINTS, requires_grad=True)
        y = module(x)  # type: ignore[operator]
        if not torch.equal(y, module(x)):  # type: ignore[operator]
            y = module(x.expand(_DRAWS, -1)).mean(0)  # type: ignore[operator]
        y.sum().backward()
        left.plot(x.detach(), y.detach(), label=module.name)  # type: ignore[union-attr]
        right.plot(x.detach(), x.grad, label=module.name)  # type: ignore[union-attr]
    plain(left, "value", "x")
    plain(right, "pseudo-gradient", "x")
    left.legend(fontsize=7, frameon=False)
    return figure
