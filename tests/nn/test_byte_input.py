"""`ByteInput`: what the numbers of an image mean, in every type, and what is refused at the first batch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from math import inf, nan

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from binarynet.data import load
from binarynet.errors import InputError
from binarynet.graph import Encoding
from binarynet.lower import lower
from binarynet.nn import BinaryConv2d, BinaryLinear, ByteInput, SteSign, squared_hinge
from binarynet.runtime import Session
from binarynet.runtime.images import adapt

CODES = torch.arange(256)
NUMBERS = [2 * code - 255 for code in range(256)]
MNIST = {"mean": 0.1307, "std": 0.3081}
CIFAR = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)}
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    function(x).sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, *FLOATS])
def test_every_byte_is_read_exactly(dtype: torch.dtype) -> None:
    y = ByteInput()(CODES.to(dtype))
    assert y.dtype == torch.float32
    assert y.tolist() == NUMBERS
    assert torch.equal(y.bfloat16().float(), y)  # so bfloat16 autocast loses nothing


@pytest.mark.parametrize("dtype", FLOATS)
def test_intensities_are_the_bytes_that_they_came_from(dtype: torch.dtype) -> None:
    assert ByteInput()((CODES / 255).to(dtype)).tolist() == NUMBERS


def test_a_byte_is_eight_digits_of_plus_and_minus_one() -> None:
    for code in (0, 1, 127, 128, 200, 255):
        digits = [1 if code >> n & 1 else -1 for n in range(8)]
        assert ByteInput()(torch.tensor([code])).item() == sum(d << n for n, d in enumerate(digits))


def numbers_of(adapted: np.ndarray) -> list[float]:
    return (2 * adapted.astype(np.float64) - 255).ravel().tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_training_and_deployment_read_the_same_bytes(dtype: type) -> None:
    """Also between bytes, and at halves, as they are rounded in that type."""
    b8 = Encoding.parse("b8")
    random = np.random.default_rng(0)
    for x in (random.random((4, 500)), (np.arange(255)[None] + 0.5) / 255, random.integers(0, 256, (4, 50))):
        x = x.astype(dtype)
        assert ByteInput()(torch.from_numpy(x)).flatten().tolist() == numbers_of(adapt(x, x.shape[1:], b8))


REFUSED = {
    "nan": ([nan, 0.5], r"nan at \(0, 0\)"),
    "a negative number": ([0.5, -0.25], r"-0.25 at \(0, 1\) is neither.*ByteInput\(mean=…, std=…\)"),
    "infinity": ([0.5, inf], r"inf at \(0, 1\)"),
    "more than a byte": ([0.0, 256.0], r"256 at \(0, 1\)"),
    "a half among bytes": ([200.0, 0.5], r"0.5 at \(0, 1\) stands beside 200"),
    "intensities a little too large": ([0.5, 1.01], r"0.5 at \(0, 0\) stands beside 1.01"),
    "zeros and ones": ([0.0, 1.0], "bytes or intensities: pass bytes as uint8, and black and white as 255"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_means_nothing_is_refused_at_the_first_batch_in_training_and_in_deployment(what: str) -> None:
    numbers, said = REFUSED[what]
    with pytest.raises(InputError, match=said) as caught:
        ByteInput()(torch.tensor([numbers]))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        adapt(np.array([numbers]), (2,), Encoding.parse("b8"))


@pytest.mark.parametrize("numbers", [[-1, 3], [256, 3]])
def test_integers_that_are_no_bytes_are_refused(numbers: list[int]) -> None:
    with pytest.raises(InputError, match=r"at \(0,\) is no byte"):
        ByteInput()(torch.tensor(numbers))


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_types_that_hold_no_bytes_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=r"bytes 0\.\.255"):
        ByteInput()(torch.zeros(2, dtype=dtype))


def test_zeros_and_ones_mean_what_the_floats_before_them_meant() -> None:
    black_and_white = torch.tensor([[0.0, 1.0]])
    for first, numbers in ((torch.tensor([[0.3, 1.0]]), [-255, 255]), (torch.tensor([[3.0, 1.0]]), [-255, -253])):
        reads = ByteInput()
        reads(torch.zeros(1, 2))  # black, which tells nothing
        reads(first)
        for one in (reads, reads.eval(), copy.deepcopy(reads), pickle.loads(pickle.dumps(reads))):
            assert one(black_and_white).tolist() == [numbers]


def test_an_empty_batch_stays_empty() -> None:
    assert ByteInput()(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("training", [True, False])
def test_a_later_batch_is_looked_at_too(training: bool) -> None:
    reads = ByteInput().train(training)
    reads(torch.rand(3, 4))
    with pytest.raises(InputError, match="is neither"):
        reads(torch.randn(3, 4))


def test_the_gradient_is_the_derivative_of_what_was_read() -> None:
    assert gradient(ByteInput(), torch.tensor([3.0])).item() == 2
    assert gradient(ByteInput(scale=1 / 255), torch.tensor([3.0])).item() == pytest.approx(2 / 255)
    x = torch.rand(5)
    reads = ByteInput()
    assert gradient(reads, x).tolist() == [510.0] * 5
    assert reads.pseudo_gradient(x).tolist() == [510.0] * 5
    assert torch.equal(reads(x.clone().requires_grad_()), reads(x))
    normalised = (CODES[None] / 255 - 0.1307) / 0.3081
    torch.testing.assert_close(gradient(ByteInput(**MNIST), normalised), torch.ones(1, 256))


def test_scale_255_gives_minus_one_to_one() -> None:
    quantizer, codes = ByteInput(scale=1 / 255), torch.arange(256, dtype=torch.uint8)
    torch.testing.assert_close(quantizer(codes), 2 * torch.arange(256.0) / 255 - 1)
    numbers, scale = quantizer.integers(codes)
    assert numbers.tolist() == NUMBERS
    assert torch.equal(numbers * scale, quantizer(codes))


@pytest.mark.parametrize("scale", [0.0, -1.0, nan, inf])
def test_a_scale_that_loses_the_image_is_refused(scale: float) -> None:
    with pytest.raises(InputError, match="positive finite"):
        ByteInput(scale=scale)


# Normalised floats


def normalised(images: Tensor, mean: object, std: object) -> Tensor:
    """As torchvision's ToTensor and Normalize do it."""
    centre, spread = (torch.tensor(one).view(-1, 1, 1) for one in (mean, std))
    return images.float().div(255).sub(centre).div(spread)


