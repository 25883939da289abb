"""Bitwise networks as a recipe: when which stage is, and that stage 2 is all integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.data import DataSet, Split, load
from binarynet.errors import LoweringError, RecipeError
from binarynet.graph import interpret
from binarynet.graph.ir import Linear, Threshold
from binarynet.lower import lower
from binarynet.nn.papers.bitwise import BitwiseLinear, BitwiseNet
from binarynet.nn.quantizers import BitwiseSign
from binarynet.recipes.bitwise import Bitwise
from binarynet.train import fit, load_run
from tests.recipes.steps import two_steps


def recipe(**settings: object) -> Bitwise:
    base: dict[str, object] = {"data": "digits", "epochs": 10, "batch_size": 16, "width": 24, "layers": 2}
    return Bitwise(**{**base, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("epoch", [0, 9])
def test_both_stages_train_all_parameters(epoch: int) -> None:
    model = two_steps(recipe(), epoch=epoch)
    assert isinstance(model, BitwiseNet)
    assert model.stage == (1 if epoch == 0 else 2)


@pytest.mark.parametrize(
    ("epochs", "compression", "first"),
    [(10, 0.5, 5), (10, 0.0, 0), (10, 0.99, 9), (1, 0.5, 0), (2, 0.5, 1), (6, 0.5, 3)],
)
def test_stage_2_has_the_rest_of_the_epochs_and_one_at_least(epochs: int, compression: float, first: int) -> None:
    one = recipe(epochs=epochs, compression=compression)
    model = one.model((1, 8, 8), 10)
    assert isinstance(model, BitwiseNet)
    for epoch in range(epochs):
        one.begin_epoch(model, epoch)
        assert model.stage == (1 if epoch < first else 2)
        assert one.selectable(epoch) == (epoch >= first)


def test_rates_fall_within_each_stage_and_begin_anew_with_the_second() -> None:
    one = recipe(epochs=4, lr_compression=0.02, lr_bitwise=0.005, lr_fall=0.01)
    optimizer, schedule = one.optimizer(one.model((1, 8, 8), 10))
    assert schedule is not None
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.02, 0.002, 0.005, 0.0005])


def test_window_grows_with_the_root_of_the_inputs() -> None:
    model = recipe(window=0.5, width=100).model((1, 8, 8), 10)
    assert [one.width for one in model.modules() if isinstance(one, BitwiseSign)] == [4.0, 5.0]


@pytest.mark.parametrize(("sparsity", "encoding"), [(0.4, "t2"), (0.0, "b1")])
def test_stage_2_lowers_to_integers_that_answer_what_torch_answers(sparsity: float, encoding: str) -> None:
    model = two_steps(recipe(sparsity=sparsity), epoch=9).eval()
    images = torch.randint(0, 256, (200, 1, 8, 8), dtype=torch.uint8)
    images[:, :, 0, :2] = torch.tensor([127, 128], dtype=torch.uint8)  # the border of a pixel's sign
    graph = lower(model, (1, 8, 8))
    assert [op.weight_encoding for op in graph.ops if isinstance(op, Linear)] == [encoding] * 3
    assert [op.encoding for op in graph.ops if isinstance(op, Threshold)] == ["b1"] * 3
    with torch.no_grad():
        expected = model(images).numpy()
    assert np.array_equal(interpret(graph, images.reshape(200, 64).numpy()), expected)


def test_norms_fold_into_thresholds_and_keep_latent_weights_in_their_window() -> None:
    one = recipe(norm=True, lr_bitwise=0.5)
    model = two_steps(one, epoch=9).eval()
    assert all(layer.weight.abs().max() <= 1 for layer in model.modules() if isinstance(layer, BitwiseLinear))
    images = torch.randint(0, 256, (200, 1, 8, 8), dtype=torch.uint8)
    graph = lower(model, (1, 8, 8))
    assert [op.weight_encoding for op in graph.ops if isinstance(op, Linear)] == ["t2"] * 3
    with torch.no_grad():
        expected = model(images).numpy()
    answers = interpret(graph, images.reshape(200, 64).numpy())
    np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(answers.argmax(1), expected.argmax(1))


def test_stage_1_is_real_and_does_not_lower() -> None:
    with pytest.raises(LoweringError, match=r"linear1.*real"):
        lower(recipe().model((1, 8, 8), 10), (1, 8, 8))


def test_a_run_broken_off_in_stage_2_resumes_to_the_same_weights_and_is_loaded_in_stage_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = load("digits")
    few = Split(digits.train.images[:200], digits.train.labels[:200])
    data = DataSet("digits", digits.classes, few, digits.validation, digits.test)
    one = recipe(epochs=4)
    whole = fit(one, data, tmp_path / "whole", progress=False, threads=1)
    begin = Bitwise.begin_epoch

    def stopping(self: Bitwise, model: nn.Module, epoch: int) -> None:
        if epoch == 3:  # one epoch of stage 2 is over
            raise RuntimeError("stop")
        begin(self, model, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(Bitwise, "begin_epoch", stopping)
        with pytest.raises(RuntimeError, match="stop"):
            fit(one, data, tmp_path / "broken", progress=False, threads=1)
    resumed = fit(one, data, tmp_path / "broken", resume=True, progress=False, threads=1)
    assert (resumed.best_epoch, resumed.test_error) == (whole.best_epoch, whole.test_error)
    loaded = load_run(tmp_path / "whole", one)[1]
    for model in (whole.model, resumed.model, loaded):
        assert isinstance(model, BitwiseNet)
        assert model.stage == 2
        assert all(map(torch.equal, model.parameters(), whole.model.parameters()))


@pytest.mark.parametrize("setting", ["sparsity", "compression"])
@pytest.mark.parametrize("value", ["1", "-0.5"])
def test_shares_outside_their_range_are_refused(setting: str, value: str) -> None:
    with pytest.raises(RecipeError, match=f"{setting}=.*from 0 up to but not 1"):
        recipes.get("bitwise-mnist").with_settings({setting: value})
