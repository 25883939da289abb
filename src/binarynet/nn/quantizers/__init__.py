"""Quantizers: what a layer applies to its input and to its latent weights, one family a file.

One class is one pair of rules: a forward value, and a pseudo-gradient that stands in for the derivative of a step. The
same class serves weights and activations.

| quantizer  | what every quantizer is; `sign`; `watched`, which tells of every value that is made           |
| grid       | those whose values are whole numbers times a scale                                            |
| signs      | the signs, which differ in their pseudo-gradients                                             |
| byte_input | `ByteInput`, in front of the first layer; reader: what the numbers of an image mean to it     |
| scaled     | XNOR-Net's sign times a scale for each filter                                                 |
| magnitude  | Bi-Real Net's                                                                                 |
| error_decay | the gradient that IR-Net's two signs share                                                  |
| standardized | IR-Net's and ReCU's signs of standardised filters                                           |
| adaptive   | AdaBin's two numbers around a centre                                                          |
| absmax     | weights of 8 bits, for the ends of a network                                                  |
| connect    | BinaryConnect's and Few Multiplications' weights, drawn or not                                |
| kbit       | DoReFa-Net's, XNOR-Net's and QNN's k bits                                                     |
| ternary    | −1, 0, +1 in three ways                                                                       |
| bitwise    | Bitwise Neural Networks' two stages                                                           |
| expected   | Expectation Backpropagation's random neuron                                                   |

`QUANTIZERS` has them all by name. It is made of the classes in these files, so a new file needs no line elsewhere.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from binarynet.errors import InputError, closest
from binarynet.nn.quantizers.absmax import AbsMaxWeight
from binarynet.nn.quantizers.adaptive import AdaBinActivation, AdaBinWeight
from binarynet.nn.quantizers.bitwise import BitwiseSign, BitwiseWeight
from binarynet.nn.quantizers.byte_input import ByteInput
from binarynet.nn.quantizers.connect import BinaryConnect, TernaryConnect
from binarynet.nn.quantizers.expected import ExpectedSign
from binarynet.nn.quantizers.grid import GridQuantizer
from binarynet.nn.quantizers.kbit import DorefaActivation, DorefaWeight, LinearQuant, LogQuant, XnorActivation
from binarynet.nn.quantizers.magnitude import MagnitudeAwareSign
from binarynet.nn.quantizers.quantizer import Quantizer, Watcher, sign, watched
from binarynet.nn.quantizers.scaled import ScaledSign
from binarynet.nn.quantizers.signs import (
    ApproxSign,
    EdeSign,
    IdentitySign,
    SigmoidSign,
    SteSign,
    StochasticSign,
    SwishSign,
    TanhSign,
)
from binarynet.nn.quantizers.standardized import LibraSign, RecuSign
from binarynet.nn.quantizers.ternary import TtqTernary, TwnTernary, UniformLevels

__all__ = [
    "QUANTIZERS",
    "AbsMaxWeight",
    "AdaBinActivation",
    "AdaBinWeight",
    "ApproxSign",
    "BinaryConnect",
    "BitwiseSign",
    "BitwiseWeight",
    "ByteInput",
    "DorefaActivation",
    "DorefaWeight",
    "EdeSign",
    "ExpectedSign",
    "GridQuantizer",
    "IdentitySign",
    "LibraSign",
    "LinearQuant",
    "LogQuant",
    "MagnitudeAwareSign",
    "Quantizer",
    "RecuSign",
    "ScaledSign",
    "SigmoidSign",
    "SteSign",
    "StochasticSign",
    "SwishSign",
    "TanhSign",
    "TernaryConnect",
    "TtqTernary",
    "TwnTernary",
    "UniformLevels",
    "Watcher",
    "XnorActivation",
    "get",
    "sign",
    "watched",
]


def _found() -> dict[str, type[Quantizer]]:
    """The quantizers with a name of every module of this package, in the order of their names.

    `InputError` where two classes have the same name: which one it meant would depend on the order of the files.
    """
    found: dict[str, type[Quantizer]] = {}
    for file in pkgutil.iter_modules(__path__, f"{__name__}."):
        for item in vars(import_module(file.name)).values():
            named = isinstance(item, type) and issubclass(item, Quantizer) and "name" in vars(item)
            if named and found.setdefault(item.name, item) is not item:
                raise InputError(f"two quantizers are called {item.name!r}: {found[item.name]} and {item}.")
    return dict(sorted(found.items()))


QUANTIZERS: dict[str, type[Quantizer]] = _found()


def get(spec: str | Quantizer | None) -> Quantizer | None:
    """The quantizer that `spec` stands for: a new one with default settings for a name, itself for an object.

    `None` stays `None` and means: leave the values as they are. `InputError` for an unknown name.
    """
    if spec is None or isinstance(spec, Quantizer):
        return spec
    if isinstance(spec, str) and spec in QUANTIZERS:
        return QUANTIZERS[spec]()
    raise InputError(
        f"{spec!r} is not a quantizer.{closest(spec, QUANTIZERS)} Known names: {', '.join(QUANTIZERS)}; "
        "for other settings pass an object such as SteSign(clip=1.25); None leaves the values as they are."
    )
