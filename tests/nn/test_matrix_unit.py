"""The products on the matrix unit against torch's: exact forwards, gradients as precise as asked for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from binarynet.nn import BinaryConv2d, BinaryLinear, SteSign, native
from binarynet.nn.quantizers import sign

pytestmark = pytest.mark.skipif("amx" not in native.RUNS, reason="no bfloat16 matrix unit in this CPU")

# What reaches a product: ±1, bytes, either after dropout; of the last, 1.25 (2x − 255) needs two bfloat16 pieces.
INPUTS = {
    "signs": lambda *shape: sign(torch.randn(shape)),
    "bytes": lambda *shape: 2.0 * torch.randint(0, 256, shape) - 255,
    "signs, half dropped": lambda *shape: F.dropout(sign(torch.randn(shape)), 0.5),
    "small integers": lambda *shape: torch.randint(-128, 128, shape).float(),
    "small integers but one": lambda *shape: torch.cat([torch.ones(math.prod(shape) - 1), torch.tensor([-129.0])]).view(
        shape
    ),
    "bytes, a fifth dropped": lambda *shape: F.dropout(2.0 * torch.randint(0, 256, shape) - 255, 0.2),
}
each_input = pytest.mark.parametrize("kind", INPUTS)
# batch, depth, channels: one, one beside a word, a tile and a block, more than one word, odd everywhere.
LINEAR = [(1, 1, 1), (3, 63, 10), (16, 64, 32), (17, 65, 33), (100, 784, 31), (2, 4607, 64)]
# images, channels, filters, height, width, kernel
CONV = [
    (1, 1, 1, 1, 1, (1, 1)),
    (2, 3, 33, 4, 4, (3, 3)),
    (1, 33, 40, 5, 7, (3, 3)),
    (3, 16, 64, 9, 6, (1, 1)),
    (2, 40, 31, 8, 3, (5, 3)),
    (9, 32, 32, 8, 8, (3, 3)),
    (1, 7, 9, 6, 40, (3, 3)),  # windows of few channels in two steps; rows of five tiles
    (2, 8, 20, 3, 1, (3, 3)),  # nearly so few; one pixel a row
    (1, 70, 40, 97, 60, (3, 3)),  # bands of rows, the last one shorter; more passes than one
    (3, 300, 10, 2, 2, (1, 1)),  # a pass of several blocks of channels
    (2, 33, 17, 3, 5, (7, 5)),  # more taps than a pass has steps, and than a tile has rows
]


@pytest.fixture(autouse=True)
def every_size_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "PRODUCTS", 0)
    monkeypatch.setattr(native, "ELEMENTS", 0)
    monkeypatch.setattr(native, "_kernel", "amx")


def run(layer: torch.nn.Module, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """y, dx and dw, by whatever is on."""
    x = x.detach().requires_grad_()
    layer.weight.grad = None  # type: ignore[assignment]
    y = layer(x)
    y.backward(g)
    assert x.grad is not None
    return y.detach(), x.grad, layer.weight.grad  # type: ignore[return-value]


def both(layer: torch.nn.Module, x: Tensor, g: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    ours = run(layer, x, g)
    with native.off():
        return ours, run(layer, x, g)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm().clamp_min(1e-30)).item()


@each_input
@pytest.mark.parametrize("size", LINEAR, ids=str)
def test_a_linear_forward_equals_float32_to_the_bit(size: tuple[int, int, int], kind: str) -> None:
    batch, depth, channels = size
    layer = BinaryLinear(depth, channels, bias=False, weight_quantizer="identity_sign")
    with torch.no_grad():
        layer.weight.view(-1)[0] = -0.0  # sign(−0) = +1
    x, g = INPUTS[kind](batch, depth), torch.randn(batch, channels)
    (y, dx, dw), (their_y, their_dx, their_dw) = both(layer, x, g)
    assert y.grad_fn is None
    assert torch.equal(y, their_y)
    # A gradient is rounded to 8 bits, half a unit of which is 2^-9 of it.
    assert relative(dx, their_dx) < 2**-8
    assert relative(dw, their_dw) < 2**-8


@each_input
@pytest.mark.parametrize("size", CONV, ids=str)
def test_a_conv_forward_equals_float32_to_the_bit(size: tuple[int, ...], kind: str) -> None:
    images, channels, filters, height, width, kernel = size
    padding = kernel[0] // 2, kernel[1] // 2
    layer = BinaryConv2d(channels, filters, kernel, padding=padding, bias=False, weight_quantizer="identity_sign")
    x, g = INPUTS[kind](images, channels, height, width), torch.randn(images, filters, height, width)
    (y, dx, dw), (their_y, their_dx, their_dw) = both(layer, x, g)
    assert torch.equal(y, their_y)
    assert relative(dx, their_dx) < 2**-8
    assert relative(dw, their_dw) < 2**-8


@pytest.mark.parametrize(("mode", "bound"), [("bf16", 2**-8), ("float32", 2**-20)])
def test_gradients_are_as_precise_as_asked_for(mode: str, bound: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_gradients", mode)
    linear = BinaryLinear(130, 70, bias=False)
    conv = BinaryConv2d(20, 40, 3, padding=1, bias=False)
    for layer, x, g in [
        (linear, sign(torch.randn(45, 130)), torch.randn(45, 70)),
        (conv, sign(torch.randn(3, 20, 6, 6)), torch.randn(3, 40, 6, 6)),
    ]:
        ours, theirs = both(layer, x, g)
        for mine, reference in zip(ours[1:], theirs[1:], strict=True):
            assert relative(mine, reference) < bound


def test_real_inputs_are_multiplied_as_precisely_as_in_float32() -> None:
    layer, x = BinaryLinear(300, 40, bias=False), torch.randn(20, 300)
    ours, theirs = both(layer, x, torch.randn(20, 40))
    exact = x.double() @ layer.binary_weight.double().T
    assert relative(ours[0].double(), exact) < 2 * relative(theirs[0].double(), exact) + 2**-22


def test_real_images_are_multiplied_as_precisely_as_in_float32() -> None:
    layer, x = BinaryConv2d(40, 33, 3, padding=1, bias=False), torch.randn(3, 40, 9, 7)
    ours, theirs = both(layer, x, torch.randn(3, 33, 9, 7))
    exact = F.conv2d(x.double(), layer.binary_weight.double(), padding=1)
    assert relative(ours[0].double(), exact) < 2 * relative(theirs[0].double(), exact) + 2**-22


def test_real_inputs_are_left_to_torch_in_evaluation() -> None:
    for layer, x in [
        (BinaryLinear(300, 40), torch.randn(20, 300)),
        (BinaryConv2d(40, 33, 3, padding=1), torch.randn(3, 40, 9, 7)),
    ]:
        with torch.no_grad():
            y = layer(x)
            with native.off():
                assert torch.equal(y, layer(x))


def test_the_bias_and_more_dimensions_are_those_of_torch() -> None:
    layer, x = BinaryLinear(70, 40), sign(torch.randn(2, 3, 5, 70))
    torch.nn.init.normal_(layer.bias)
    assert layer(x).shape == (2, 3, 5, 40)
    ours = layer(x)
    with native.off():
        torch.testing.assert_close(ours, layer(x), rtol=0, atol=1e-5)  # one rounding of the sum with the bias


def test_a_gradient_passes_the_window_of_the_weight_quantizer() -> None:
    layer = BinaryLinear(64, 32, bias=False, weight_quantizer=SteSign(clip=0.5))
    _, _, dw = run(layer, sign(torch.randn(8, 64)), torch.ones(8, 32))
    assert torch.equal(dw != 0, (layer.weight.abs() <= 0.5) & (dw != 0))
    assert (dw[layer.weight.abs() > 0.5] == 0).all()
    assert (dw != 0).any()


@pytest.mark.parametrize("size", [(5, 40, 70, 9, 9), (7, 130, 128, 32, 32), (3, 3, 40, 30, 11)], ids=str)
def test_results_do_not_depend_on_the_number_of_threads(size: tuple[int, ...]) -> None:
    images, channels, filters, height, width = size
    layer = BinaryConv2d(channels, filters, 3, padding=1, bias=False)
    x, g = sign(torch.randn(images, channels, height, width)), torch.randn(images, filters, height, width)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(run(layer, x, g))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_nan_among_the_weights_comes_out() -> None:
    for layer, x in [
        (BinaryLinear(64, 32, bias=False), torch.ones(4, 64)),
        (BinaryConv2d(4, 8, 3, padding=1, bias=False), torch.ones(2, 4, 5, 5)),
    ]:
        with torch.no_grad():
            layer.weight.view(-1)[-1] = math.nan
        assert layer(x).isnan().any()


def test_second_derivatives_are_torchs() -> None:
    layer, x = BinaryLinear(20, 6, bias=False), sign(torch.randn(4, 20)).requires_grad_()

    def second() -> Tensor:
        (dx,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        (again,) = torch.autograd.grad(dx.square().sum(), x)
        return again

    ours = second()
    with native.off():
        torch.testing.assert_close(ours, second(), rtol=1e-5, atol=1e-4)
