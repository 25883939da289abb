"""XNOR-Net: weights and inputs of a layer are signs, with a scale for each filter and, if wanted, for each place.

M. Rastegari, V. Ordonez, J. Redmon, A. Farhadi, 2016 (arXiv 1603.05279; ECCV 2016).

**Binarized**: weights and inputs of all layers but the first and the last. Real: those two, BatchNorm.

**Forward**   B-A-C-P: a = pool(sign(BatchNorm(a_before)) ⋆ alpha sign(W)), alpha = mean |W| of the filter; with
`k_map=true` times K, the mean |input| under the window; loss: cross-entropy. Pooling ±1 would give almost only +1, so
the pool comes behind the convolution, and the norm before the sign.
**Backward**  clipped straight-through for the inputs, where |x| ≤ 1; weights as in `recipes/bwn.py`.

=============== ===========
recipe          reported
=============== ===========
xnornet-cifar10 10.17 %
xnornet-mnist   (not in it)
xnornet-digits  (not in it)
=============== ===========

The PyTorch port of J. Cao reports 0.77 % for LeNet-5 on MNIST: of the epoch that is best on the test images, and with a
ReLU behind each binary layer, biases, and no norm before the classes, where this net has the norm of the authors'
AlexNet. Here the epoch is chosen on validation images. Networks and their settings: `recipes/bwn.py`; ImageNet:
`recipes/xnornet_imagenet.py`.

``activation_bits=k`` makes the inputs of binary layers k-bit codes, and ``binary_gradients=true`` makes the gradients
that enter them signs, times the largest magnitude of each image (section 3.2).

**Departures.** Those of `recipes/bwn.py`. K is off by default, as in the authors' code: it depends on the image, so
nothing folds it into integers. `relu=true` puts a ReLU behind each binary layer, which the authors found to help a
little. With a float first layer the sums of that layer are real, and so is what its sign is taken of; the layers
between the first sign and the classes are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from torch import nn

from binarynet.nn import BinaryConv2d, BinaryLinear, SteSign
from binarynet.nn.papers.gradient import BinaryGradient
from binarynet.nn.papers.k_map import KMap
from binarynet.nn.quantizers import XnorActivation
from binarynet.recipes.bwn import Bwn, Norm
from binarynet.recipes.recipe import Recipe
from binarynet.recipes.settings import Range


@dataclass(frozen=True, kw_only=True)
class XnorNet(Bwn):
    """norm – sign – binary layer – pool; a float first layer is layer – norm – ReLU – pool."""

    paper: ClassVar[str] = "Rastegari et al. 2016, arXiv 1603.05279"
    binarized: ClassVar[str] = "weights, scaled per filter, and activations, but the first and last layer's"
    reported: ClassVar[dict[str, float]] = {"cifar10": 10.17}

    k_map: bool = False
    relu: bool = False
    activation_bits: Annotated[int, Range("1 to 8", minimum=1, maximum=8)] = 1
    binary_gradients: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k_map and self.activation_bits > 1:
            raise ValueError(f"k_map=true scales signs; it does not go with activation_bits={self.activation_bits}")

    def before(self, k: int, norm: Norm) -> dict[str, nn.Module]:
        return {f"norm{k}": norm(), **self._sign(f"sign{k}")} if k > 1 else {}

    def hidden(self, k: int, layer: nn.Module) -> nn.Module:
        if k > 1 and self.k_map:
            assert isinstance(layer, BinaryConv2d | BinaryLinear)
            return KMap(layer)
        return layer

    def behind(self, k: int, norm: Norm) -> dict[str, nn.Module]:
        if k == 1 and self.ends == "float":
            return super().behind(k, norm)
        backward: dict[str, nn.Module] = {f"gradient{k}": BinaryGradient()} if self.binary_gradients else {}
        return backward | ({f"relu{k}": nn.ReLU()} if self.relu else {})

    def before_classes(self, norm: Norm) -> dict[str, nn.Module]:
        ending = {"relu": nn.ReLU()} if self.ends == "float" else self._sign("sign")
        return {"norm": norm(), **ending}

    def quantizers(self, k: int) -> dict[str, Any]:
        real = k > 1 and self.k_map  # what reaches the layer
        return {**super().quantizers(k), "input_quantizer": SteSign() if real else None}

    def _sign(self, name: str) -> dict[str, nn.Module]:
        if self.k_map:
            return {}
        return {name: SteSign() if self.activation_bits == 1 else XnorActivation(self.activation_bits)}


RECIPES: dict[str, Recipe] = {
    "xnornet-digits": XnorNet(data="digits", epochs=30, batch_size=32, network="lenet3", filters=16, width=128),
    "xnornet-mnist": XnorNet(data="mnist", epochs=60, batch_size=128),
    "xnornet-cifar10": XnorNet(
        data="cifar10", epochs=320, batch_size=128, network="convnet", filters=128, width=1024, layers=2
    ),
}
