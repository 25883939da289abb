"""Ternary networks: the three methods, and the two stages of Hwang and Sung's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.nn import BinaryLayer, latent_weights
from binarynet.nn.quantizers import DorefaActivation, TtqTernary, TwnTernary, UniformLevels
from binarynet.recipes.ternary import TernaryConvNet, TernaryMlp
from tests.recipes.steps import two_steps

QUANTIZERS = {"hwang-sung": UniformLevels, "twn": TwnTernary, "ttq": TtqTernary}


def mlp(**settings: object) -> TernaryMlp:
    base: dict[str, object] = {"data": "digits", "epochs": 10, "batch_size": 8, "width": 16, "layers": 2}
    return TernaryMlp(**{**base, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("method", QUANTIZERS)
def test_all_layers_have_the_quantizer_of_the_method_one_each(method: str) -> None:
    model = mlp(method=method).model((1, 8, 8), 10)
    quantizers = [layer.weight_quantizer for _, layer, _ in latent_weights(model)]
    assert [type(quantizer) for quantizer in quantizers] == [QUANTIZERS[method]] * 3
    assert len(set(map(id, quantizers))) == 3


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"method": "hwang-sung"}, DorefaActivation),
        ({"method": "twn"}, nn.ReLU),
        ({"method": "ttq"}, nn.ReLU),
        ({"method": "twn", "activation_bits": 2}, DorefaActivation),
        ({"method": "hwang-sung", "activation_bits": 32}, nn.ReLU),
    ],
)
def test_activations_are_the_methods_unless_bits_are_given(settings: dict[str, object], kind: type) -> None:
    activation = mlp(**settings).model((1, 8, 8), 10).activation1
    assert type(activation) is kind
    if kind is DorefaActivation:
        assert activation.bits == settings.get("activation_bits", 3)


def test_float_ends_are_plain_layers() -> None:
    model = mlp(method="ttq", ends="float").model((1, 8, 8), 10)
    assert [name for name, _, _ in latent_weights(model)] == ["linear2"]
    assert not isinstance(model.linear1, BinaryLayer)
    assert model.classes.bias is not None


@pytest.mark.parametrize("ends", ["ternary", "float"])
@pytest.mark.parametrize("method", QUANTIZERS)
def test_every_method_trains_in_every_stage(method: str, ends: str) -> None:
    for epoch in (0, 9):
        model = two_steps(mlp(method=method, ends=ends), epoch=epoch)
        for _, layer, _ in latent_weights(model):
            if method != "hwang-sung" or epoch == 9:
                assert len(layer.binary_weight.unique()) <= 3


def test_convnet_trains_and_is_augmented_only_if_told() -> None:
    recipe = TernaryConvNet(data="cifar10", epochs=2, batch_size=8, filters=4, hidden=16, method="ttq", ends="float")
    two_steps(recipe, (3, 32, 32))
    plain = TernaryConvNet(data="cifar10", epochs=2, batch_size=8, augmented=False)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8).numpy()
    assert plain.augment(images, None) is images


def test_steps_are_fitted_when_the_second_stage_begins_and_kept_from_then_on() -> None:
    recipe = mlp(float_share=0.4)
    model = recipe.model((1, 8, 8), 10)
    quantizers = [m for m in model.modules() if isinstance(m, UniformLevels)]
    for epoch in range(10):
        recipe.begin_epoch(model, epoch)
        assert [q.fitted for q in quantizers] == [epoch >= 4] * 3
        assert recipe.selectable(epoch) == (epoch >= 4)
        if epoch == 4:
            steps = [q.step.clone() for q in quantizers]
            for layer in model.modules():
                if isinstance(layer, BinaryLayer):
                    layer.reset_parameters()
    assert [q.step for q in quantizers] == steps


def test_a_resumed_second_stage_keeps_the_steps_of_the_checkpoint() -> None:
    recipe = mlp()
    model = recipe.model((1, 8, 8), 10)
    recipe.begin_epoch(model, 4)
    resumed = recipe.model((1, 8, 8), 10)
    resumed.load_state_dict(model.state_dict())
    recipe.begin_epoch(resumed, 5)
    for ours, theirs in zip(resumed.state_dict().items(), model.state_dict().items(), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    ("settings", "float_epochs"),
    [
        ({"float_share": 0.0}, 0),
        ({"float_share": 0.99}, 9),
        ({"float_share": 0.99, "epochs": 1}, 0),
        ({"method": "twn"}, 0),
        ({"method": "ttq", "float_share": 0.9}, 0),
    ],
)
def test_there_is_always_an_epoch_to_choose(settings: dict[str, object], float_epochs: int) -> None:
    recipe = mlp(**settings)
    assert recipe.float_epochs == float_epochs
    assert [recipe.selectable(epoch) for epoch in range(recipe.epochs)].count(True) >= 1


def test_rate_falls_in_each_stage_and_starts_again_with_the_second() -> None:
    recipe = mlp(lr_start=1.0, lr_end=0.01, float_share=0.5)
    optimizer, schedule = recipe.optimizer(recipe.model((1, 8, 8), 10))
    assert schedule is not None
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    stage = [0.01 ** (e / 5) for e in range(5)]
    assert rates == pytest.approx(stage + stage)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation_bits": "9"}, "activation_bits=9: needs 1 to 8, 32 for float"),
        ({"float_share": "1"}, "float_share=1.0: needs a share, from 0"),
        ({"method": "binary"}, "needs one of hwang-sung, twn, ttq"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipes.get("ternary-mnist").with_settings(settings)
