"""Lowering: the graph answers what the module answers in eval mode, and says clearly what it cannot lower."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from binarynet.errors import LoweringError
from binarynet.graph import Graph, interpret
from binarynet.graph.ir import Flatten, MaxPool2d, SumPool2d, Threshold
from binarynet.lower import lower
from binarynet.lower.rules import TABLE
from binarynet.nn import QUANTIZERS, BinaryConv1d, BinaryConv2d, BinaryLinear, ByteInput, SteSign
from binarynet.nn.quantizers import signs
from tests.lower.models import bireal, images, mlp, settle


def assert_same(model: nn.Module, shape: tuple[int, ...], *, exact: bool = False) -> Graph:
    """The module's answers and the graph's: integers and bits equal, reals to float32 rounding of the last norm."""
    graph, batch = lower(model, shape), images(shape)
    with torch.no_grad():
        expected = model(batch).numpy()
    codes = batch.numpy()
    if len(graph.input.shape) == 1:
        codes = codes.reshape(len(codes), -1)
    elif codes.ndim == 3:
        codes = codes.transpose(0, 2, 1)[:, None]
    else:
        codes = codes.transpose(0, 2, 3, 1)
    answer = interpret(graph, codes)
    if answer.ndim == 4:
        answer = answer.transpose(0, 3, 1, 2).reshape(expected.shape)
    if exact:
        assert np.array_equal(answer, expected)
    else:  # one multiply and one add in float32, against torch's own order of the same
        np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)
    return graph


def test_an_mlp_lowers_to_bytes_thresholds_and_one_scale():
    graph = assert_same(settle(mlp()), (1, 5, 6))
    assert [type(op).__name__ for op in graph.ops] == ["Input", "Linear", "Threshold", "Linear", "Affine"]
    assert graph.input.encoding == "b8"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("order", ["pool-norm-sign", "norm-pool-sign", "norm-sign-pool"])
def test_pooling_in_any_order_gives_the_bits_of_torch(order, seed):
    layers = {"pool": nn.MaxPool2d(2), "norm": nn.BatchNorm2d(9), "sign": SteSign()}
    model = nn.Sequential(ByteInput(), BinaryConv2d(3, 9, 3, padding=1), *(layers[name] for name in order.split("-")))
    spread = 900 if seed else 5
    graph = assert_same(settle(model, seed, spread), (3, 8, 10), exact=True)
    assert isinstance(graph.output, MaxPool2d), "pools bits, behind the threshold"


def test_two_pools_in_a_row_both_end_behind_the_threshold():
    model = nn.Sequential(
        ByteInput(), BinaryConv2d(3, 9, 3), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.BatchNorm2d(9), SteSign()
    )
    graph = assert_same(settle(model, 3, 900), (3, 14, 14), exact=True)
    assert [type(op).__name__ for op in graph.ops[-3:]] == ["Threshold", "MaxPool2d", "MaxPool2d"]


def test_a_norm_on_each_side_of_a_pool_is_exact_with_both_signs_of_gamma():
    model = nn.Sequential(
        ByteInput(),
        BinaryConv2d(2, 8, 3),
        nn.BatchNorm2d(8),
        nn.MaxPool2d(3, 2, padding=1),
        nn.BatchNorm2d(8),
        SteSign(),
    )
    assert_same(settle(model, 1, 100), (2, 9, 9), exact=True)


@pytest.mark.parametrize("padding", [0, 1, "same", (2, 0)])
@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 2), (1, 2, 1), ((1, 2), 1, 4)])
def test_convolutions_lower_exactly(padding, pad_value, stride, dilation, groups):
    if padding == "same" and stride != 1:
        stride = 1
    hidden = BinaryConv2d(4, 8, 3, stride, padding, dilation, groups, pad_value=pad_value, input_quantizer="ste_sign")
    model = nn.Sequential(ByteInput(), BinaryConv2d(3, 4, 1), nn.BatchNorm2d(4), hidden, nn.BatchNorm2d(8), SteSign())
    assert_same(settle(model, 2, 30), (3, 8, 9), exact=True)


def test_one_dimensional_convolutions_are_images_of_height_one():
    model = nn.Sequential(
        ByteInput(),
        BinaryConv1d(2, 6, 5, padding="same", dilation=2),
        nn.MaxPool1d(2),
        nn.BatchNorm1d(6),
        SteSign(),
        nn.Flatten(),
        BinaryLinear(6 * 10, 3),
    )
    assert_same(settle(model, 0, 300), (2, 20))


def test_a_residual_net_lowers_with_adds_affines_and_float_thresholds():
    graph = assert_same(settle(bireal(), 4, 30), (3, 8, 8))
    names = [type(op).__name__ for op in graph.ops]
    assert {"Add", "Affine", "PRelu", "Relu", "SumPool2d"} <= set(names)


def test_average_pools_of_accumulators_stay_integer_sums():
    model = nn.Sequential(ByteInput(), BinaryConv2d(3, 7, 3), nn.AvgPool2d(2, stride=1), nn.BatchNorm2d(7), SteSign())
    graph = assert_same(settle(model, 5, 500), (3, 7, 7), exact=True)
    assert any(isinstance(op, SumPool2d) for op in graph.ops)


def test_flattening_an_image_keeps_each_weight_with_its_pixel():
    model = nn.Sequential(
        ByteInput(),
        BinaryConv2d(3, 5, 3),
        nn.BatchNorm2d(5),
        SteSign(),
        nn.Flatten(),
        BinaryLinear(5 * 4 * 5, 6),
    )
    with torch.no_grad():
        model[-1].bias.zero_()
    graph = assert_same(settle(model, 0, 200), (3, 6, 7), exact=True)
    assert any(isinstance(op, Flatten) for op in graph.ops)


@pytest.mark.parametrize("norm_at", ["before", "behind"])
def test_a_norm_around_a_flatten_meets_its_own_features(norm_at):
    middle = (
        [nn.BatchNorm2d(5), nn.Flatten(), SteSign()]
        if norm_at == "before"
        else [nn.Flatten(), nn.BatchNorm1d(5 * 4 * 4), SteSign()]
    )
    model = nn.Sequential(ByteInput(), BinaryConv2d(3, 5, 3), *middle, BinaryLinear(80, 3))
    assert_same(settle(model, 7, 200), (3, 6, 6))


@pytest.mark.parametrize("name", [name for name, cls in QUANTIZERS.items() if cls.__module__ == signs.__name__])
def test_every_sign_lowers_to_the_same_threshold_whatever_its_pseudo_gradient(name):
    model = nn.Sequential(
        ByteInput(),
        BinaryLinear(6, 5, bias=False, weight_quantizer=name),
        nn.BatchNorm1d(5),
        BinaryLinear(5, 2, bias=False, input_quantizer=name),
    )
    assert_same(settle(model, 0, 99), (6,), exact=True)


@pytest.mark.parametrize("depth", [1, 2, 9, 27, 64])
@pytest.mark.parametrize("seed", range(4))
def test_thresholds_agree_with_the_float_layer_on_every_value(depth, seed):
    model = settle(
        nn.Sequential(BinaryLinear(depth, 16, input_quantizer="ste_sign"), nn.BatchNorm1d(16), SteSign()),
        seed,
        depth,
    )
    (threshold,) = [op for op in lower(model, (depth,)).ops if isinstance(op, Threshold) and op.name == "2"]
    every = torch.arange(-depth, depth + 1, dtype=torch.float32)[:, None].expand(-1, 16)
    with torch.no_grad():
        expected = model[2](model[1](every + model[0].bias)).numpy() > 0
    assert np.array_equal((every.numpy() >= threshold.thresholds[:, 0]) == threshold.rising, expected)


def test_lowering_leaves_the_module_as_it_was():
    model = mlp().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lower(model, (1, 5, 6))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Exotic(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x.float()).real


def first(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(ByteInput(), BinaryConv2d(3, 4, 3), *layers)


REFUSED = {
    r"2 \(GroupNorm.*statistics of the image itself.*Use BatchNorm": first(nn.GroupNorm(2, 4), SteSign()),
    r"ReLU '3' stands between the norm and the sign.*Move the quantizer": first(
        nn.BatchNorm2d(4), nn.ReLU(), SteSign()
    ),
    r"3 \(Conv2d, 4 → 2\): its weights are real.*convert": first(SteSign(), nn.Conv2d(4, 2, 1)),
    r"2 \(Softmax\): is not the last layer": first(nn.Softmax(dim=1), SteSign()),
    r"2 \(BinaryConv2d, 4 → 4\): reads the real values of '1'": first(BinaryConv2d(4, 4, 1)),
    r"BinaryConv2d, 4 → 4\): its weights are real": first(SteSign(), BinaryConv2d(4, 4, 1, weight_quantizer=None)),
    r"ceil_mode": first(nn.AvgPool2d(4, ceil_mode=True)),
    r"adaptive pooling to 4×4 of 6×6": first(nn.AdaptiveAvgPool2d(4)),
    r"count_include_pad": first(nn.AvgPool2d(2, padding=1, count_include_pad=False)),
    r"fft.*no counterpart": Exotic(),
    r"cannot be recorded.*Branches and loops": Branching(),
    r"no running statistics": first(nn.BatchNorm2d(4, track_running_stats=False), SteSign()),
    r"fails on torch.uint8 images": nn.Sequential(ByteInput(), BinaryConv2d(5, 4, 3)),
    r"moves 4×1×36 numbers": first(nn.Flatten(2)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_lowered_is_named_with_reason_and_way_out(message):
    with pytest.raises(LoweringError, match=message) as caught:
        lower(REFUSED[message].eval(), (3, 8, 8))
    assert "\n" not in str(caught.value)


def test_diverged_weights_are_refused():
    model = first(nn.BatchNorm2d(4), SteSign())
    with torch.no_grad():
        model[2].weight[0] = float("nan")
    with pytest.raises(LoweringError, match=r"not finite.*diverged"):
        lower(model, (3, 8, 8))
    with torch.no_grad():
        model[2].weight[0] = 1
        model[1].weight[0] = float("nan")
    with pytest.raises(LoweringError, match="not a number"):
        lower(model, (3, 8, 8))


def test_the_list_of_what_lowers_on_the_architecture_page_is_the_table_of_rules():
    page = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
    rows = [row.split(" | ") for row in re.findall(r"^\| .*`.* \|$", between(page, "lowers"), re.M)]
    listed = [(shown.removeprefix("| "), operators.removesuffix(" |")) for shown, operators in rows]
    wanted = [(shown, ", ".join(f"`{one}`" for one in names.split())) for names, shown, _ in TABLE if shown]
    assert listed == wanted, "write the table of docs/architecture.md anew from lower/rules.py"


def between(page: str, mark: str) -> str:
    return page.partition(f"<!-- {mark} -->")[2].partition(f"<!-- /{mark} -->")[0]
