"""The recipes for ImageNet, which cannot be trained here: cuts, schedules, two steps on a folder of photographs that
the test draws, and 224 × 224 pixels lowered.

Networks keep their shape and are narrow here, but for Bi-Real Net; `benchmarks/imagenet.py` lowers all of them whole.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.data import Crops, load
from binarynet.errors import TrainingError
from binarynet.format import from_bytes, to_bytes
from binarynet.graph import interpret
from binarynet.lower import lower
from binarynet.recipes.imagenet import ImageNet
from binarynet.report import has_real_products
from binarynet.runtime import Session
from binarynet.train import fit, load_run
from tests.lower.models import images

image = pytest.importorskip("PIL.Image", reason="photographs need pillow")

NARROW = {
    "bwn": {"filters": "12", "width": "64"},
    "bwn resnet18": {"filters": "12", "network": "resnet18"},
    "bwn resnet34 float": {"filters": "6", "network": "resnet34", "weights": "float"},
    "xnornet": {"filters": "12", "width": "64"},
    "xnornet resnet18": {"filters": "12", "network": "resnet18"},
    "dorefa": {"filters": "12", "width": "64"},
    "qnn": {"filters": "8", "inflation": "1", "width": "64"},
    "qnn googlenet": {"filters": "4", "network": "googlenet"},
    "bireal": {"filters": "8"},
    "reactnet": {"width_multiplier": "0.125"},
    "reactnet float weights": {"width_multiplier": "0.125", "weights": "float"},
}
WHOLE = {"bireal, whole": {}}


def recipe_of(name: str) -> ImageNet:
    settings = {**NARROW, **WHOLE}[name]
    found = recipes.get(f"{name.replace(',', ' ').split()[0]}-imagenet").with_settings(settings)
    assert isinstance(found, ImageNet)
    return found


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several test processes share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of five photographs to learn and three to test, of different sizes, as torchvision lays them out."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 3)):
        for label in ("n01", "ñ 02"):
            (root / split / label).mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(0, 256, (70 + 9 * k, 95 - 7 * k, 3), np.uint8)
                image.fromarray(pixels).save(root / split / label / f"{k}.jpg")
    return root


@pytest.mark.parametrize("name", NARROW)
def test_a_recipe_takes_two_steps_on_a_folder_of_photographs(name: str, photographs: Path) -> None:
    recipe = recipe_of(name).with_settings({"size": "64", "batch_size": "4"})
    data = load(photographs, crops=recipe.crops())
    assert (data.shape, len(data.train), len(data.validation), len(data.test)) == ((3, 64, 64), 8, 2, 6)
    torch.manual_seed(0)
    model = recipe.model(data.shape, len(data.classes))
    optimizer, schedule = recipe.optimizer(model)
    assert schedule is not None
    rng = np.random.default_rng(0)
    for step in range(2):
        batch = np.stack([data.train.images.training(row, rng) for row in range(4 * step, 4 * step + 4)])
        labels = torch.from_numpy(data.train.labels[4 * step : 4 * step + 4])
        loss = recipe.training_loss(model(torch.from_numpy(batch)), labels, torch.from_numpy(batch))
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    schedule.step()


def test_reactnet_is_trained_in_two_steps_from_a_teacher_and_goes_on_bit_for_bit(
    photographs: Path, tmp_path: Path
) -> None:
    def run(name: str, out: str, **settings: str) -> torch.nn.Module:
        recipe = recipes.get(name).with_settings({"size": "32", "batch_size": "4", "epochs": "1", **settings})
        data = load(photographs, crops=recipe.crops())
        return fit(recipe, data, tmp_path / out, progress=False, threads=1).model

    student = {"width_multiplier": "0.125", "teacher": str(tmp_path / "teacher")}
    run("bireal-imagenet", "teacher", filters="4")
    first = run("reactnet-imagenet", "first", weights="float", **student)
    second = run("reactnet-imagenet", "second", weights_from=str(tmp_path / "first"), lr="1e-9", **student)
    moved = second.state_dict()
    near = {
        name: float((value - moved[name]).abs().max())
        for name, value in first.state_dict().items()
        if value.is_floating_point() and "running" not in name
    }
    assert max(near.values()) < 1e-6
    again, model = load_run(tmp_path / "second")
    assert again.weights_from == str(tmp_path / "first")
    lower(model, (3, 32, 32), allow_real=True)
    with pytest.raises(TrainingError, match=r"weights_from=.*holds another network.*a run of the same layers"):
        run("reactnet-imagenet", "third", weights_from=str(tmp_path / "teacher"), width_multiplier="0.125")
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize("name", [*NARROW, *WHOLE])
def test_a_net_of_224_pixels_lowers_and_answers_as_torch(name: str) -> None:
    recipe, shape = recipe_of(name), (3, 224, 224)
    torch.manual_seed(1)
    model, batch = recipe.model(shape, 1000 if name in WHOLE else 10), images(shape, 2, seed=3)
    with torch.no_grad():
        model(batch)  # settles the statistics of the norms
        model.eval()
        expected = model(batch[:1]).numpy()
    said: list[str] = []
    # Each step is held to torch's numbers: whole ones with ==, reals by their rounding (fold/proof.py).
    graph = from_bytes(to_bytes(lower(model, shape, allow_real=True, images=batch, say=said.append)))
    assert any(line.startswith("proved on") for line in said)
    codes = np.ascontiguousarray(np.moveaxis(batch[:1].numpy(), 1, -1))
    native = Session(graph, threads=1).logits(codes)
    if not has_real_products(graph):
        np.testing.assert_array_equal(native, interpret(graph, codes))
    if not name.startswith("xnornet"):  # there a sign stands behind a float32 sum, whose order decides ties
        np.testing.assert_allclose(native, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_without_floats_qnn_has_integers_alone() -> None:
    for network in ("alexnet", "googlenet"):
        recipe = recipe_of("qnn").with_settings({"network": network})
        model = recipe.model((3, 64, 64), 10).eval()
        lower(model, (3, 64, 64))  # refuses what is real


def test_rates_and_decay_follow_the_papers_stretched_to_the_epochs() -> None:
    recipe = recipe_of("bwn").with_settings({"epochs": "110"})
    optimizer, schedule = recipe.optimizer(recipe.model((3, 64, 64), 10))
    assert schedule is not None
    rates, decays = [], []
    for _ in range(110):
        rates.append(optimizer.param_groups[0]["lr"])
        decays.append(optimizer.param_groups[0]["weight_decay"])
        optimizer.step()
        schedule.step()
    assert [rates[epoch] for epoch in (0, 35, 36, 58, 86, 104)] == pytest.approx([1e-2, 1e-2, 5e-3, 1e-3, 5e-4, 1e-4])
    assert (decays[57], decays[58], decays[109]) == (5e-4, 0, 0)


def test_what_evaluation_shows_grows_with_the_size() -> None:
    assert recipe_of("bireal").crops() == Crops(224, 256, lighting=0.1)
    assert recipe_of("bireal").with_settings({"size": "112"}).crops() == Crops(112, 128, lighting=0.1)
    assert recipe_of("qnn").crops().area is None


def test_the_page_states_what_its_script_computes() -> None:
    docs = Path(__file__).parents[2] / "docs"
    spec = importlib.util.spec_from_file_location("imagenet_costs", docs / "imagenet_costs.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script
    spec.loader.exec_module(script)
    made = script.table()
    assert f"docs/imagenet_costs.py -->\n\n{made}\n<!-- /costs -->" in (docs / "imagenet.md").read_text(
        encoding="utf-8"
    ), "docs/imagenet.md is stale: put in what `python docs/imagenet_costs.py` prints"
    resnet = script.cost("bireal-imagenet", {})
    assert resnet.macs == pytest.approx(1.81e9, rel=0.01)  # of ResNet-18, as everybody counts them
    assert resnet.operations == 6 * resnet.macs * resnet.images
