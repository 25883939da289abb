"""`Sequential`: whatever it takes together trains as torch's layers do one after the other."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from binarynet.nn import Sequential, SteSign, StochasticSign, native
from binarynet.nn.fused.sequential import fused

pytestmark = pytest.mark.skipif(native.engine is None, reason="the extension binarynet._training is not built")

# n, c or n, c, h, w: one channel, odd numbers, more than a part of rows and of channels.
ROWS = [(2, 1), (3, 7), (129, 65), (300, 257)]
IMAGES = [(1, 1, 2, 2), (2, 3, 4, 6), (5, 33, 8, 8), (1, 130, 16, 18)]


@pytest.fixture(autouse=True)
def every_size_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "ELEMENTS", 0)


def norm(shape: tuple[int, ...]) -> nn.Module:
    layer = nn.BatchNorm1d(shape[1]) if len(shape) == 2 else nn.BatchNorm2d(shape[1])
    with torch.no_grad():
        layer.weight.normal_()
        layer.weight[0] = 0
        layer.bias.normal_()
    return layer


def values(shape: tuple[int, ...]) -> Tensor:
    x = 30 * torch.randn(shape) + 1000 * torch.randn(1, shape[1], *(1,) * (len(shape) - 2))
    return x if len(shape) == 2 else x.contiguous(memory_format=torch.channels_last)


def trained(layers: nn.Sequential, x: Tensor, g: Tensor) -> dict[str, Tensor]:
    """What one forward and backward pass leaves."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = layers(x)
    y.backward(g)
    assert x.grad is not None
    left = {"y": y.detach(), "dx": x.grad} | dict(layers.named_buffers())
    return left | {f"d{name}": p.grad for name, p in layers.named_parameters() if p.grad is not None}


def both(layers: list[nn.Module], x: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """By us, and by torch in float64."""
    theirs = nn.Sequential(*copy.deepcopy(layers)).double()
    with native.off():
        g = torch.randn_like(nn.Sequential(*copy.deepcopy(layers))(x))
    return trained(Sequential(*layers), x, g), trained(theirs, x.double(), g.double())


def assert_near(ours: dict[str, Tensor], theirs: dict[str, Tensor], relative: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        error = (value.double() - theirs[name].double()).norm() / theirs[name].double().norm().clamp_min(1e-3)
        assert error <= relative, f"{name}: {error:g}"


@pytest.mark.parametrize("shape", ROWS + IMAGES, ids=str)
def test_a_norm_alone_is_as_precise_as_float32(shape: tuple[int, ...]) -> None:
    torch.manual_seed(len(shape) + shape[1])
    # Values lie 1000 from 0 with a deviation of 30: a unit in the last place of x is 2^-24 · 1000 / 30 of z.
    assert_near(*both([norm(shape)], values(shape)), relative=2**-16)


@pytest.mark.parametrize("clip", [1.0, 1.25])
@pytest.mark.parametrize("shape", [shape for shape in ROWS + IMAGES if shape[0] * shape[-1] > 100], ids=str)
def test_a_norm_with_a_sign_is_the_two_one_after_the_other(shape: tuple[int, ...], clip: float) -> None:
    torch.manual_seed(shape[1])
    ours, theirs = both([norm(shape), SteSign(clip)], values(shape))
    # A number so near to 0 or the window's border that float32 and float64 disagree about it would show here.
    assert torch.equal(ours["y"].double(), theirs["y"])
    assert_near(ours, theirs, relative=2**-14)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (3, 5, 4, 6), (2, 33, 16, 8)], ids=str)
