"""Binary layers for PyTorch, one concept a file.

| quantizers | what is applied to inputs and weights: value and pseudo-gradient; `QUANTIZERS` by name |
| reader     | what the numbers of an image mean to `ByteInput`                                       |
| layer      | what the binary layers share; `latent_weights(module)`                                 |
| linear     | `BinaryLinear`                                                                         |
| conv       | `BinaryConv1d`, `BinaryConv2d`, `BinaryConvTranspose2d`                                |
| losses     | `squared_hinge`                                                                        |
| noise      | `GaussianNoise`                                                                        |
| sequential | `Sequential`: torch's, with fused training steps                                       |
| convert    | `convert(module)`: a plain torch model made binary in place (`dataflow`: who feeds it) |
"""

from binarynet.nn.conv import BinaryConv1d, BinaryConv2d, BinaryConvTranspose2d
from binarynet.nn.convert import Change, ConvertConfig, ConvertReport, convert
from binarynet.nn.layer import BinaryLayer, latent_weights
from binarynet.nn.linear import BinaryLinear
from binarynet.nn.losses import SquaredHinge, squared_hinge
from binarynet.nn.noise import GaussianNoise
from binarynet.nn.quantizers import (
    QUANTIZERS,
    ApproxSign,
    ByteInput,
    EdeSign,
    IdentitySign,
    Quantizer,
    SteSign,
    StochasticSign,
    SwishSign,
    TanhSign,
)
from binarynet.nn.sequential import Sequential

__all__ = [
    "QUANTIZERS",
    "ApproxSign",
    "BinaryConv1d",
    "BinaryConv2d",
    "BinaryConvTranspose2d",
    "BinaryLayer",
    "BinaryLinear",
    "ByteInput",
    "Change",
    "ConvertConfig",
    "ConvertReport",
    "EdeSign",
    "GaussianNoise",
    "IdentitySign",
    "Quantizer",
    "Sequential",
    "SquaredHinge",
    "SteSign",
    "StochasticSign",
    "SwishSign",
    "TanhSign",
    "convert",
    "latent_weights",
    "squared_hinge",
]
