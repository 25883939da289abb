"""The latent weight update: step scale and clip, against the papers' rule written out."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.utils.prune
from torch import Tensor, nn
from torch.optim import Optimizer

from binarynet.errors import InputError
from binarynet.nn import BinaryConv1d, BinaryConv2d, BinaryConvTranspose2d, BinaryLinear, squared_hinge
from binarynet.optim import glorot_scale, latent_optimizer
from binarynet.optim.shift_adamax import ShiftAdaMax

OPTIMIZERS: dict[str, tuple[type[Optimizer], float, dict[str, Any]]] = {
    "Adam": (torch.optim.Adam, 1e-3, {}),
    "Adam amsgrad": (torch.optim.Adam, 1e-3, {"amsgrad": True}),
    "AdamW": (torch.optim.AdamW, 1e-3, {"weight_decay": 0.0}),
    "AdamW decaying": (torch.optim.AdamW, 1e-3, {"weight_decay": 0.1}),
    "AdaMax": (torch.optim.Adamax, 2e-3, {}),
    "NAdam": (torch.optim.NAdam, 1e-3, {}),
    "RAdam": (torch.optim.RAdam, 1e-3, {}),
    "RMSprop": (torch.optim.RMSprop, 1e-3, {"momentum": 0.9}),
    "Adagrad": (torch.optim.Adagrad, 1e-2, {"lr_decay": 0.1}),
    "Adadelta": (torch.optim.Adadelta, 1.0, {}),
    "SGD": (torch.optim.SGD, 0.5, {}),
    "SGD momentum": (torch.optim.SGD, 0.5, {"momentum": 0.9, "nesterov": True}),
    "shift-based AdaMax": (ShiftAdaMax, 0.011, {}),  # not linear in lr, but told of the scale
}


def network() -> nn.Module:
    return nn.Sequential(
        BinaryConv2d(2, 4, 3, padding=1, groups=2, input_quantizer="identity_sign"),
        nn.Flatten(),
        nn.BatchNorm1d(64),
        BinaryLinear(64, 16, bias=False, input_quantizer="ste_sign"),
        nn.BatchNorm1d(16),
        BinaryLinear(16, 3, input_quantizer="ste_sign"),
    ).double()


def gradients_of(model: nn.Module, step: int) -> None:
    """The same gradients for every copy of the model, whatever its weights, so that rules can be compared."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def by_the_paper(
    optimizer_class: type[Optimizer], model: nn.Module, lr: float, steps: int, **kwargs: Any
) -> list[Tensor]:
    """W <- clip(W + s (W_step - W), -1, 1), with W_step from the plain optimizer that knows of no scale."""
    latent = {
        module.weight: glorot_scale(module) for module in model if isinstance(module, BinaryConv2d | BinaryLinear)
    }
    optimizer = optimizer_class(model.parameters(), lr=lr, **kwargs)  # type: ignore[call-arg]
    for step in range(steps):
        gradients_of(model, step)
        before = {weight: weight.detach().clone() for weight in latent}
        optimizer.step()
        with torch.no_grad():
            for weight, scale in latent.items():
                weight.copy_((before[weight] + scale * (weight - before[weight])).clamp(-1, 1))
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_scaled_groups_and_clip_equal_the_rule_of_the_paper(name: str) -> None:
    optimizer_class, lr, kwargs = OPTIMIZERS[name]
    model = network()
    expected = by_the_paper(optimizer_class, copy.deepcopy(model), lr, steps=6, **kwargs)
    start = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = latent_optimizer(optimizer_class, model, lr, **kwargs)
    for step in range(6):
        gradients_of(model, step)
        optimizer.step()
    for ours, theirs, first in zip(model.parameters(), expected, start, strict=True):
        torch.testing.assert_close(ours.detach(), theirs, rtol=0, atol=1e-10)
        assert not torch.equal(theirs, first)
    weight = model[3].weight.detach().abs()
    assert weight.max() == 1  # the clip had something to cut
    assert weight.min() < 1