def test_a_pool_gives_the_bits_of_torch_and_the_gradient_to_the_first_of_equals(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randint(-2, 3, shape).float().contiguous(memory_format=torch.channels_last)  # many ties
    x[0, 0, 0, 0] = float("nan")
    ours, theirs = both([nn.MaxPool2d(2)], x)
    for name, value in ours.items():
        assert torch.equal(value.double().nan_to_num(7), theirs[name].nan_to_num(7)), name


@pytest.mark.parametrize("p", [0.2, 0.5])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (101, 333), (3, 5, 4, 6)], ids=str)
def test_a_dropout_keeps_its_share_and_its_gradient_has_the_same_places(shape: tuple[int, ...], p: float) -> None:
    torch.manual_seed(1)
    x = values(shape)
    found = trained(Sequential(nn.Dropout(p)), x, 2 * torch.ones(shape))
    kept = found["y"] != 0
    assert torch.equal(found["y"][kept], x[kept] * torch.tensor(1 / (1 - p)))
    assert torch.equal(found["dx"], kept * torch.tensor(2 / (1 - p)))
    if x.numel() > 1000:  # four standard deviations
        assert abs(kept.float().mean().item() - (1 - p)) < 4 * (p * (1 - p) / x.numel()) ** 0.5


def test_dropouts_of_one_seed_repeat_and_no_two_are_alike() -> None:
    x = torch.ones(40, 1000)
    layers = Sequential(nn.Dropout(0.5))
    torch.manual_seed(3)
    first, second = layers(x), layers(x)
    torch.manual_seed(3)
    assert torch.equal(layers(x), first)
    both = ((first != 0) & (second != 0)).float().mean()
    assert abs(both - 0.25) < 0.01
    rows = (first != 0).float()
    neighbours = (rows[:, 1:] * rows[:, :-1]).mean()
    assert abs(neighbours - 0.25) < 0.01


def test_running_statistics_follow_every_batch() -> None:
    layers, theirs = Sequential(nn.BatchNorm1d(40), SteSign()), nn.Sequential(nn.BatchNorm1d(40), SteSign())
    for _ in range(5):
        x = values((60, 40))
        layers(x)
        with native.off():
            theirs(x)
    assert_near(dict(layers.named_buffers()), dict(theirs.named_buffers()), relative=1e-6)
    assert layers[0].num_batches_tracked == 5


def test_nan_stays() -> None:
    x = values((60, 40))
    x[3, 5] = float("nan")
    y = Sequential(norm((60, 40)), SteSign())(x)
    assert y[:, 5].isnan().all()
    assert not y[:, :5].isnan().any()


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    x = values((7, 70, 16, 16))
    layers = [norm((7, 70, 1, 1)), SteSign(), nn.MaxPool2d(2), nn.Dropout(0.5)]
    found = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            torch.manual_seed(0)
            g = torch.ones(7, 70, 8, 8)
            found.append(trained(Sequential(*copy.deepcopy(layers)), x, g))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(value, other[name]) for name, value in found[0].items())


