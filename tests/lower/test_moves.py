"""Slices, shuffles, paddings, enlargements, concatenations and gates: lowered to what torch computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from binarynet.errors import LoweringError
from binarynet.graph.ir import Add, Apply, Concat, Mul, Take
from binarynet.lower import lower
from binarynet.nn import BinaryConv2d, BinaryConvTranspose2d, BinaryLinear, ByteInput, SteSign
from tests.lower.models import settle
from tests.lower.test_truth import same


class Between(nn.Module):
    """Bytes – product – norm – the step – sign – product: what a step makes of accumulators, reals or ±1."""

    def __init__(self, step: Callable[[Tensor], Tensor], channels: int, kind: str, size: int = 4) -> None:
        super().__init__()
        self.first = nn.Sequential(ByteInput(), BinaryConv2d(2, 8, 3, padding=1, bias=False))
        self.norm = nn.BatchNorm2d(8) if kind != "sums" else nn.Identity()
        self.sign = SteSign() if kind == "signs" else nn.Identity()
        self.step, self.size = step, size
        self.last = BinaryConv2d(channels, 5, 3, padding=1, input_quantizer=None if kind == "signs" else "ste_sign")

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.step(self.sign(self.norm(self.first(x)))))


def shuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


STEPS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "a channel slice": (lambda x: x[:, 2:7], 5),
    "a stride": (lambda x: x[:, :, ::2, 1::2], 8),
    "every third channel": (lambda x: x[:, ::3], 3),
    "one channel kept": (lambda x: x[:, 3:4], 1),
    "a selected channel": (lambda x: x[:, 3].unsqueeze(1), 1),
    "an index": (lambda x: x[:, [7, 0, 0, 3]], 4),
    "index_select": (lambda x: x.index_select(1, torch.tensor([1, 5])), 2),
    "flip": (lambda x: x.flip(1, 3), 8),
    "roll": (lambda x: torch.roll(x, (1, -1), (1, 2)), 8),
    "repeat": (lambda x: x.repeat(1, 2, 1, 1), 16),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, dim=1), 16),
    "a channel shuffle": (shuffled, 8),
    "F.channel_shuffle": (lambda x: F.channel_shuffle(x, 4), 8),
    "chunk": (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), 8),
    "split": (lambda x: torch.cat([x.split([1, 5, 2], 1)[k] for k in (2, 0)], 1), 3),
    "unbind": (lambda x: torch.cat([one.unsqueeze(1) for one in x.unbind(1)[::2]], 1), 4),
    "upsampling": (nn.Upsample(scale_factor=2), 8),
    "uneven upsampling": (lambda x: F.interpolate(x, (5, 7)), 8),
    "PixelShuffle": (nn.PixelShuffle(2), 2),
    "PixelUnshuffle": (nn.PixelUnshuffle(2), 32),
    "reflection": (lambda x: F.pad(x, (1, 1, 2, 0), mode="reflect"), 8),
    "replication": (lambda x: F.pad(x, (1, 1, 2, 0), mode="replicate"), 8),
    "cat": (lambda x: torch.cat([x, x[:, :3], -x], 1), 19),
    "cat of rows": (lambda x: torch.cat([x, x[:, :, 1:]], 2), 8),
    "stacked parts": (lambda x: torch.stack([x[:, 0::2], x[:, 1::2]], 2).flatten(1, 2), 8),
}
ZEROS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "channels padded": (lambda x: F.pad(x, (0, 0, 0, 0, 3, 2)), 13),
    "option A": (lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4)), 16),
    "pads that are pooled": (lambda x: F.max_pool2d(F.pad(x, (1, 0, 0, 2)), 2), 8),
    "cut off by a pad": (lambda x: F.pad(x, (-1, 0, 0, -1)), 8),
}


@pytest.mark.parametrize("kind", ["sums", "reals", "signs"])
@pytest.mark.parametrize("name", [*STEPS, *ZEROS])
def test_what_moves_numbers_lowers(name, kind):
    step, channels = {**STEPS, **ZEROS}[name]
    allow = {"allow_real": True} if kind == "signs" and name in ("PixelShuffle", "cat") else {}
    same(settle(Between(step, channels, kind), 3, spread=60), (2, 4, 4), **allow)


@pytest.mark.parametrize("name", ["a channel shuffle", "a stride", "flip", "every third channel"])
def test_what_chooses_axes_apart_is_one_take(name):
    step, channels = STEPS[name]
    graph = lower(settle(Between(step, channels, "signs"), 3, spread=60), (2, 4, 4))
    assert [type(op) for op in graph.ops].count(Take) == 1
    assert not any(isinstance(op, Add | Concat) for op in graph.ops)


class Gate(nn.Module):
    """Squeeze-and-excitation, with the products of its gate in float32."""

    def __init__(self, squash: nn.Module, image: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(ByteInput(), BinaryConv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        kind: Callable[[int, int], nn.Module] = (lambda a, b: nn.Conv2d(a, b, 1)) if image else nn.Linear
        self.gate = nn.Sequential(kind(8, 3), nn.ReLU(), kind(3, 8), squash)
        self.image = image
        self.last = BinaryConv2d(8, 5, 3, input_quantizer="ste_sign")

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.image:
            return self.last(x * self.gate(F.adaptive_avg_pool2d(x, 1)) - 0.5)
        return self.last(x * self.gate(x.mean((2, 3))).view(len(x), -1, 1, 1).expand_as(x) - 0.5)


@pytest.mark.parametrize("image", [True, False])
@pytest.mark.parametrize("squash", [nn.Sigmoid(), nn.Hardsigmoid(), nn.Tanh()], ids=lambda one: type(one).__name__)
def test_squeeze_and_excitation_lowers(squash, image):
    graph = same(settle(Gate(squash, image), 5, spread=60), (2, 4, 4), allow_real=True)
    assert any(isinstance(op, Mul) for op in graph.ops)
    assert any(isinstance(op, Apply) for op in graph.ops) == (not isinstance(squash, nn.Hardsigmoid))


SMOOTH = [nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.GELU(approximate="tanh"), nn.Sigmoid(), nn.Tanh(), nn.Hardsigmoid()]


@pytest.mark.parametrize("activation", SMOOTH, ids=str)
def test_a_smooth_activation_that_is_read_as_a_real_lowers(activation):
    model = nn.Sequential(ByteInput(), BinaryConv2d(2, 8, 3), nn.BatchNorm2d(8), activation)
    same(settle(model, 6, spread=60), (2, 4, 4))


@pytest.mark.parametrize("activation", [nn.Sigmoid(), nn.Tanh(), nn.Hardsigmoid()], ids=str)
def test_one_that_never_turns_back_is_part_of_the_threshold_behind_it(activation):
    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(activation(x) >= 0.5, 1.0, -1.0)

    model = nn.Sequential(ByteInput(), BinaryConv2d(2, 8, 3), nn.BatchNorm2d(8), Half(), BinaryConv2d(8, 2, 1))
    graph = same(settle(model, 6, spread=60), (2, 4, 4))
    assert {type(op).__name__ for op in graph.ops[:-1]} == {"Input", "Conv2d", "Threshold"}


@pytest.mark.parametrize("more", [{}, {"stride": 2}, {"stride": 2, "padding": 1, "output_padding": 1}, {"stride": 3}])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_of_signs_lowers_to_integers(more, groups):
    layer = BinaryConvTranspose2d(8, 6, 3, groups=groups, **more, input_quantizer="ste_sign")
    model = nn.Sequential(ByteInput(), BinaryConv2d(2, 8, 3), nn.BatchNorm2d(8), layer)
    graph = same(settle(model, 7, spread=60), (2, 5, 5))
    assert graph.ops[-2].weight_encoding == "b1" if graph.ops[-1].__class__.__name__ == "Affine" else True


def test_pools_that_hang_over_the_border_and_that_enlarge_lower():
    for pool in (nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(2, 2, padding=1, ceil_mode=True)):
        same(settle(Between(pool, 8, "reals"), 8, spread=60), (2, 6, 6))
    same(settle(Between(nn.AdaptiveAvgPool2d(8), 8, "reals"), 8, spread=60), (2, 4, 4))


def test_vectors_are_cut_joined_and_gated():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(ByteInput(), BinaryLinear(12, 10), nn.BatchNorm1d(10))
            self.second = BinaryLinear(13, 4, input_quantizer="ste_sign")

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            a, b = x.chunk(2, 1)
            y = torch.cat([a * torch.sigmoid(b), x[:, ::4], b.flip(1)], 1)
            return self.second(y)

    same(settle(Net(), 9, spread=60), (12,))


def test_a_flattened_image_is_joined_and_cut():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(ByteInput(), BinaryConv2d(2, 3, 3), nn.BatchNorm2d(3))
            self.second = BinaryLinear(12 + 5 + 3, 4, input_quantizer="ste_sign")

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            flat = x.flatten(1)
            return self.second(torch.cat([flat, flat[:, 3:8], x[:, :, 0, 1]], 1))

    same(settle(Net(), 10, spread=60), (2, 4, 4))


def test_what_mixes_the_images_of_a_batch_is_refused():
    for step in (lambda x: x.flip(0), lambda x: torch.cat([x, x], 0), lambda x: x.transpose(0, 1)):
        with pytest.raises(LoweringError, match=r"batch|images"):
            lower(settle(Between(step, 8, "reals"), 3, spread=60), (2, 4, 4))


class Lstm(nn.Module):
    """Steps of an LSTM, unrolled, whose weights and states are ±1 where they meet."""

    def __init__(self, inputs: int, hidden: int, steps: int) -> None:
        super().__init__()
        self.byte, self.hidden, self.steps = ByteInput(), hidden, steps
        self.of_input = BinaryLinear(inputs, 4 * hidden)
        self.of_state = BinaryLinear(hidden, 4 * hidden, input_quantizer="ste_sign")
        self.last = BinaryLinear(hidden, 5, input_quantizer="ste_sign")

    def forward(self, x: Tensor) -> Tensor:
        x = self.byte(x)
        cell = state = None
        for one in x.chunk(self.steps, 1):
            gates = self.of_input(one) / 255
            if state is not None:
                gates = gates + self.of_state(state)
            i, f, g, o = (gates / 8).chunk(4, 1)
            new = torch.sigmoid(i) * torch.tanh(g)
            cell = new if cell is None else torch.sigmoid(f) * cell + new
            state = torch.sigmoid(o) * torch.tanh(cell)
        return self.last(state)


def test_unrolled_steps_of_an_lstm_lower():
    torch.manual_seed(4)
    graph = same(Lstm(7, 9, 3).eval(), (21,))
    assert [type(op) for op in graph.ops].count(Apply) == 3 * 5 - 1