@pytest.mark.parametrize(
    ("layer", "scale"),
    [
        # MNIST: 784-4096-4096-4096-10
        (lambda: BinaryLinear(784, 4096, device="meta"), 57.0),
        (lambda: BinaryLinear(4096, 4096, device="meta"), 73.9),
        (lambda: BinaryLinear(4096, 10, device="meta"), 52.3),
        # CIFAR-10: 2x128C3-P2-2x256C3-P2-2x512C3-P2-1024-1024-10
        (lambda: BinaryConv2d(3, 128, 3, device="meta"), 28.0),
        (lambda: BinaryConv2d(128, 128, 3, device="meta"), 39.2),
        (lambda: BinaryConv2d(128, 256, 3, device="meta"), 48.0),
        (lambda: BinaryConv2d(256, 256, 3, device="meta"), 55.4),
        (lambda: BinaryConv2d(256, 512, 3, device="meta"), 67.9),
        (lambda: BinaryConv2d(512, 512, 3, device="meta"), 78.4),
        (lambda: BinaryLinear(8192, 1024, device="meta"), 78.4),
        (lambda: BinaryLinear(1024, 1024, device="meta"), 37.0),
        (lambda: BinaryLinear(1024, 10, device="meta"), 26.3),
    ],
)
def test_glorot_scale_of_the_papers_layers(layer: Callable[[], nn.Module], scale: float) -> None:
    assert round(glorot_scale(layer()), 1) == scale


def test_glorot_scale_counts_kernel_and_groups() -> None:
    assert glorot_scale(BinaryConv1d(4, 6, 5, groups=2)) == pytest.approx(((5 * 2 + 5 * 6) / 1.5) ** 0.5)
    assert glorot_scale(BinaryConv2d(8, 8, (3, 1), groups=8)) == pytest.approx(((3 * 1 + 3 * 8) / 1.5) ** 0.5)
    transposed = BinaryConvTranspose2d(4, 6, 3, groups=2)
    assert glorot_scale(transposed) == pytest.approx(((9 * 2 + 9 * 6) / 1.5) ** 0.5)
    assert glorot_scale(nn.Linear(784, 4096)) == glorot_scale(BinaryLinear(784, 4096))


@pytest.mark.parametrize("module", [nn.ReLU(), nn.BatchNorm1d(3)])
def test_glorot_scale_of_a_module_without_fans_is_refused(module: nn.Module) -> None:
    with pytest.raises(InputError, match="no fan-in"):
        glorot_scale(module)


def test_a_weight_that_is_computed_is_refused_by_its_layer_and_the_way_out_works() -> None:
    for change, back in (
        (nn.utils.parametrizations.weight_norm, lambda m: nn.utils.parametrize.remove_parametrizations(m, "weight")),
        (lambda m: nn.utils.prune.random_unstructured(m, "weight", 0.5), lambda m: nn.utils.prune.remove(m, "weight")),
    ):
        model = network()
        change(model[3])
        with pytest.raises(InputError, match=r"3 \(\w*Binary\w+\): its weight is computed.*remove_param") as caught:
            latent_optimizer(torch.optim.Adam, model, 0.01)
        assert "\n" not in str(caught.value)
        back(model[3])
        latent_optimizer(torch.optim.Adam, model, 0.01)


def test_groups_say_what_they_are() -> None:
    model = network()
    groups = latent_optimizer(torch.optim.Adam, model, 0.01, clip=0.5).param_groups
    weights = [model[0].weight, model[3].weight, model[5].weight]
    for group, weight, layer in zip(groups, weights, [model[0], model[3], model[5]], strict=False):
        assert group["latent"] is True
        assert group["clip"] == 0.5
        assert group["step_scale"] == glorot_scale(layer)
        assert group["lr"] == 0.01 * glorot_scale(layer)
        assert [id(parameter) for parameter in group["params"]] == [id(weight)]
    rest = groups[-1]
    assert (rest["latent"], rest["clip"], rest["step_scale"], rest["lr"]) == (False, None, 1.0, 0.01)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_layers_of_equal_scale_share_a_group_and_a_shared_weight_is_stepped_once() -> None:
    first, second, tied = BinaryLinear(4, 4), BinaryLinear(4, 4), BinaryLinear(4, 4)
    tied.weight = first.weight
    groups = latent_optimizer(torch.optim.SGD, nn.Sequential(first, second, tied), 0.1).param_groups
    assert [len(group["params"]) for group in groups] == [2, 3]


