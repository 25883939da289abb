"""What all binary layers share: two quantizers around a torch layer, and the papers' initialisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from binarynet.errors import InputError, takes
from binarynet.nn.fused.packed_input import Input
from binarynet.nn.quantizers import Quantizer, get


class BinaryLayer(nn.Module):
    """Mixin for a torch layer with `weight` and `bias`: `isinstance(m, BinaryLayer)` finds every one of them.

    `weight` holds the **latent weights**: real values that training updates and checkpoints store. The layer
    multiplies `input_quantizer(x)` with `weight_quantizer(weight)`. A quantizer that is None leaves its
    operand as it is; nothing is guessed from the size or the place of a layer.

    Parameters and state dict are those of the torch layer: float checkpoints load with `strict=True`, and
    the other way round.
    """

    weight: Tensor  # a Parameter; torch annotates it so
    bias: Any  # a Parameter or None; torch's layers disagree on the annotation
    input_quantizer: Quantizer | None
    weight_quantizer: Quantizer | None

    def _set_quantizers(
        self, input_quantizer: str | Quantizer | None, weight_quantizer: str | Quantizer | None
    ) -> None:
        self.input_quantizer = get(input_quantizer)
        self.weight_quantizer = get(weight_quantizer)
        if self.weight_quantizer is None:
            super().reset_parameters()  # type: ignore[misc]  # float weights start as torch's do

    def reset_parameters(self) -> None:
        """Latent weights uniform in [-1, 1], bias 0, as in the code of Courbariaux et al., 2016."""
        nn.init.uniform_(self.weight, -1.0, 1.0)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    @property
    def binary_weight(self) -> Tensor:
        """The weights as evaluation uses them, in any mode: ±1, detached, shape and dtype of `weight`.

        `InputError` when `weight_quantizer` is None, as there is nothing binary to return.
        """
        if self.weight_quantizer is None:
            raise InputError(f"{type(self).__name__} has weight_quantizer=None: its weights are float. Read .weight.")
        with torch.no_grad():
            return self.weight_quantizer.value(self.weight)

    def room_before(self, shape: torch.Size) -> Input | None:
        """Where a sign before this layer may write its answer of that shape as bits; None: it has to be numbers."""
        return None

    def pools_too(self, shape: torch.Size) -> bool:
        """Whether `of_signs` of that shape may take a pool of 2 × 2 behind it along."""
        return False

    def of_signs(self, x: Tensor, signs: Input, pooled: bool = False) -> Tensor:
        """`forward` of a tensor that stands in for `signs`, which `room_before` gave room for; and its pool."""
        raise NotImplementedError

    def _quantized_input(self, x: Tensor) -> Tensor:
        quantized: Tensor = x if self.input_quantizer is None else self.input_quantizer(x)
        return quantized

    def _quantized_weight(self) -> Tensor:
        if self.weight_quantizer is None:
            return self.weight
        quantized: Tensor = self.weight_quantizer(self.weight)
        return quantized


@takes(module=(nn.Module, "a torch.nn.Module"))
def latent_weights(module: nn.Module) -> Iterator[tuple[str, BinaryLayer, nn.Parameter]]:
    """(qualified name, layer, weight parameter) of every layer of `module` that trains latent weights.

    In registration order, each layer once; named as by `module.named_modules()`, "" for `module` itself.
    `InputError` for a layer whose weight is no parameter, as `torch.nn.utils.parametrize` and `prune` leave it.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, BinaryLayer) and layer.weight_quantizer is not None:
            if not isinstance(layer.weight, nn.Parameter):
                raise InputError(
                    f"{name or 'the model'} ({type(layer).__name__}): its weight is computed from other parameters, "
                    "by a parametrization or pruning, so it has no latent weight to step. Remove that, as by "
                    "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')."
                )
            yield name, layer, layer.weight
