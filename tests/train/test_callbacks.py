"""What is written down after an epoch, on weights that were moved by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from binarynet.nn import BinaryLinear
from binarynet.optim import latent_optimizer
from binarynet.train.callbacks import LatentWeightMovement, as_csv


def movement(model: nn.Module, **optimizer: Any) -> tuple[LatentWeightMovement, Any, Any]:
    trainer = SimpleNamespace(optimizers=[latent_optimizer(torch.optim.SGD, model, lr=0.1, **optimizer)])
    module = SimpleNamespace(model=model, row={"epoch": 1})
    callback = LatentWeightMovement()
    callback.on_train_start(trainer, module)  # type: ignore[arg-type]
    return callback, trainer, module


def two_layers() -> Any:
    model: Any = nn.Sequential(BinaryLinear(4, 3), nn.BatchNorm1d(3), BinaryLinear(3, 2), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.fill_(0.5)
        model[2].weight.fill_(-0.5)
    return model


def test_flips_are_counted_by_layer_and_over_all_latent_weights() -> None:
    model = two_layers()
    callback, trainer, module = movement(model)
    with torch.no_grad():
        model[0].weight[0, :3] = -0.1
        model[2].weight[1, 2] = 0.1
        model[3].weight.neg_()  # float layers have no flips
    callback.on_train_epoch_end(trainer, module)
    assert module.row["flip_ratio/0"] == 3 / 12
    assert module.row["flip_ratio/2"] == 1 / 6
    assert module.row["flip_ratio"] == 4 / 18
    assert {name for name in module.row if "/" in name} == {
        f"{what}/{k}" for what in ("flip_ratio", "saturated") for k in (0, 2)
    }


def test_flips_are_counted_from_one_epoch_to_the_next() -> None:
    model = two_layers()
    callback, trainer, module = movement(model)
    found = []
    for value in (-0.1, -0.2, 0.2, 0.3):
        with torch.no_grad():
            model[0].weight[1, 1] = value
        callback.on_train_epoch_end(trainer, module)
        found.append(module.row["flip_ratio/0"])
    assert found == [1 / 12, 0, 1 / 12, 0]


def test_zero_is_positive_whatever_its_sign_bit() -> None:
    model = two_layers()
    callback, trainer, module = movement(model)
    with torch.no_grad():
        model[0].weight[0] = torch.tensor([0.0, -0.0, 1e-45, -1e-45])
    callback.on_train_epoch_end(trainer, module)
    assert module.row["flip_ratio/0"] == 1 / 12


@pytest.mark.parametrize("clip", [1.0, 0.1, 1 / 3])
def test_weights_at_the_clip_are_saturated_and_none_inside(clip: float) -> None:
    model = two_layers()
    callback, trainer, module = movement(model, clip=clip)
    with torch.no_grad():
        model[0].weight.fill_(0)
        model[0].weight[0, :3] = torch.tensor([9.0, -9.0, clip]).clamp(-clip, clip)
        model[0].weight[1, :2] = torch.tensor([clip, -clip]) * (1 - 1e-6)
        model[2].weight.fill_(0)
    callback.on_train_epoch_end(trainer, module)
    assert module.row["saturated/0"] == 3 / 12
    assert module.row["saturated/2"] == 0
    assert module.row["saturated"] == 3 / 18


def test_without_a_clip_nothing_is_said_of_saturation() -> None:
    callback, trainer, module = movement(two_layers(), clip=None)
    callback.on_train_epoch_end(trainer, module)
    assert not any(name.startswith("saturated") for name in module.row)
    assert module.row["flip_ratio"] == 0


def test_a_model_without_latent_weights_adds_no_columns() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    callback, trainer, module = movement(model)
    callback.on_train_epoch_end(trainer, module)
    assert module.row == {"epoch": 1}


def test_the_csv_has_one_header_and_plain_numbers() -> None:
    rows = [{"epoch": 1, "loss": 0.123456789, "flip_ratio/a": 0.0}, {"epoch": 10, "loss": 1e-9, "flip_ratio/a": 1.0}]
    assert as_csv(rows) == "epoch,loss,flip_ratio/a\n1,0.123457,0\n10,1e-09,1\n"