@pytest.mark.parametrize("settings", [MNIST, CIFAR, {"mean": 0.5, "std": 0.5}, {"mean": (0.1, 0.2, 0.3), "std": 0.25}])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_bytes_and_normalised_floats_give_the_same_numbers(settings: dict, dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (7, 3, 16, 16), dtype=torch.uint8)
    images[0] = torch.arange(256).view(16, 16)
    reads, floats = ByteInput(**settings), normalised(images, **settings)
    y = reads(images)
    torch.testing.assert_close(y, floats, rtol=1e-5, atol=1e-6)
    assert torch.equal(reads(floats.to(dtype)), y)
    scale, offset = (one.view(-1, 1, 1) for one in reads.affine())
    assert torch.equal((2 * images.float() - 255) * scale + offset, y)


def test_mean_and_std_of_one_half_are_the_papers_scale() -> None:
    reads = ByteInput(mean=(0.5, 0.5), std=(0.5, 0.5))
    assert reads.scale == 1 / 255
    numbers, scale = reads.integers(torch.arange(256, dtype=torch.uint8))
    assert numbers.tolist() == NUMBERS
    assert scale.item() == pytest.approx(1 / 255)


@pytest.mark.parametrize("settings", [MNIST, CIFAR])
def test_what_is_no_multiple_of_the_integers_says_so_and_the_way_out(settings: dict) -> None:
    for ask in (lambda reads: reads.scale, lambda reads: reads.integers(torch.zeros(1, 3, dtype=torch.uint8))):
        with pytest.raises(InputError, match=r"ByteInput\(mean=.*BatchNorm behind the first layer"):
            ask(ByteInput(**settings))


@pytest.mark.parametrize("x", [torch.rand(2, 1, 5, 5), torch.randint(0, 256, (2, 1, 5, 5)).float(), torch.randn(2, 9)])
def test_other_floats_than_normalised_ones_are_refused(x: Tensor) -> None:
    with pytest.raises(InputError, match=r"is not \(byte / 255 − mean\) / std of any byte"):
        ByteInput(**MNIST)(x)


def test_channels_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="before the Flatten"):
        ByteInput(**CIFAR)(torch.zeros(2, 3072, dtype=torch.uint8))


