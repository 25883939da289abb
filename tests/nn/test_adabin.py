"""AdaBin's pairs: values and gradients by the formulas, and exact graphs, at the borders too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from binarynet.errors import InputError
from binarynet.fold.pairs import _border, pairs
from binarynet.graph import Graph
from binarynet.graph.ir import Conv2d, Linear, window_output
from binarynet.lower import lower
from binarynet.nn import BinaryConv1d, BinaryConv2d, BinaryLinear, ByteInput
from binarynet.nn.quantizers import AdaBinActivation, AdaBinWeight, DorefaActivation, Quantizer, SteSign
from binarynet.runtime import Session


def activation(alpha: float, beta: float) -> AdaBinActivation:
    made = AdaBinActivation()
    with torch.no_grad():
        made.alpha.fill_(alpha)
        made.beta.fill_(beta)
    return made


def test_weights_have_the_mean_and_the_deviation_of_their_filter() -> None:
    x = torch.randn(5, 3, 3, 3, dtype=torch.float64) + torch.randn(5, 1, 1, 1, dtype=torch.float64)
    found = AdaBinWeight()(x)
    mean, deviation = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(found, torch.where(x >= mean, mean + deviation, mean - deviation))
    torch.testing.assert_close(AdaBinWeight().pair(x), (deviation, mean))
    assert torch.equal(AdaBinWeight()(torch.full((2, 3), 0.25)), torch.full((2, 3), 0.25))
    with pytest.raises(InputError, match="takes filters"):
        AdaBinWeight()(torch.ones(3))
    with pytest.raises(InputError, match="centre that is not 0"):
        AdaBinWeight().integers(x)


def test_the_gradient_of_weights_passes_centre_deviation_and_the_decayed_sign() -> None:
    torch.manual_seed(3)
    x, g, t = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64), 2.0
    leaf = x.clone().requires_grad_()
    AdaBinWeight(t)(leaf).backward(g)
    assert leaf.grad is not None
    # by hand: α = |x − β| / √n, ŵ = (x − β) / α
    n = x.shape[1]
    beta = x.mean(1, keepdim=True)
    alpha = (x - beta).square().mean(1, keepdim=True).sqrt()
    standard = (x - beta) / alpha
    through = alpha * g * t * (1 - torch.tanh(t * standard).square())  # dC/dŵ
    centred = (through - through.mean(1, keepdim=True)) / alpha
    centred -= standard * (through * standard).mean(1, keepdim=True) / alpha
    spread = standard / n * (g * torch.where(x >= beta, 1.0, -1.0)).sum(1, keepdim=True)
    torch.testing.assert_close(leaf.grad, centred + spread + g.mean(1, keepdim=True))


def test_activations_are_two_numbers_and_learn_both() -> None:
    quantizer, x = activation(0.5, 0.25), torch.tensor([-3.0, -0.25, 0.0, 0.25, 0.5, 0.75, 3.0], requires_grad=True)
    g = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    y = quantizer(x)
    assert y.tolist() == [-0.25, -0.25, -0.25, 0.75, 0.75, 0.75, 0.75]
    assert torch.equal(y, quantizer.value(x))
    y.backward(g)
    u = (x.detach() - 0.25) / 0.5
    inside = (u.abs() <= 1).float()
    assert torch.equal(x.grad, g * inside)
    torch.testing.assert_close(quantizer.beta.grad, ((1 - inside) * g).sum())
    torch.testing.assert_close(quantizer.alpha.grad, ((torch.where(u >= 0, 1.0, -1.0) - inside * u) * g).sum())
    with pytest.raises(InputError, match=r"centre 0\.25"):
        quantizer.integers(x)


def net(weight: Quantizer, read: Quantizer, **conv: int) -> nn.Module:
    torch.manual_seed(5)
    made = nn.Sequential(
        BinaryConv2d(3, 6, 3, padding=1, bias=False, input_quantizer=ByteInput()),
        nn.BatchNorm2d(6),
        BinaryConv2d(6, 6, input_quantizer=read, weight_quantizer=weight, **conv),
        nn.BatchNorm2d(6),
        BinaryConv2d(6, 4, 1, input_quantizer="ste_sign"),
    ).eval()
    with torch.no_grad():
        made[0].weight.normal_()
        made[2].bias.uniform_(-1, 1)
        made[1].running_mean.uniform_(-500, 500)
        made[1].running_var.uniform_(1e5, 9e5)
        made[3].running_mean.uniform_(-3, 3)
        made[3].weight.uniform_(-1, 1)
    return made


def assert_equal(model: nn.Module, shape: tuple[int, ...], images: int = 200) -> Graph:
    """The numbers of torch, of the oracle and of every step of the engine, with ==."""
    graph = lower(model, shape)  # no real product is allowed
    x = torch.randint(0, 256, (images, *shape), dtype=torch.uint8)
    with torch.no_grad():
        wanted = model(x).numpy()
    for engine in ("native", "oracle"):
        np.testing.assert_array_equal(Session(graph, engine=engine).run(x.numpy(), layout="nchw"), wanted)
    return graph


@pytest.mark.parametrize("weight", [AdaBinWeight, SteSign], ids=["pairs", "signs"])
@pytest.mark.parametrize(
    "beta", [-0.31, 0.7, 0.0, 1.4]
)  # 0 lies between the codes; is one; lies in the middle; outside
@pytest.mark.parametrize(
    "conv",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 2, "stride": 2, "dilation": 2},
        {"kernel_size": 3, "padding": 1, "groups": 2},
        {"kernel_size": 3, "padding": 1, "groups": 6, "stride": 2},
        {"kernel_size": 1, "padding": 1},
        {"kernel_size": 3},
    ],
    ids=str,
)
def test_networks_of_pairs_lower_exactly(weight: type[Quantizer], beta: float, conv: dict[str, int]) -> None:
    graph = assert_equal(net(weight(), activation(0.7, beta), **conv), (3, 5, 6))
    assert all(op.weight_encoding == "b1" for op in graph.ops if isinstance(op, Conv2d | Linear))


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def each(*numbers: float) -> Tensor:
    return torch.tensor(numbers).reshape(-1, 1, 1)


UNITS, CENTRES = each(1, 2, 3, 0.5, 0.25, 0.7), each(0.1, 0, -0.3, 0.2, 1, 0.5)
# What is read, and the layer that reads it: 0 is put around codes that have none.
BORDERS: dict[str, Callable[[], list[nn.Module]]] = {
    "padded before": lambda: [
        activation(0.7, -0.31),
        nn.ZeroPad2d((1, 2, 0, 1)),
        BinaryConv2d(6, 5, 3, padding=1, weight_quantizer="adabin_weight"),
    ],
    "padded with a code": lambda: [
        activation(0.5, 0.5),
        Function(lambda x: nn.functional.pad(x, (1, 1, 1, 1), value=1.0)),
        BinaryConv2d(6, 5, 3, weight_quantizer="adabin_weight"),
    ],
    "two bits moved aside": lambda: [
        DorefaActivation(2),
        Function(lambda x: x - 0.2),
        BinaryConv2d(6, 5, 3, padding=1),
    ],
    "three bits, ternary weights": lambda: [
        DorefaActivation(3),
        Function(lambda x: x * 3 + 0.1),
        BinaryConv2d(6, 5, 3, padding=1, weight_quantizer="twn"),
    ],
    "a unit and a centre of each channel": lambda: [
        DorefaActivation(2),
        Function(lambda x: x * UNITS + CENTRES),
        BinaryConv2d(6, 12, 3, padding=1, groups=6, weight_quantizer="adabin_weight"),
    ],
    "other numbers outside": lambda: [
        BinaryConv2d(6, 5, 3, padding=1, pad_value=1, input_quantizer="ste_sign", weight_quantizer="adabin_weight")
    ],
}


@pytest.mark.parametrize("border", BORDERS)
def test_a_zero_between_two_codes_is_exact_whoever_pads(border: str) -> None:
    torch.manual_seed(8)
    middle = BORDERS[border]()
    out = middle[-1].out_channels
    layers = [
        BinaryConv2d(3, 6, 3, padding=1, input_quantizer=ByteInput()),
        nn.BatchNorm2d(6),
        *middle,
        nn.BatchNorm2d(out),
        BinaryConv2d(out, 3, 1, input_quantizer="ste_sign"),
    ]
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        for norm, spread in ((layers[1], 500.0), (layers[-2], 3.0)):
            norm.running_mean.uniform_(-spread, spread)
            norm.running_var.uniform_(spread, spread**2)
            norm.weight.normal_()
            norm.bias.normal_()
    assert_equal(model, (3, 6, 7))


def test_rows_of_pairs_lower_exactly() -> None:
    torch.manual_seed(9)
    model = nn.Sequential(
        BinaryConv1d(2, 6, 3, padding=1, input_quantizer=ByteInput()),
        nn.BatchNorm1d(6),
        BinaryConv1d(
            6, 5, 5, stride=2, padding=2, input_quantizer=activation(0.7, -0.31), weight_quantizer="adabin_weight"
        ),
        nn.BatchNorm1d(5),
        BinaryConv1d(5, 3, 3, padding=1, input_quantizer="ste_sign"),
    ).eval()
    with torch.no_grad():
        model[1].running_var.fill_(9e4)
        model[3].running_mean.uniform_(-3, 3)
    graph = lower(model, (2, 11))
    x = torch.randint(0, 256, (200, 2, 11), dtype=torch.uint8)
    with torch.no_grad():
        wanted = model(x).numpy()
    np.testing.assert_array_equal(Session(graph).run(x.numpy(), layout="nchw")[:, :, 0], wanted)


def test_dense_layers_of_pairs_lower_exactly() -> None:
    torch.manual_seed(6)
    read = activation(0.4, 0.3)
    layers = [
        nn.Flatten(),
        BinaryLinear(24, 65, input_quantizer=ByteInput()),
        nn.BatchNorm1d(65),
        BinaryLinear(65, 9, input_quantizer=read, weight_quantizer="adabin_weight"),
        nn.BatchNorm1d(9),
        BinaryLinear(9, 4, input_quantizer="ste_sign"),
    ]
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        model[2].running_var.fill_(1e5)
        model[4].running_mean.uniform_(-3, 3)
        model[4].running_var.fill_(4)
    graph = assert_equal(model, (1, 4, 6))
    assert [op.weight_shape for op in graph.ops if isinstance(op, Linear)] == [(65, 24), (10, 65), (4, 9)]


def test_the_image_of_ones_is_no_larger_than_its_borders() -> None:
    graph = lower(net(AdaBinWeight(), activation(0.7, 0.1), kernel_size=3, padding=1), (3, 20, 20))
    values = {op.name: op for op in graph.ops}
    (inside,) = (op for name, op in values.items() if name.endswith(".inside"))
    assert (len(inside.rows), len(inside.columns)) == (3, 3)
    for axis in [(size, k, s, d, pad) for size in range(1, 9) for k in (1, 2, 3) for s in (1, 2, 3) for d in (1, 2)
                 for pad in ((0, 0), (1, 0), (2, 1))]:  # fmt: skip
        size, kernel, stride, dilation, padding = axis
        if window_output(*axis) < 1:
            continue
        length, which = _border(*axis)
        assert length <= size
        for k, other in enumerate(which):
            taps = [k * stride - padding[0] + i * dilation for i in range(kernel)]
            others = [other * stride - padding[0] + i * dilation for i in range(kernel)]
            assert [0 <= tap < size for tap in taps] == [0 <= tap < length for tap in others]


def test_filters_of_one_number_and_of_three_are_told_apart() -> None:
    found = pairs(np.array([[0.5, 0.5], [0.25, -0.5]], np.float32))
    assert found is not None
    assert found.signs.tolist() == [[1, 1], [1, -1]]
    assert (found.spread.tolist(), found.centre.tolist()) == ([0, 0.375], [0.5, -0.125])
    assert pairs(np.array([[0.5, 0.25, 0.0]], np.float32)) is None


def test_a_step_of_training_moves_everything() -> None:
    model = net(AdaBinWeight(), AdaBinActivation(), kernel_size=3, padding=1).train()
    x: Tensor = torch.randint(0, 256, (8, 3, 5, 6), dtype=torch.uint8)
    model(x).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model[2].input_quantizer.alpha.grad != 0
