"""Binary layers for PyTorch, one concept a file or a room.

| quantizers     | what is applied to inputs and weights: value and pseudo-gradient; `QUANTIZERS` by name  |
| layer          | what the binary layers share; `latent_weights(module)`                                  |
| linear         | `BinaryLinear`                                                                          |
| conv           | `BinaryConv1d`, `BinaryConv2d`, `BinaryConvTranspose2d`                                 |
| channelwise    | `LearnableShift`, `ChannelScale`, `RPReLU`: one number for each channel                 |
| squeeze_excite | `SqueezeExcite`                                                                         |
| losses         | `squared_hinge`                                                                         |
| noise          | `GaussianNoise`                                                                         |
| contrast       | `GlobalContrastNorm`, `LocalContrastNorm`: what is done to images first                  |
| whitening      | `Whitening`: a fixed linear map of whole images, by the training images                 |
| ap2            | the power of two next to a number                                                       |
| fused          | products and passes of a training step on a CPU; `Sequential`: torch's, in fewer passes |
| papers         | layers that one paper needs                                                             |
| convert        | `convert(module)`: a plain torch model made binary in place                             |
| native         | the gate to the native code of fused                                                    |
"""

from binarynet.nn.channelwise import ChannelScale, LearnableShift, RPReLU
from binarynet.nn.contrast import GlobalContrastNorm, LocalContrastNorm
from binarynet.nn.conv import BinaryConv1d, BinaryConv2d, BinaryConvTranspose2d
from binarynet.nn.convert import Change, ConvertConfig, ConvertReport, convert
from binarynet.nn.fused.sequential import Sequential
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
    SigmoidSign,
    SteSign,
    StochasticSign,
    SwishSign,
    TanhSign,
)
from binarynet.nn.squeeze_excite import SqueezeExcite
from binarynet.nn.whitening import Whitening

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
    "ChannelScale",
    "ConvertConfig",
    "ConvertReport",
    "EdeSign",
    "GaussianNoise",
    "GlobalContrastNorm",
    "IdentitySign",
    "LearnableShift",
    "LocalContrastNorm",
    "Quantizer",
    "RPReLU",
    "Sequential",
    "SigmoidSign",
    "SquaredHinge",
    "SqueezeExcite",
    "SteSign",
    "StochasticSign",
    "SwishSign",
    "TanhSign",
    "Whitening",
    "convert",
    "latent_weights",
    "squared_hinge",
]