class Calls:
    """Counts what goes through it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.count = 0
        step = getattr(native.engine, name)

        def counted(*arguments: object) -> object:
            self.count += 1
            return step(*arguments)

        monkeypatch.setattr(native.engine, name, counted)


def test_it_takes_norms_only_in_training_and_signs_only_where_they_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, "norm_forward")
    x = values((60, 40))
    layers = Sequential(norm((60, 40)), StochasticSign())
    layers(x)
    assert calls.count == 1
    layers.eval()(x)
    assert calls.count == 1
    layers.train()[0].eval()  # frozen statistics
    layers(x)
    assert calls.count == 1


def test_whoever_listens_to_a_layer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, "norm_forward")
    layers = Sequential(norm((60, 40)), SteSign())
    heard: list[Tensor] = []
    layers[1].register_forward_hook(lambda layer, inputs, output: heard.append(inputs[0]))
    layers(values((60, 40)))
    assert len(heard) == 1
    layers[0].register_forward_hook(lambda layer, inputs, output: heard.append(output))
    layers(values((60, 40)))
    assert len(heard) == 3
    assert calls.count == 1


def test_a_gradient_of_the_gradient_is_torchs() -> None:
    def second(layers: nn.Sequential, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.preserve_format).requires_grad_()
        (dx,) = torch.autograd.grad(layers(x).square().sum(), x, create_graph=True)
        (ddx,) = torch.autograd.grad(dx.square().sum(), x)
        return ddx

    x = values((4, 6, 4, 4))
    layers = [norm(x.shape), nn.MaxPool2d(2)]
    ours = second(Sequential(*layers), x)
    with native.off():
        theirs = second(nn.Sequential(*layers), x)
    assert ((ours - theirs).norm() / theirs.norm()).item() < 1e-3


def test_one_value_a_channel_is_torchs_error() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        Sequential(norm((1, 5)))(values((1, 5)))


def test_the_branch_of_a_block_is_taken_together_as_a_sequence_is() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.sign = nn.BatchNorm2d(3), SteSign()

        def forward(self, x: Tensor) -> Tensor:
            return fused(x, self.norm, self.sign) + x

    x = values((2, 3, 4, 6))
    block = Block()
    ours = block(x.requires_grad_())
    assert ours.grad_fn.next_functions[0][0].name() == "_BatchNormBackward"
    with native.off():
        block.norm.reset_running_stats()
        assert torch.equal(ours.sign(), block(x).sign())


def of_integers(shape: tuple[int, ...]) -> Tensor:
    """What a product of ±1 makes."""
    x = 2 * torch.randint(-300, 300, shape).float()
    return x if x.ndim == 2 else x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("sign", [True, False])
@pytest.mark.parametrize("shape", [(300, 257), (5, 33, 8, 8)], ids=str)
def test_a_norm_of_integers_keeps_sixteen_bits_and_gives_the_bits_of_one_that_does_not(
    shape: tuple[int, ...], sign: bool
) -> None:
    torch.manual_seed(5)
    layers = [norm(shape), SteSign()] if sign else [norm(shape)]
    with torch.no_grad():
        layers[0].weight.mul_(0.01)  # so that some of it is inside the window
    x, kept = of_integers(shape), []
    whole = Sequential(*copy.deepcopy(layers))

    def saved(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    too_large = x.clone(memory_format=torch.preserve_format)
    too_large[1, 1] = 70000.0  # more than 16 bits hold
    ours, theirs = both(layers, x)
    assert_near(ours, theirs, relative=2**-14)
    with torch.autograd.graph.saved_tensors_hooks(saved, lambda tensor: tensor):
        whole(x.requires_grad_())
        assert not any(tensor.dtype == torch.float32 and tensor.numel() == x.numel() for tensor in kept)
        whole(too_large)
        assert any(tensor.dtype == torch.float32 and tensor.numel() == x.numel() for tensor in kept)


def test_the_input_of_a_norm_of_integers_is_freed() -> None:
    layers = Sequential(nn.Identity(), norm((300, 64)))
    inputs: list[Any] = []
    layers[0].register_forward_hook(lambda layer, given, answer: inputs.append(weakref.ref(answer)))
    y = layers(of_integers((300, 64)).requires_grad_() * 1)
    assert inputs[0]() is None
    y.sum().backward()


def test_a_gradient_that_somebody_holds_is_not_overwritten() -> None:
    """Where nobody does, a norm writes its gradient in its place."""
    x, g = of_integers((300, 64)), torch.randn(300, 64)
    layers = Sequential(norm((300, 64)))
    held: list[Tensor] = []

    def found(listen: Callable[[Tensor], object]) -> Tensor:
        leaf = x.clone().requires_grad_()
        y = layers(leaf)
        listen(y)
        (y * 1).backward(g)
        assert leaf.grad is not None
        return leaf.grad

    def by_node(y: Tensor) -> None:
        y.grad_fn.register_prehook(lambda grads: held.append(grads[0]))

    def view_by_node(y: Tensor) -> None:
        y.grad_fn.register_prehook(lambda grads: held.append(grads[0].view(-1)))

    expected = found(lambda y: None)
    listening: list[Callable[[Tensor], object]] = [
        lambda y: y.register_hook(held.append),
        lambda y: (y.retain_grad(), held.append(y)),
        by_node,
        view_by_node,
    ]
    for listen in listening:
        assert torch.equal(found(listen), expected)
    answers = [tensor.grad if tensor.requires_grad else tensor for tensor in held]
    assert len(answers) == 4
    assert all(torch.equal(answer.view(300, 64), g) for answer in answers if answer is not None)


def test_a_norm_whose_weight_was_stepped_before_the_backward_pass_is_an_error() -> None:
    layers = Sequential(norm((300, 64)))
    y = layers(of_integers((300, 64)).requires_grad_())
    with torch.no_grad():
        layers[0].weight.neg_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
