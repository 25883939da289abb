"""The products of every instruction set against torch's: forwards with ==, gradients as their mode says."""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.nn import (
    QUANTIZERS,
    BinaryConv1d,
    BinaryConv2d,
    BinaryLinear,
    Sequential,
    SteSign,
    StochasticSign,
    native,
)
from binarynet.nn.fused import products, record
from binarynet.nn.quantizers import BinaryConnect, DorefaWeight, ScaledSign, TtqTernary, TwnTernary, sign

pytestmark = pytest.mark.skipif(native.engine is None, reason="the extension binarynet._training is not built")
KERNELS = native.RUNS
each_kernel = pytest.mark.parametrize("kernel", KERNELS)
MODES = ("float32", "bf16", "int8", "4")

# What reaches a product. Of the last two 1.25 (2x − 255) takes two bytes, and 1000 none.
INPUTS: dict[str, Callable[..., Tensor]] = {
    "signs": lambda *shape: sign(torch.randn(shape)),
    "bytes": lambda *shape: 2.0 * torch.randint(0, 256, shape) - 255,
    "signs, half dropped": lambda *shape: F.dropout(sign(torch.randn(shape)), 0.5),
    "small integers": lambda *shape: torch.randint(-128, 128, shape).float(),
    "bytes, a fifth dropped": lambda *shape: F.dropout(2.0 * torch.randint(0, 256, shape) - 255, 0.2),
    "small integers but one": lambda *shape: torch.cat([torch.ones(math.prod(shape) - 1), torch.tensor([1000.0])]).view(
        shape
    ),
}
# batch, depth, filters
LINEAR = [(1, 1, 1), (3, 63, 10), (16, 64, 32), (17, 65, 33), (100, 784, 31), (2, 4607, 64), (7, 16000, 5)]


@pytest.fixture(autouse=True)
def every_size_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "PRODUCTS", 0)
    monkeypatch.setattr(native, "ELEMENTS", 0)
    monkeypatch.setattr(products, "FEWEST", 0)


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(native, "_kernel", request.param)
    return str(request.param)


