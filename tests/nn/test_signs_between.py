"""A sign between a norm and a binary layer is never stored as numbers, and nothing else changes by that."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from binarynet.nn import BinaryConv2d, BinaryLinear, Sequential, SteSign, native
from binarynet.nn.fused import record

pytestmark = pytest.mark.skipif(native.engine is None, reason="the extension binarynet._training is not built")

READERS: dict[str, Any] = {
    "conv": lambda: (BinaryConv2d(40, 33, 3, padding=1, bias=False), (4, 40, 8, 6)),
    "conv of few channels": lambda: (BinaryConv2d(5, 33, 3, padding=1), (4, 5, 8, 6)),
    "strided": lambda: (BinaryConv2d(40, 32, 3, stride=2, padding=1), (4, 40, 8, 6)),
    "linear": lambda: (BinaryLinear(70, 35), (65, 70)),
}
each_reader = pytest.mark.parametrize("reader", READERS)
each_kernel = pytest.mark.parametrize("kernel", native.RUNS)


@pytest.fixture(autouse=True)
def every_size_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "ELEMENTS", 0)
    monkeypatch.setattr(native, "PRODUCTS", 0)


def layers_of(reader: str) -> tuple[Sequential, Tensor]:
    torch.manual_seed(3)
    layer, shape = READERS[reader]()
    norm: Any = nn.BatchNorm1d(shape[1]) if len(shape) == 2 else nn.BatchNorm2d(shape[1])
    x = 3 * torch.randn(shape)
    return Sequential(norm, SteSign(), layer), x if x.ndim == 2 else x.contiguous(memory_format=torch.channels_last)


def trained(layers: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = layers(x)
    torch.manual_seed(4)
    y.backward(torch.randn_like(y))
    assert x.grad is not None
    return [y.detach(), x.grad, *(p.grad for p in layers.parameters() if p.grad is not None)]


def heard(layers: Sequential) -> Sequential:
    """The same, which shows its numbers to somebody."""
    other = copy.deepcopy(layers)
    other[1].register_forward_hook(lambda layer, inputs, output: None)
    return other


@each_kernel
@each_reader
def test_answers_and_gradients_are_the_same_to_the_bit(
    reader: str, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_kernel", kernel)
    layers, x = layers_of(reader)
    for mine, other in zip(trained(layers, x), trained(heard(layers), x), strict=True):
        assert torch.equal(mine, other)


def test_only_bits_are_kept_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, x = layers_of("conv")
    monkeypatch.delattr(native.engine, "norm_forward")  # nobody writes the signs as numbers
    sizes: list[int] = []

    def saved(tensor: Tensor) -> Tensor:
        sizes.append(tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(saved, lambda tensor: tensor):
        layers(x.requires_grad_())
    assert sum(size >= x.numel() for size in sizes) == 1  # the input of the norm


@each_kernel
def test_nan_goes_through_as_ever(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_kernel", kernel)
    for reader in READERS:
        layers, x = layers_of(reader)
        x[1, 2] = torch.nan
        assert layers(x).isnan().any()
        layers, x = layers_of(reader)
        with torch.no_grad():
            next(layers[2].parameters()).view(-1)[0] = torch.nan
        assert torch.equal(layers(x).isnan(), heard(layers)(x).isnan())
        assert layers(x).isnan().any()


def test_a_gradient_of_the_gradient_finds_the_numbers_again() -> None:
    def second(layers: Sequential, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.preserve_format).requires_grad_()
        (dx,) = torch.autograd.grad(layers(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(dx.square().sum(), x)[0]

    layers, x = layers_of("conv")
    assert torch.equal(second(layers, x), second(heard(layers), x))


@each_kernel
def test_weights_that_were_stepped_before_the_backward_pass_are_an_error(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_kernel", kernel)
    layers, x = layers_of("conv")
    y = layers(x.requires_grad_())
    with torch.no_grad():
        next(layers[2].parameters()).neg_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_what_ran_is_recorded_with_the_name_of_the_layer() -> None:
    layers, x = layers_of("conv")
    with record.recorded(layers) as ran:
        layers(x.requires_grad_()).sum().backward()
    assert [(one.layer, one.product) for one in ran] == [
        ("2", "forward"),
        ("2", "gradient of the input"),
        ("2", "gradient of the weights"),
    ]
    assert not layers[2]._forward_pre_hooks


@each_reader
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_method_replaced_on_one_layer_is_what_is_called(reader: str, which: int) -> None:
    layers, x = layers_of(reader)
    seen: list[Tensor] = []
    plain = layers[which].forward

    def replaced(values: Tensor) -> Any:
        seen.append(values)
        return 2 * plain(values)

    layers[which].forward = replaced
    found, expected = trained(layers, x), copy.copy(x)
    assert len(seen) == 1
    assert not seen[0].isnan().any()
    for at, layer in enumerate(layers):
        expected = (2 * plain(expected)) if at == which else layer(expected)
    assert torch.equal(found[0], expected)


@each_reader
def test_a_hook_on_all_modules_sees_the_numbers(reader: str) -> None:
    layers, x = layers_of(reader)
    seen: dict[type, Tensor] = {}
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, inputs, _: seen.update({type(module): inputs[0]})
    )
    try:
        trained(layers, x)
    finally:
        hook.remove()
    assert (seen[type(layers[2])].abs() == 1).all()


@pytest.mark.skipif("amx" not in native.RUNS, reason="this CPU has no matrix unit")
@pytest.mark.parametrize("shape", [(4, 40, 8, 6), (3, 33, 2, 2), (2, 64, 32, 32)], ids=str)
def test_a_pool_behind_a_convolution_on_the_matrix_unit_gives_the_bits_of_one_that_runs_alone(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_kernel", "amx")
    torch.manual_seed(6)
    convolution = BinaryConv2d(shape[1], 33, 3, padding=1, bias=False)
    layers = Sequential(nn.BatchNorm2d(shape[1]), SteSign(), convolution, nn.MaxPool2d(2))
    x = (3 * torch.randn(shape)).contiguous(memory_format=torch.channels_last)
    alone = copy.deepcopy(layers)
    alone[3].register_forward_hook(lambda layer, inputs, output: None)
    together = layers(x.requires_grad_()).grad_fn
    assert together.name() == "_Conv2dBackward"
    for mine, other in zip(trained(layers, x.detach()), trained(alone, x.detach()), strict=True):
        assert torch.equal(mine, other)

    def second(layers: Sequential) -> Tensor:
        leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        (dx,) = torch.autograd.grad(layers(leaf).square().sum(), leaf, create_graph=True)
        return torch.autograd.grad(dx.square().sum(), leaf)[0]

    assert torch.equal(second(layers), second(alone))
    with torch.no_grad():
        convolution.weight[0, 0, 0, 0] = torch.nan
    assert layers(x.detach()).shape == (shape[0], 33, shape[2] // 2, shape[3] // 2)
