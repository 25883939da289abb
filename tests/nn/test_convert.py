"""convert: what becomes of plain torch models, and what is said about it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from binarynet.errors import InputError
from binarynet.nn import (
    BinaryConv1d,
    BinaryConv2d,
    BinaryLayer,
    BinaryLinear,
    ByteInput,
    Change,
    ConvertConfig,
    ConvertReport,
    EdeSign,
    SteSign,
    convert,
    squared_hinge,
)


def convnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, (3, 2), stride=(1, 2), padding=(0, 1), dilation=(2, 1), groups=4),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 3),
        nn.BatchNorm1d(3),
    )


def images(n: int = 6) -> Tensor:
    return torch.randint(0, 256, (n, 1, 12, 12), dtype=torch.uint8)


def row(report: ConvertReport, name: str) -> Change:
    (change,) = [change for change in report.changes if change.name == name]
    return change


def test_plain_convnet_becomes_conv_norm_sign_conv() -> None:
    model = convnet()
    report = convert(model)
    kinds = [type(module) for module in model]
    assert kinds[0] is kinds[4] is BinaryConv2d
    assert kinds[2] is kinds[6] is nn.Identity
    assert kinds[9] is BinaryLinear
    assert isinstance(model[0].input_quantizer, ByteInput)
    assert isinstance(model[4].input_quantizer, SteSign)
    assert isinstance(model[9].input_quantizer, SteSign)
    assert report.binary == ("0", "4", "9")
    assert model(images()).shape == (6, 3)


def test_converted_model_computes_the_plain_one_on_signs() -> None:
    model = convnet().eval()
    plain = copy.deepcopy(model)
    with torch.no_grad():
        for layer in (plain[0], plain[4], plain[9]):
            layer.weight.copy_(torch.where(layer.weight >= 0, 1.0, -1.0))
    x = images()
    sign = lambda x: torch.where(x >= 0, 1.0, -1.0)  # noqa: E731
    convert(model)
    hidden = sign(plain[3](plain[1](plain[0](2.0 * x - 255))))
    hidden = sign(plain[7](plain[5](plain[4](hidden))))
    torch.testing.assert_close(model(x), plain[10](plain[9](hidden.flatten(1))))


def test_settings_of_the_layers_survive() -> None:
    model = convnet()
    before = model[4]
    convert(model)
    for setting in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"):
        assert getattr(model[4], setting) == getattr(before, setting)


def test_parameters_stay_the_same_objects_under_the_same_names() -> None:
    model = convnet()
    before = dict(model.named_parameters())
    values = copy.deepcopy(model.state_dict())
    convert(model)
    assert list(dict(model.named_parameters())) == list(before)
    assert all(parameter is before[name] for name, parameter in model.named_parameters())
    model.load_state_dict(values, strict=True)
    assert torch.equal(model[9].weight, values["9.weight"])


def test_training_mode_and_device_type_are_kept() -> None:
    model = convnet().double().eval()
    convert(model)
    assert not any(module.training for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}


def test_converted_model_learns() -> None:
    x = images(64)
    target = (x[:, 0, :, :6].float().mean((1, 2)) > x[:, 0, :, 6:].float().mean((1, 2))).long()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(144, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 2), nn.BatchNorm1d(2)
    )
    convert(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = squared_hinge(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    assert (model.eval()(x).argmax(1) == target).float().mean() > 0.9


@pytest.mark.parametrize(
    ("config", "binary"),
    [
        (ConvertConfig(), ("0", "4", "9")),
        (ConvertConfig(first="float"), ("4", "9")),
        (ConvertConfig(last="float"), ("0", "4")),
        (ConvertConfig(first="float", last="float"), ("4",)),
        (ConvertConfig(overrides={"4": None}), ("0", "9")),
        (ConvertConfig(overrides={"*": None}), ()),
        (ConvertConfig(overrides={"[49]": {}, "*": None}), ("4", "9")),
        (ConvertConfig(first="float", overrides={"0": {"pad_value": 1}}), ("4", "9")),
    ],
    ids=str,
)
def test_config_chooses_the_layers(config: ConvertConfig, binary: tuple[str, ...]) -> None:
    model = convnet()
    report = convert(model, config)
    assert report.binary == binary
    found = [name for name, module in model.named_modules() if isinstance(module, BinaryLayer)]
    assert tuple(found) == binary
    for name in {"0", "4", "9"} - set(binary):
        assert row(report, name).action == "kept float"
        assert type(model.get_submodule(name)) in (nn.Conv2d, nn.Linear)
    x = images() if "0" in binary else images().float() / 255
    assert model(x).shape == (6, 3)


def test_float_layers_keep_their_relu() -> None:
    model = convnet()
    report = convert(model, ConvertConfig(last="float", overrides={"4": None}))
    assert type(model[2]) is type(model[6]) is nn.ReLU
    assert row(report, "2") == Change("2", "ReLU", "kept", "feeds 4")
    assert row(report, "6").reason == "feeds 9"


def test_overrides_set_quantizers_and_padding_of_single_layers() -> None:
    model = convnet()
    ede = EdeSign(t=0.1)
    config = ConvertConfig(
        weight_quantizer=ede,
        pad_value=-1,
        overrides={"4": {"weight_quantizer": "approx_sign", "pad_value": 1}, "0": {"input_quantizer": None}},
    )
    convert(model, config)
    assert model[0].weight_quantizer is model[9].weight_quantizer is ede
    assert model[4].weight_quantizer.name == "approx_sign"
    assert (model[0].pad_value, model[4].pad_value) == (-1, 1)
    assert model[0].input_quantizer is None


def test_float_activations_keep_everything_but_the_weights() -> None:
    model = convnet()
    convert(model, ConvertConfig(input_quantizer=None))
    assert type(model[2]) is nn.ReLU
    assert model[4].input_quantizer is None
    assert isinstance(model[4].weight_quantizer, SteSign)


def test_quantizers_go_in_front_of_dropout() -> None:
    model = nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(144, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 3),
    )
    keys = list(model.state_dict())
    report = convert(model)
    assert [type(part) for part in model[1]] == [ByteInput, nn.Dropout]
    assert [type(part) for part in model[5]] == [SteSign, nn.Dropout]
    assert model[2].input_quantizer is model[6].input_quantizer is None
    assert list(model.state_dict()) == keys
    assert row(report, "5").action == "ste_sign, Dropout"
    assert set(model[:6](images(50).reshape(-1, 1, 12, 12)).unique().tolist()) == {-2.0, 0.0, 2.0}
    assert set(model.eval()[:6](images()).unique().tolist()) == {-1.0, 1.0}


def test_dropout_that_feeds_other_things_too_stays_and_the_report_warns() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.left, self.right = nn.Dropout(), nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.drop(x)
            return self.left(x) + self.right(x)

    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), Forked())
    report = convert(model, ConvertConfig(overrides={"*.right": None}))
    assert type(model[2].drop) is nn.Dropout
    assert isinstance(model[2].left.input_quantizer, SteSign)
    assert "dropout sets to 0 counts +1" in row(report, "2.left").reason


def test_relu_before_the_norm_goes_so_that_a_threshold_remains() -> None:
    model = nn.Sequential(
        nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2)
    )
    report = convert(model, ConvertConfig(last="float"))
    assert type(model[1]) is nn.Identity
    assert "threshold" in row(report, "1").reason
    assert type(model[4]) is nn.ReLU  # no sign behind that norm
    assert row(report, "4").reason == "feeds 5"


@pytest.mark.parametrize(
    ("activation", "goes"),
    [
        (nn.ReLU6(), True),
        (nn.Tanh(), True),
        (nn.LeakyReLU(), True),
        (nn.PReLU(), True),
        (nn.GELU(), True),
        (nn.Sigmoid(), True),
        (nn.Hardtanh(0, 1), True),
        (nn.Hardtanh(), False),
        (nn.Identity(), False),
    ],
    ids=str,
)
def test_activations_in_front_of_a_sign(activation: nn.Module, goes: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), activation, nn.Linear(4, 2))
    convert(model)
    assert (model[2] is not activation) == goes


class Residual(nn.Module):
    """One ReLU module called twice, functional flatten, a shortcut: as residual networks are written."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4 * 12 * 12, 3)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(x)))
        x = self.relu(self.body(x) + x)
        return self.head(torch.flatten(x, 1))