def test_step_scale_false_leaves_the_learning_rate_and_still_clips() -> None:
    layer = BinaryLinear(3, 2, bias=False)
    optimizer = latent_optimizer(torch.optim.SGD, layer, 100.0, step_scale=False)
    assert [group["lr"] for group in optimizer.param_groups] == [100.0]
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.ones(2, 3)
    optimizer.step()
    assert torch.equal(layer.weight, -torch.ones(2, 3))
    assert not torch.equal(before, layer.weight)


def test_clip_none_leaves_latent_weights_free() -> None:
    layer = BinaryLinear(3, 2)
    optimizer = latent_optimizer(torch.optim.SGD, layer, 1.0, step_scale=False, clip=None)
    layer.weight.grad = torch.full((2, 3), 5.0)
    optimizer.step()
    assert (layer.weight < -1).all()


def test_other_parameters_are_not_clipped() -> None:
    model = nn.Sequential(BinaryLinear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    optimizer = latent_optimizer(torch.optim.SGD, model, 1.0)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    optimizer.step()
    assert model[0].weight.abs().max() <= 1
    for parameter in (model[0].bias, *model[1].parameters(), *model[2].parameters()):
        assert parameter.abs().max() > 1


def test_clip_is_in_place_and_ends_exactly_at_the_border() -> None:
    layer = BinaryLinear(3, 2, bias=False)
    optimizer = latent_optimizer(torch.optim.SGD, layer, 10.0, clip=0.25)
    storage = layer.weight.data_ptr()
    layer.weight.grad = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
    optimizer.step()
    assert layer.weight.tolist() == [[-0.25, 0.25, -0.25], [0.25, -0.25, 0.25]]
    assert layer.weight.data_ptr() == storage
    assert layer.weight.requires_grad


def test_frozen_latent_weights_and_closures_work() -> None:
    model = nn.Sequential(BinaryLinear(3, 3), BinaryLinear(3, 2))
    model[0].weight.requires_grad_(False)
    frozen = model[0].weight.clone()
    optimizer = latent_optimizer(torch.optim.Adam, model, 0.01)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = squared_hinge(model(torch.ones(4, 3)), torch.tensor([0, 1, 0, 1]))
        loss.backward()
        return loss

    assert optimizer.step(closure) is not None
    assert torch.equal(model[0].weight, frozen)


def test_state_dict_carries_scale_and_clip_and_resumes_exactly() -> None:
    model = network()
    optimizer = latent_optimizer(torch.optim.Adam, model, 1e-2, clip=0.75)
    for step in range(3):
        gradients_of(model, step)
        optimizer.step()
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = network()
    resumed.load_state_dict(saved["model"])
    again = latent_optimizer(torch.optim.Adam, resumed, 123.0)  # settings come from the state dict
    again.load_state_dict(saved["optimizer"])
    assert [group["clip"] for group in again.param_groups] == [0.75, 0.75, 0.75, None]
    for step in range(3, 6):
        for net, opt in ((model, optimizer), (resumed, again)):
            gradients_of(net, step)
            opt.step()
    for ours, theirs in zip(resumed.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert model[3].weight.abs().max().item() == 0.75


def test_multiplying_schedulers_keep_the_ratio_of_the_groups() -> None:
    optimizer = latent_optimizer(torch.optim.SGD, network(), 0.1)
    before = [group["lr"] for group in optimizer.param_groups]
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [rate / 2 for rate in before]


@pytest.mark.parametrize("name", ["LBFGS", "Rprop", "ASGD", "Adafactor"])
def test_optimizers_whose_step_is_not_proportional_to_lr_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} cannot take the step scale.*step_scale=False"):
        latent_optimizer(getattr(torch.optim, name), BinaryLinear(3, 2), 0.1)


def test_rprop_is_welcome_without_a_scale() -> None:
    layer = BinaryLinear(3, 2)
    optimizer = latent_optimizer(torch.optim.Rprop, layer, 9.0, step_scale=False)
    layer.weight.grad = torch.ones(2, 3)
    optimizer.step()
    assert layer.weight.eq(-1).all()


def test_a_step_scale_of_ap2_is_the_power_of_two_next_to_glorots() -> None:
    groups = latent_optimizer(torch.optim.SGD, network(), 0.1, step_scale="ap2").param_groups
    # Of 5.5, 7.3 and 3.6: the first and the last layer share a group.
    assert [group["step_scale"] for group in groups] == [4.0, 8.0, 1.0]
    assert [len(group["params"]) for group in groups[:2]] == [2, 1]
    assert [group["lr"] for group in groups] == [0.4, 0.8, 0.1]


def test_a_clip_of_glorot_is_the_inverse_of_each_layers_scale() -> None:
    model = network()
    optimizer = latent_optimizer(torch.optim.SGD, model, 1e3, step_scale=False, clip="glorot")
    gradients_of(model, 0)
    optimizer.step()
    for layer in (model[0], model[3], model[5]):
        assert layer.weight.abs().max().item() == 1 / glorot_scale(layer)
    assert [group["clip"] for group in optimizer.param_groups] == [
        *(1 / glorot_scale(model[k]) for k in (0, 3, 5)),
        None,
    ]
    assert [group["lr"] for group in optimizer.param_groups] == [1e3] * 4


@pytest.mark.parametrize("clip", [0.0, -1.0, float("nan"), "he", ""])
def test_clip_that_leaves_nothing_or_is_unknown_is_refused(clip: float) -> None:
    with pytest.raises(InputError, match="clip="):
        latent_optimizer(torch.optim.SGD, BinaryLinear(3, 2), 0.1, clip=clip)


def test_unknown_step_scale_is_refused() -> None:
    with pytest.raises(InputError, match="step_scale='he'"):
        latent_optimizer(torch.optim.SGD, BinaryLinear(3, 2), 0.1, step_scale="he")  # type: ignore[arg-type]


def test_a_float_network_gets_the_plain_optimizer() -> None:
    model = nn.Linear(3, 2)
    optimizer = latent_optimizer(torch.optim.SGD, model, 0.1)
    assert [(group["latent"], group["lr"]) for group in optimizer.param_groups] == [(False, 0.1)]


def test_binary_network_learns_where_without_scale_it_hardly_moves() -> None:
    """60 Adam steps on separable data: the scale is what makes a learning rate of 0.001 flip weights."""
    x = torch.randn(256, 32)
    target = (x @ torch.where(torch.randn(32) >= 0, 1.0, -1.0) > 0).long()
    flips, errors = {}, {}
    for scaled in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(BinaryLinear(32, 64), nn.BatchNorm1d(64), BinaryLinear(64, 2, input_quantizer="ste_sign"))
        model.append(nn.BatchNorm1d(2))
        start = model[0].binary_weight
        optimizer = latent_optimizer(torch.optim.Adam, model, 1e-3, step_scale=scaled)
        for _ in range(60):
            optimizer.zero_grad()
            squared_hinge(model(x), target).backward()
            optimizer.step()
        flips[scaled] = (start != model[0].binary_weight).float().mean().item()
        errors[scaled] = (model.eval()(x).argmax(1) != target).float().mean().item()
    assert flips[True] > 3 * flips[False]
    assert errors[True] < 0.5 * errors[False]


def test_inside_the_clip_the_window_on_latent_weights_changes_nothing() -> None:
    x, target = torch.randn(32, 8), torch.randint(2, (32,))
    trained = []
    for weight_quantizer in ("ste_sign", "identity_sign"):
        torch.manual_seed(0)
        layer = BinaryLinear(8, 2, weight_quantizer=weight_quantizer)
        optimizer = latent_optimizer(torch.optim.Adam, layer, 0.1)
        for _ in range(10):
            optimizer.zero_grad()
            squared_hinge(layer(x), target).backward()
            optimizer.step()
        trained.append(layer.weight.detach())
    assert (trained[0].abs() == 1).any()
    assert torch.equal(trained[0], trained[1])