def run(layer: nn.Module, x: Tensor, g: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """y, dx and dw, by whatever is on."""
    x = x.detach().requires_grad_()
    layer.weight.grad = None  # type: ignore[assignment]
    y = layer(x)
    y.backward(torch.ones_like(y) if g is None else g)
    assert x.grad is not None
    return y.detach(), x.grad, layer.weight.grad  # type: ignore[return-value]


def by_torch(layer: nn.Module, x: Tensor, g: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    with native.off():
        return run(layer, x, g)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm().clamp_min(1e-30)).item()


def bound(kernel: str, mode: str) -> float:
    """Of the error of a gradient against float32's: half a unit of 8 bits; some steps of 255; the order of sums."""
    if mode == "int8":
        return 0.05
    return 2**-8 if mode == "bf16" and native.engine.has_bfloat16(kernel) else 2**-18


CHANNELS = st.sampled_from([1, 3, 31, 33, 63, 64, 65, 127, 200])
PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[BinaryConv2d, tuple[int, int, int]]:
    """The convolutions of tests/test_equality.py, and the shape of an input."""
    hidden, out = draw(CHANNELS), draw(CHANNELS)
    groups = draw(st.sampled_from([1, 1, 1, "depthwise", 2]))
    if groups == "depthwise":
        out, groups = hidden, hidden
    elif groups == 2:
        hidden, out = 2 * (hidden // 2) or 2, 2 * (out // 2) or 2
    height, width = draw(st.integers(1, 17)), draw(st.integers(1, 33))
    stride, dilation = draw(PAIRS), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = draw(PAIRS)
    padding = draw(st.sampled_from([0, 1, 2, "same"])) if stride == (1, 1) else draw(st.sampled_from([0, 1, 2]))
    layer = BinaryConv2d(
        hidden,
        out,
        size,
        stride,
        padding,
        dilation,
        int(groups),
        bias=False,
        pad_value=draw(st.sampled_from([0, 1, -1])),
        weight_quantizer="identity_sign",
    )
    side = 2 * padding if isinstance(padding, int) else 10**6
    assume(all(s + side >= d * (k - 1) + 1 for s, d, k in zip((height, width), dilation, size, strict=True)))
    return layer, (hidden, height, width)


@pytest.mark.filterwarnings("ignore:.*even kernel lengths")
@each_kernel
@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(convolutions(), st.sampled_from([1, 3, 6]), st.sampled_from(list(INPUTS)), st.sampled_from(MODES[:3]))
def test_convolutions_equal_float32_forwards_to_the_bit(
    kernel: str, net: tuple[BinaryConv2d, tuple[int, int, int]], batch: int, kind: str, mode: str
) -> None:
    layer, shape = net
    before, native._kernel = native._kernel, kernel
    try:
        x = INPUTS[kind](batch, *shape)
        g = torch.randn_like(layer(x))
        with native.rounded_as(mode):
            y, dx, dw = run(layer, x, g)
    finally:
        native._kernel = before
    their_y, their_dx, their_dw = by_torch(layer, x, g)
    assert torch.equal(y, their_y)
    assert relative(dx, their_dx) < bound(kernel, mode)
    assert relative(dw, their_dw) < bound(kernel, mode)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("size", LINEAR, ids=str)
def test_linear_layers_equal_float32_forwards_to_the_bit(size: tuple[int, int, int], kind: str, kernel: str) -> None:
    batch, depth, filters = size
    layer = BinaryLinear(depth, filters, bias=False, weight_quantizer="identity_sign")
    with torch.no_grad():
        layer.weight.view(-1)[0] = -0.0  # sign(−0) = +1
    x, g = INPUTS[kind](batch, depth), torch.randn(batch, filters)
    their_y, their_dx, their_dw = by_torch(layer, x, g)
    for mode in MODES[:3]:
        with native.rounded_as(mode):
            y, dx, dw = run(layer, x, g)
        assert torch.equal(y, their_y)
        assert relative(dx, their_dx) < bound(kernel, mode)
        assert relative(dw, their_dw) < bound(kernel, mode)


@pytest.mark.parametrize(
    "quantizer",
    [ScaledSign(), TwnTernary(), DorefaWeight(1), DorefaWeight(2), DorefaWeight(4), BinaryConnect(limit=0.3)],
    ids=lambda quantizer: f"{quantizer.name}{quantizer.bits}",
)
@pytest.mark.parametrize("kind", ["signs", "two bits", "bytes"])
def test_scaled_ternary_and_k_bit_weights_are_multiplied_as_integers(
    quantizer: nn.Module, kind: str, kernel: str
) -> None:
    layer = BinaryConv2d(40, 33, 3, 2, 1, bias=False, weight_quantizer=quantizer)  # type: ignore[arg-type]
    nn.init.normal_(layer.weight, std=0.5)
    two_bits = torch.randint(0, 4, (3, 40, 9, 8)) * torch.tensor(1 / 3)
    x = two_bits if kind == "two bits" else INPUTS[kind](3, 40, 9, 8)
    g = torch.randn(3, 33, 5, 4)
    with record.recorded(layer) as ran, native.rounded_as("float32"):
        y, dx, dw = run(layer, x, g)
    real = "avx512" if kernel == "amx" else kernel  # a matrix unit has no float32
    assert [one.by.split()[0] for one in ran] == [kernel, real, real]
    exact = F.conv2d(x.double(), layer.binary_weight.double(), None, 2, 1)
    their_y, their_dx, their_dw = by_torch(layer, x, g)
    assert relative(y.double(), exact) <= 2 * relative(their_y.double(), exact) + 2**-23
    assert relative(dx, their_dx) < 2**-18
    assert relative(dw, their_dw) < 2**-18


def test_weights_that_are_drawn_are_multiplied_as_they_were_drawn(kernel: str) -> None:
    layer = BinaryLinear(70, 40, bias=False, weight_quantizer=StochasticSign())
    x = sign(torch.randn(9, 70))
    torch.manual_seed(1)
    ours = layer(x)
    torch.manual_seed(1)
    with native.off():
        assert torch.equal(ours, layer(x))


WEIGHTS = [name for name, quantizer in QUANTIZERS.items() if "input" not in name]


@pytest.mark.parametrize("name", WEIGHTS)
def test_inference_mode_answers_what_no_grad_answers(name: str, kernel: str) -> None:
    layers: list[tuple[nn.Module, tuple[int, ...]]] = [
        (BinaryConv2d(32, 33, 3, padding=1, bias=False, weight_quantizer=name), (2, 32, 5, 6)),
        (BinaryConv2d(32, 33, 1, stride=2, bias=False, weight_quantizer=name), (2, 32, 5, 6)),
        (BinaryLinear(65, 33, bias=False, weight_quantizer=name), (3, 65)),
    ]
    with torch.inference_mode():  # whose tensors count no changes: torch refuses to say how often they were changed
        layers.append((BinaryLinear(65, 33, bias=False, weight_quantizer=name), (3, 65)))
    for layer, shape in layers:
        norm = nn.BatchNorm2d(shape[1]) if len(shape) == 4 else nn.BatchNorm1d(shape[1])
        x = sign(torch.randn(shape))
        for net, training in itertools.product((layer, Sequential(norm, SteSign(), layer)), (False, True)):
            net.train(training)
            torch.manual_seed(7)
            with torch.inference_mode():
                answer = net(x)
            torch.manual_seed(7)
            with torch.no_grad():
                assert torch.equal(answer, net(x))


def test_an_empty_batch_has_empty_answers_and_no_gradient(kernel: str) -> None:
    for layer, shape in ((BinaryConv2d(32, 33, 3, padding=1), (0, 32, 5, 6)), (BinaryLinear(65, 33), (0, 65))):
        x = torch.zeros(shape)
        assert run(layer, x)[0].shape == by_torch(layer, x)[0].shape
        assert not run(layer, x)[2].any()


def test_one_dimension_is_an_image_of_one_row(kernel: str) -> None:
    layer = BinaryConv1d(33, 40, 5, 2, 2, 2, bias=True, pad_value=-1)
    nn.init.normal_(layer.bias)
    x = sign(torch.randn(3, 33, 41))
    with native.rounded_as("float32"):
        ours = run(layer, x)
    for mine, theirs in zip(ours, by_torch(layer, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(5, 40, 70, 9, 9, 1), (3, 3, 40, 30, 11, 2), (6, 96, 64, 1, 1, 1)], ids=str)
def test_results_do_not_depend_on_the_number_of_threads(size: tuple[int, ...], mode: str, kernel: str) -> None:
    images, channels, filters, height, width, stride = size
    layer = BinaryConv2d(channels, filters, 3, stride, padding=1, bias=False)
    x = sign(torch.randn(images, channels, height, width))
    g = torch.randn_like(layer(x))
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            torch.manual_seed(3)
            with native.rounded_as(mode):
                found.append(run(layer, x, g))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("mode", ["int8", "6", "2", "1"])
@pytest.mark.parametrize("quantizer", ["identity_sign", ScaledSign("paper")], ids=["signs", "scaled"])
def test_gradients_rounded_at_random_are_unbiased(mode: str, quantizer: str | nn.Module, kernel: str) -> None:
    """Of every gradient number the mean over 300 draws, in its own standard errors.

    Without bias these are t-distributed; that one of the 2,900 exceeds 6.5 happens in one run of a million (and draws
    are fixed by a seed). A bias of a tenth of a step would show in most of them at once: their mean square is checked.
    """
    draws = 300
    layer = BinaryConv2d(8, 12, 3, 2, 1, bias=False, weight_quantizer=quantizer)  # type: ignore[arg-type]
    x, g = sign(torch.randn(4, 8, 8, 8)), torch.randn(4, 12, 4, 4)
    exact = [value.double() for value in by_torch(layer, x, g)[1:]]
    with native.rounded_as(mode):
        found = [[value.double() for value in run(layer, x, g)[1:]] for _ in range(draws)]
    for which, true in enumerate(exact):
        sample = torch.stack([one[which] for one in found])
        error = sample.std(0) / math.sqrt(draws)
        assert (error > 0).float().mean() > 0.9
        z = ((sample.mean(0) - true) / error)[error > 0]
        assert z.abs().max() < 6.5
        # The mean of n squares around 1, dependent ones: at most each 100 are as good as one.
        assert abs(z.square().mean() - 1) < 6 * math.sqrt(2 / (len(z) / 20))


def test_gradients_rounded_to_bfloat16_lean_to_no_side(kernel: str) -> None:
    """Over 4,000 gradients that are drawn anew the errors of a sum have mean 0 within 6 standard errors."""
    layer, x = BinaryLinear(70, 33, bias=False), sign(torch.randn(4000, 70))
    g = torch.randn(4000, 33)
    with native.rounded_as("bf16"):
        _, dx, _ = run(layer, x, g)
    error = dx.double() - g.double() @ layer.binary_weight.double()
    z = error.mean(0) / (error.std(0) / math.sqrt(len(error)))
    assert z.abs().max() < 6


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_finite_in_a_gradient_comes_out(mode: str, kernel: str) -> None:
    layer, x = BinaryConv2d(16, 16, 3, padding=1, bias=False), sign(torch.randn(2, 16, 5, 5))
    for bad in (math.nan, math.inf):
        g = torch.randn(2, 16, 5, 5)
        g[1, 3, 2, 2] = bad
        with native.rounded_as(mode):
            _, dx, dw = run(layer, x, g)
        assert not dx[1, :, 1:4, 1:4].isfinite().any()
        assert dx[0].isfinite().all()
        assert not dw[3].isfinite().all()
        assert dw[2].isfinite().all()


@pytest.mark.parametrize("mode", MODES)
def test_a_gradient_of_zeros_stays_zero(mode: str, kernel: str) -> None:
    layer, x = BinaryConv2d(16, 16, 3, padding=1, bias=False), sign(torch.randn(2, 16, 5, 5))
    with native.rounded_as(mode):
        _, dx, dw = run(layer, x, torch.zeros(2, 16, 5, 5))
    assert not dx.any()
    assert not dw.any()


def test_a_nan_among_the_weights_comes_out(kernel: str) -> None:
    for layer, x in [
        (BinaryLinear(64, 32, bias=False), torch.ones(4, 64)),
        (BinaryConv2d(4, 8, 3, padding=1, bias=False, weight_quantizer=ScaledSign()), torch.ones(2, 4, 5, 5)),
    ]:
        with torch.no_grad():
            layer.weight.view(-1)[-1] = math.nan
        assert layer(x).isnan().any()
        x = torch.where(torch.arange(x.numel()).view(x.shape) == 3, math.nan, x)
        assert layer(x).isnan().any()


def test_an_input_of_signs_is_kept_as_bits(kernel: str) -> None:
    layer = BinaryConv2d(64, 16, 3, bias=False)
    memory = np.where(np.random.default_rng(0).random((2, 64, 8, 8)) < 0.5, -1, 1).astype(np.float32)
    gone = weakref.ref(memory)
    x = torch.from_numpy(memory)
    exact = by_torch(layer, x.clone())[2]
    y = layer(x)
    del x, memory
    assert gone() is None  # 32 KB of float32, of which 1 KB stays
    y.sum().backward()
    torch.testing.assert_close(layer.weight.grad, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("change", ["hook", "replaced"])
def test_whoever_listens_to_the_quantizer_of_weights_is_heard(change: str, kernel: str) -> None:
    layer, x = BinaryLinear(64, 32, bias=False), sign(torch.randn(8, 64))
    assert layer.weight_quantizer is not None
    if change == "hook":
        layer.weight_quantizer.register_forward_hook(lambda module, given, made: 0.5 * made)
    else:
        layer.weight_quantizer.value = lambda weight: 0.5 * sign(weight)  # type: ignore[method-assign]
    for ours, theirs in zip(run(layer, x), by_torch(layer, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2**-7, atol=0.05)


def test_a_real_input_that_was_changed_after_the_product_is_torchs_error(kernel: str) -> None:
    layer = BinaryConv2d(8, 16, 3, 2, bias=False)
    x = torch.randn(2, 8, 9, 9).to(memory_format=torch.channels_last).requires_grad_() * 1.0
    y = layer(x)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_second_derivatives_are_torchs(kernel: str) -> None:
    layer = BinaryConv2d(5, 6, 3, 2, 1, bias=False)
    latent = torch.randn(3, 5, 6, 6).requires_grad_()

    def seconds() -> list[Tensor]:
        x = F.hardtanh(latent) * 0 + sign(latent) + latent - latent.detach()  # ±1, and a graph behind it
        y = layer(x)
        dx, dw = torch.autograd.grad(y.square().sum(), (x, layer.weight), create_graph=True)
        return list(torch.autograd.grad(dx.square().sum() + dw.square().sum(), (latent, layer.weight)))

    with native.rounded_as("float32"):
        ours = seconds()
    with native.off():
        for mine, theirs in zip(ours, seconds(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-2)


def test_what_is_left_to_torch_says_why(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "FEWEST", 8)
    ternary = TtqTernary()
    with torch.no_grad():
        ternary.negative.fill_(0.7)
    net = nn.Sequential(
        BinaryConv2d(8, 8, 1, weight_quantizer=None),
        BinaryConv2d(8, 8, 1, groups=8),
        BinaryConv2d(8, 8, 1, weight_quantizer=ternary),
        BinaryConv2d(8, 8, 1, 2),
    )
    x = sign(torch.randn(2, 8, 4, 4))
    why = []
    for layer in net:
        with record.recorded(layer) as ran:
            layer(x)
        why.append(ran[0].by)
    assert why == [
        "torch float32: its weights are real",
        "torch float32: groups of 1 channels and 1 filters fill no vector",
        "torch float32: its weights are no small integers times a scale for each filter",
        "avx512 bits" if kernel == "amx" else f"{kernel} bits",  # of 8 channels a tile were mostly zeros
    ]
    with record.recorded(net[3]) as ran:
        net[3](torch.randn(2, 8, 4, 4))
    assert ran[0].by == "torch float32: its input is real"


@pytest.mark.skipif("amx" not in native.RUNS, reason="no matrix unit in this CPU")
@pytest.mark.parametrize("quantizer", ["identity_sign", ScaledSign(), TwnTernary(), DorefaWeight(2)], ids=str)
@pytest.mark.parametrize(
    "net",  # channels, filters, size, stride, padding, dilation, groups, pad_value
    [
        (33, 64, 3, 2, 1, 1, 1, 0),
        (64, 17, 1, 2, 0, 1, 1, 0),
        (65, 32, 1, 1, 0, 1, 1, 0),
        (48, 64, 3, 1, 2, 2, 1, -1),
        (64, 64, 3, 1, 1, 1, 2, 0),
        (31, 63, (1, 4), 1, 0, 1, 1, 0),
        (16, 16, 5, 3, 2, 1, 1, 1),
        (40, 48, 3, 1, 1, 1, 1, 0),  # signs, with a scale or without: bands
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [1, 37])
@pytest.mark.parametrize("mode", ["bf16", "int8"])
def test_the_matrix_unit_takes_every_geometry_and_answers_what_avx512_answers(
    mode: str, batch: int, net: tuple[int, ...], quantizer: str | nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels, filters, size, stride, padding, dilation, groups, pad_value = net
    layer = BinaryConv2d(
        channels,
        filters,
        size,
        stride,
        padding,
        dilation,
        groups,
        bias=False,
        pad_value=pad_value,
        weight_quantizer=quantizer,  # type: ignore[arg-type]
    )
    nn.init.normal_(layer.weight, std=0.5)
    x = sign(torch.randn(batch, channels, 9, 10))
    g = torch.randn_like(layer(x))
    found = []
    for kernel in ("amx", "avx512"):
        monkeypatch.setattr(native, "_kernel", kernel)
        torch.manual_seed(5)  # the rounding's
        with record.recorded(layer) as ran, native.rounded_as(mode):
            found.append(run(layer, x, g))
        assert {one.by.split()[0] for one in ran} == {kernel}
    (y, dx, dw), (their_y, their_dx, their_dw) = found
    assert torch.equal(y, their_y)
    if mode == "int8":
        assert torch.equal(dx, their_dx)  # sums of integers, and the same draws
        assert torch.equal(dw, their_dw)
    assert relative(dx, their_dx) < 2**-16  # the same bfloat16 numbers, added up in another order
    assert relative(dw, their_dw) < 2**-16


def test_every_kernel_is_forced_by_its_name() -> None:
    assert set(native.RUNS) <= set(native.KERNELS)
    assert native.RUNS[-1] == "portable"