def test_order_of_the_forward_pass_counts_and_not_of_registration() -> None:
    model = Residual()
    report = convert(model, ConvertConfig(last="float"))
    assert [change.name for change in report.changes] == ["stem", "relu", "body", "head"]
    assert type(model.relu) is nn.Identity
    assert row(report, "relu").reason.endswith("add(), head goes without it too")
    assert isinstance(model.stem.input_quantizer, ByteInput)
    assert isinstance(model.body.input_quantizer, SteSign)
    assert model(images()).shape == (6, 3)


def test_shared_layers_are_replaced_wherever_they_stand() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), shared, nn.BatchNorm1d(4), nn.Sequential(shared))
    convert(model)
    assert model[2] is model[4][0]
    assert isinstance(model[2], BinaryLinear)


def test_already_quantized_inputs_are_not_quantized_again() -> None:
    model = nn.Sequential(
        ByteInput(), nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), SteSign(), nn.MaxPool1d(2), nn.Conv1d(4, 4, 1)
    )
    convert(model)
    assert isinstance(model[1], BinaryConv1d)
    assert model[1].input_quantizer is model[5].input_quantizer is None


def test_converting_twice_changes_nothing() -> None:
    model = convnet()
    convert(model)
    modules = list(model.modules())
    report = convert(model)
    assert all(one is other for one, other in zip(model.modules(), modules, strict=True))
    assert {change.reason for change in report.changes} == {"already binary"}


