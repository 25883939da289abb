"""The setting ``preprocessing``: trained with, resumed, kept and loaded as a part of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.data import DataSet, GlobalContrast, Split, Zca
from binarynet.errors import InputError, RecipeError
from binarynet.nn import ByteInput, Whitening
from binarynet.recipes import Recipe
from binarynet.recipes.binaryconnect import BinaryConnectConvNet
from binarynet.recipes.bnn_torch7 import BnnTorch7ConvNet
from binarynet.recipes.few_multiplications import FewMultiplicationsConvNet
from binarynet.train import fit, load_run
from binarynet.train.checkpoint import read_best
from binarynet.train.folder import RunFolder
from binarynet.train.pretrained import Pretrained
from tests.nn.test_preprocessing import images

SHAPES = {BinaryConnectConvNet: (3, 8, 8), BnnTorch7ConvNet: (3, 8, 8), FewMultiplicationsConvNet: (1, 32, 32)}
RECIPES = ("binaryconnect-cifar10", "bnn-torch7-cifar10", "few-multiplications-cifar10")
WAYS = ("gcn_zca", "gcn_lcn")


def tiny(name: str, preprocessing: str, **settings: str) -> Recipe:
    given = {"preprocessing": preprocessing, "filters": "2", "hidden": "8", "epochs": "1", "batch_size": "10"}
    return recipes.get(name).with_settings(given | settings)


def data(shape: tuple[int, int, int] = (3, 8, 8), seed: int = 0) -> DataSet:
    def split(n: int, seed: int) -> Split:
        return Split(images(n, *shape, seed=seed), np.arange(n) % 10)

    return DataSet("tiny", tuple("0123456789"), split(40, seed), split(20, seed + 1), split(10, seed + 2))


def of(recipe: Recipe) -> DataSet:
    return data(SHAPES[type(recipe)])  # type: ignore[index]


@pytest.mark.parametrize("name", sorted({name.rpartition("-")[0] for name in RECIPES}))
def test_without_it_the_networks_are_what_they_were(name: str) -> None:
    for one in (f"{name}-cifar10", f"{name}-svhn"):
        recipe = recipes.get(one)
        assert recipe.settings()["preprocessing"] == "none"
        with torch.device("meta"):
            first = next(iter(recipe.model((3, 32, 32), 10).named_children()))
        assert first[0] == "bytes"
        assert isinstance(first[1], ByteInput)
    with pytest.raises(RecipeError, match="preprocessing=zca: needs one of none, gcn_zca, gcn_lcn"):
        recipe.with_settings({"preprocessing": "zca"})


@pytest.mark.parametrize("preprocessing", WAYS)
@pytest.mark.parametrize("name", RECIPES)
def test_a_run_learns_from_its_training_images_alone_and_is_loaded_with_them(
    name: str, preprocessing: str, tmp_path: Path
) -> None:
    recipe = tiny(name, preprocessing)
    sets = of(recipe)
    result = fit(recipe, sets, tmp_path, progress=False, threads=1)
    _, model = load_run(tmp_path)
    x = torch.from_numpy(sets.test.images)
    assert torch.equal(model(x), result.model(x))
    if preprocessing == "gcn_zca":
        layer = model.get_submodule("whitening")
        assert isinstance(layer, Whitening)
        rule = Zca.fit(GlobalContrast().apply(sets.train.images))
        assert np.array_equal(layer.mean.numpy(), rule.mean)
        assert np.array_equal(layer.whitener.numpy(), rule.whitener)


@pytest.mark.parametrize("preprocessing", WAYS)
def test_ctrl_c_and_resume_end_in_the_bytes_of_an_uninterrupted_run(
    preprocessing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny("binaryconnect-cifar10", preprocessing, epochs="2")
    sets = of(recipe)
    fit(recipe, sets, tmp_path / "whole", progress=False, threads=1)

    def stopped(self: Recipe, model: torch.nn.Module, epoch: int) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BinaryConnectConvNet, "begin_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, sets, tmp_path / "cut", progress=False, threads=1)
    monkeypatch.setattr(BinaryConnectConvNet, "prepare", lambda *given: pytest.fail("a resumed run is prepared"))
    fit(recipe, sets, tmp_path / "cut", progress=False, threads=1, resume=True)
    whole, cut = (read_best(RunFolder(tmp_path / one).best)["model"] for one in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_teacher_and_a_second_stage_have_images_of_their_own(tmp_path: Path) -> None:
    sets = data()
    fit(tiny("binaryconnect-cifar10", "gcn_zca"), sets, tmp_path / "first", progress=False, threads=1)
    taught = tiny("bnn-torch7-cifar10", "none", teacher=str(tmp_path / "first"))
    fit(taught, sets, tmp_path / "taught", progress=False, threads=1)
    again = tiny("binaryconnect-cifar10", "gcn_zca", weights_from=str(tmp_path / "first"))
    fit(again, data(seed=5), tmp_path / "again", progress=False, threads=1)
    first, second = (load_run(tmp_path / one)[1].get_submodule("whitening") for one in ("first", "again"))
    assert torch.equal(first.whitener, second.whitener)  # type: ignore[arg-type]


def test_a_network_that_no_run_has_prepared_refuses_images() -> None:
    model = tiny("bnn-torch7-cifar10", "gcn_zca").model((3, 8, 8), 10)
    with pytest.raises(InputError, match="has seen no images yet"):
        model(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


def test_a_net_to_keep_holds_what_it_has_seen(tmp_path: Path) -> None:
    sets = data()
    fit(tiny("bnn-torch7-cifar10", "gcn_zca"), sets, tmp_path / "run", progress=False, threads=1, precision="bf16")
    kept = Pretrained.of_run(tmp_path / "run")
    again = Pretrained.from_pretrained(kept.save_pretrained(tmp_path / "net"))
    x = torch.from_numpy(sets.test.images)
    assert torch.equal(again.model(x), kept.model(x))