@pytest.mark.parametrize(
    "settings",
    [
        *({"mean": 0.5}, {"std": 0.5}, {"scale": 2, **MNIST}, {"mean": nan, "std": 1}, {"mean": 0, "std": 0}),
        *({"mean": (0, 0), "std": (1, 1, 1)}, {"mean": (), "std": ()}, {"mean": (0,), "std": ()}),
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(settings: dict) -> None:
    with pytest.raises(InputError, match="ByteInput"):
        ByteInput(**settings)


@pytest.mark.parametrize(
    ("settings", "padding", "real"), [({"mean": 0.5, "std": 0.25}, 1, False), (MNIST, 0, False), (MNIST, 1, True)]
)
def test_a_lowered_model_reads_raw_bytes_as_the_trained_one_reads_normalised_floats(
    settings: dict, padding: int, real: bool
) -> None:
    torch.manual_seed(0)
    layer = BinaryConv2d(3, 8, 3, padding=padding)
    size = 8 * (6 + 2 * padding) ** 2
    model = nn.Sequential(
        ByteInput(**settings), layer, nn.BatchNorm2d(8), SteSign(), nn.Flatten(), BinaryLinear(size, 4, bias=False)
    )
    images = torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8)
    floats = normalised(images, **settings)
    model(floats)
    graph = lower(model.eval(), (3, 8, 8), allow_real=real)
    assert graph.input.encoding in ("b8", "u8")  # raw bytes
    assert np.array_equal(Session(graph).logits(images.numpy()), model(floats).detach().numpy())


# In the machinery of torch


def network(**settings: float) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), ByteInput(**settings), BinaryLinear(16, 5), nn.BatchNorm1d(5), SteSign())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_model_of_another_precision_takes_bytes_and_floats(dtype: torch.dtype) -> None:
    model, x = network().to(dtype), torch.randint(0, 256, (8, 4, 4), dtype=torch.uint8)
    assert model[1](x).dtype == dtype
    assert torch.equal(model[1](x).float(), 2 * x.float() - 255)
    assert torch.equal(model(x), model((x / 255).to(dtype)))
    assert model.float()(x).dtype == torch.float32
    assert copy.deepcopy(model.to(dtype))[1](x).dtype == dtype


def test_float16_is_refused_where_its_sums_would_overflow_and_taken_where_not() -> None:
    x = torch.randint(0, 256, (8, 4, 4), dtype=torch.uint8)
    with pytest.raises(InputError, match=r"sums of 257 bytes pass 65504.*bfloat16"):
        network().half()(x)
    assert network(scale=1 / 255).half()(x).dtype == torch.float16


def test_float_images_compile_after_a_first_batch_and_before_it_with_a_break() -> None:
    torch._dynamo.reset()
    x = torch.rand(8, 4, 4)
    reads = ByteInput()
    expected = ByteInput()(x)
    assert torch.equal(torch.compile(reads, backend="eager")(x), expected)
    assert torch.equal(torch.compile(reads, backend="eager", fullgraph=True)(x), expected)
    torch._dynamo.reset()


def test_where_numbers_cannot_be_seen_floats_mean_what_they_meant_before() -> None:
    x = torch.rand(8, 4, 4)
    reads = ByteInput()
    with pytest.raises(InputError, match="pass uint8, or run one batch before"):
        torch.func.vmap(reads)(x)
    expected = reads(x)
    assert torch.equal(torch.func.vmap(reads)(x), expected)
    program = torch.export.export(reads, (x,), strict=False)
    assert torch.equal(program.module()(x), expected)
    black = torch.full((3, 2), -0.1307 / 0.3081)
    torch.testing.assert_close(torch.func.vmap(ByteInput(**MNIST))(black), black)  # said, so nothing need be seen


def test_an_ordinary_loop_over_floats_learns_and_answers_what_bytes_do() -> None:
    data = load("digits")
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), ByteInput(), BinaryLinear(64, 256, bias=False), nn.BatchNorm1d(256), SteSign(),
        BinaryLinear(256, 10, bias=False), nn.BatchNorm1d(10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    images, labels = torch.from_numpy(data.train.images), torch.from_numpy(data.train.labels)
    floats = images.float().div(255)  # ToTensor
    for _ in range(6):
        for rows in torch.randperm(1200).view(-1, 100):
            optimizer.zero_grad()
            squared_hinge(model(floats[rows]), labels[rows]).backward()
            optimizer.step()
    model.eval()
    tests = torch.from_numpy(data.test.images)
    answers = model(tests)
    assert torch.equal(model(tests.float() / 255), answers)
    assert torch.equal(model(tests.float()), answers)
    assert (answers.argmax(1).numpy() == data.test.labels).mean() > 0.85