def test_report_is_a_table_that_names_every_layer_and_reason() -> None:
    model = convnet()
    with torch.no_grad():
        model[9].weight[0, :12] = 1.5
    text = str(convert(model, ConvertConfig(overrides={"4": None})))
    lines = text.splitlines()
    assert lines[0].split() == ["module", "was", "now", "why"]
    assert len({line.index(word) for line, word in zip(lines[1:2], ["byte_input"], strict=True)}) == 1
    assert "overrides['4'] is None" in text
    assert "25.00% of them beyond [-1, 1]" in text


def test_report_warns_of_missing_norms() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    report = convert(model)
    assert "no norm before the next sign" in row(report, "0").reason
    assert "unscaled sums" in row(report, "2").reason
    assert "norm" not in row(convert(convnet()), "0").reason


def test_what_cannot_be_binary_is_kept_and_named() -> None:
    class Own(nn.Linear):
        pass

    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(2, 2, 3),
        nn.Flatten(),
        Own(392, 4),
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
        nn.Linear(4, 2),
    )
    model[5].unused = nn.Linear(1, 1)
    report = convert(model)
    assert report.binary == ("5",)
    assert "padding_mode='reflect'" in row(report, "0").reason
    assert "only Linear, Conv1d, Conv2d" in row(report, "1").reason
    assert "only Linear, Conv1d, Conv2d" in row(report, "3").reason
    assert row(report, "4").action == "kept float"
    assert "does not call it" in row(report, "5.unused").reason


def test_layers_with_hooks_are_kept() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model[0].register_forward_hook(lambda module, args, output: output)
    assert "hooks" in row(convert(model), "0").reason


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.norm(self.first(x))))


class Branching(Functional):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(x) if x.sum() > 0 else self.second(-x)


class Scaled(Functional):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.norm(self.first(x / 255)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Functional(), r"second: the forward calls relu\(\) before it.*nn\.ReLU\(\)"),
        (Branching(), r"Branching: torch\.fx cannot record"),
        (Scaled(), r"first \(Linear\).*truediv\(\) stands between.*first='float'"),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)), r"1 \(Linear\).*but 0 stands between"),
        (nn.Linear(3, 2), r"Linear itself cannot be replaced in place.*nn\.Sequential"),
    ],
    ids=["functional relu", "branch on values", "arithmetic on bytes", "norm on bytes", "root"],
)
def test_what_cannot_be_converted_is_refused_and_left_untouched(model: nn.Module, message: str) -> None:
    before = [*model.modules()]
    with pytest.raises(InputError, match=message):
        convert(model)
    assert all(one is other for one, other in zip(model.modules(), before, strict=True))


def test_the_ways_out_that_the_errors_name_work() -> None:
    convert(Functional(), ConvertConfig(overrides={"second": None}))
    convert(Functional(), ConvertConfig(last="float"))
    convert(Scaled(), ConvertConfig(first="float"))
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    convert(model, ConvertConfig(overrides={"1": {"input_quantizer": None}}))
    assert model[1].input_quantizer is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": "ternary"}, "first='ternary'"),
        ({"last": None}, "last=None"),
        ({"overrides": {"0": {"stride": 2}}}, r"overrides\['0'\] sets stride; known: weight_quantizer"),
    ],
)
def test_config_errors_say_what_is_known(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ConvertConfig(**settings)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ConvertConfig(overrides={"features.*": None}), r"overrides\['features\.\*'\] matches no layer.*0, 4, 9"),
        (ConvertConfig(weight_quantizer="sign"), "'sign' is not a quantizer"),
        (ConvertConfig(pad_value=0.5), r"pad_value=0\.5"),
    ],
)
def test_errors_in_the_middle_leave_the_model_untouched(config: ConvertConfig, message: str) -> None:
    model = convnet()
    before = [*model.modules()]
    with pytest.raises(InputError, match=message):
        convert(model, config)
    assert all(one is other for one, other in zip(model.modules(), before, strict=True))
