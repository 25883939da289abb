"""The float baseline: nothing binary in it, a margin on the last layer, a rate that falls to 0."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.data import load
from binarynet.errors import RecipeError
from binarynet.nn import latent_weights
from binarynet.recipes.l2svm import L2SvmConvNet, L2SvmMlp
from binarynet.train import fit
from tests.recipes.steps import two_steps

SMALL = {"epochs": 4, "batch_size": 16}


@pytest.mark.parametrize(
    ("recipe", "shape"),
    [
        (L2SvmMlp(data="digits", width=12, **SMALL), (1, 8, 8)),  # type: ignore[arg-type]
        (L2SvmConvNet(data="cifar10", filters=2, hidden=12, **SMALL), (3, 32, 32)),  # type: ignore[arg-type]
    ],
    ids=["mlp", "convnet"],
)
def test_two_steps_move_every_parameter_and_none_is_a_latent_weight(
    recipe: L2SvmMlp | L2SvmConvNet, shape: tuple[int, int, int]
) -> None:
    model = two_steps(recipe, shape)
    assert list(latent_weights(model)) == []


def test_inputs_are_in_the_unit_range() -> None:
    model = recipes.get("l2svm-mnist").model((1, 28, 28), 10)
    ends = model.get_submodule("bytes")(torch.tensor([0, 255], dtype=torch.uint8))
    torch.testing.assert_close(ends, torch.tensor([-1.0, 1.0]))


def test_only_the_last_layer_pays_for_its_weights() -> None:
    recipe = recipes.get("l2svm-digits").with_settings({"penalty": "0.25"})
    model = recipe.model((1, 8, 8), 10)
    optimizer, _ = recipe.optimizer(model)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name for name, p in model.named_parameters() if decays[id(p)]} == {"classes.weight"}
    assert set(decays.values()) == {0, 0.25}
    assert len(decays) == len(list(model.parameters()))


def test_the_rate_falls_linearly_to_zero() -> None:
    recipe = L2SvmMlp(data="digits", width=4, lr_start=0.5, **SMALL)  # type: ignore[arg-type]
    optimizer, schedule = recipe.optimizer(recipe.model((1, 8, 8), 10))
    assert schedule is not None
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.5, 0.375, 0.25, 0.125, 0.0])


def test_pixels_become_centred_components_of_falling_variance_and_stay_so() -> None:
    recipe = L2SvmMlp(data="digits", width=12, components=7, **SMALL)  # type: ignore[arg-type]
    images = load("digits").train.images
    model = recipe.model((1, 8, 8), 10)
    recipe.prepare(model, images)
    found = model.get_submodule("components")(model.get_submodule("bytes")(torch.from_numpy(images).flatten(1)))
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(7), atol=1e-5, rtol=0)
    covariance = torch.cov(found.T)
    assert (covariance.diag().diff() < 0).all()
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-4
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert not any(name.startswith("components") for name in trained)
    before = {name: value.clone() for name, value in model.get_submodule("components").state_dict().items()}
    loss = recipe.loss(model(torch.from_numpy(images[:16])), torch.arange(16) % 10)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer, _ = recipe.optimizer(model)
    optimizer.step()
    assert all(
        torch.equal(value, before[name]) for name, value in model.get_submodule("components").state_dict().items()
    )


def test_the_noise_dies_out() -> None:
    recipe = L2SvmMlp(data="digits", width=4, noise=2.0, **SMALL)  # type: ignore[arg-type]
    model = recipe.model((1, 8, 8), 10)
    noise = []
    for epoch in range(4):
        recipe.begin_epoch(model, epoch)
        noise.append(model.get_submodule("noise").std)
    assert noise == [2.0, 1.5, 1.0, 0.5]


def test_an_interrupted_run_keeps_its_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = L2SvmMlp(data="digits", width=8, components=5, noise=1.0, **SMALL)  # type: ignore[arg-type]
    whole = fit(recipe, load("digits"), tmp_path / "whole", threads=1, progress=False)

    begin = L2SvmMlp.begin_epoch

    def stopping(self: L2SvmMlp, model: nn.Module, epoch: int) -> None:
        if epoch == 2:
            raise RuntimeError("stop")
        begin(self, model, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(L2SvmMlp, "begin_epoch", stopping)
        with pytest.raises(RuntimeError, match="stop"):
            fit(recipe, load("digits"), tmp_path / "broken", threads=1, progress=False)
    resumed = fit(recipe, load("digits"), tmp_path / "broken", threads=1, progress=False, resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


@pytest.mark.parametrize("setting", ["components=-1", "noise=-0.5", "noise=inf"])
def test_settings_that_mean_nothing_are_refused(setting: str) -> None:
    name, text = setting.split("=")
    with pytest.raises(RecipeError, match=f"{name}="):
        recipes.get("l2svm-mnist").with_settings({name: text})


def test_more_components_than_pixels_are_refused() -> None:
    recipe = recipes.get("l2svm-digits").with_settings({"components": "65"})
    with pytest.raises(RecipeError, match="components=65: images of 64 pixels have no more than 64"):
        recipe.model((1, 8, 8), 10)
