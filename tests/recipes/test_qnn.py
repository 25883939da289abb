"""QNN: BNN's training with other quantizers."""

from __future__ import annotations

import pytest
from torch import nn

from binarynet import recipes
from binarynet.errors import RecipeError
from binarynet.nn import BinaryLayer, latent_weights
from binarynet.nn.papers.gradient import GradientQuantizer
from binarynet.nn.quantizers import LinearQuant, LogQuant
from binarynet.recipes.qnn import QnnConvNet, QnnMlp
from tests.recipes.steps import two_steps


def mlp(**settings: object) -> QnnMlp:
    base: dict[str, object] = {"data": "digits", "epochs": 2, "batch_size": 8, "width": 16, "layers": 2}
    return QnnMlp(**{**base, **settings})  # type: ignore[arg-type]


def test_all_weights_and_hidden_activations_have_their_bits() -> None:
    model = mlp(weight_bits=3, activation_bits=4, gradient_bits=6).model((1, 8, 8), 10)
    assert " ".join(name for name, _ in model.named_children()) == (
        "flatten bytes linear1 gradient1 norm1 activation1 linear2 gradient2 norm2 activation2 classes logits"
    )
    layers = [m for m in model.modules() if isinstance(m, BinaryLayer)]
    assert [(type(m.weight_quantizer), m.weight_quantizer.bits) for m in layers] == [(LinearQuant, 3)] * 3
    activations = [m for name, m in model.named_children() if name.startswith("activation")]
    assert [(type(m), m.bits) for m in activations] == [(LinearQuant, 4)] * 2
    assert [m.bits for m in model.modules() if isinstance(m, GradientQuantizer)] == [6, 6]


def test_the_logarithmic_quantizer_is_chosen_by_name() -> None:
    model = recipes.get("qnn-digits").with_settings({"quantizer": "log", "weight_bits": "3"}).model((1, 8, 8), 10)
    assert isinstance(model.linear1.weight_quantizer, LogQuant)
    assert isinstance(model.activation1, LogQuant)


@pytest.mark.parametrize("quantizer", ["linear", "log"])
@pytest.mark.parametrize("bits", [(1, 1, 32), (1, 2, 32), (4, 4, 6), (2, 3, 1)])
def test_every_choice_of_bits_trains_and_latent_weights_stay_in_the_window(
    quantizer: str, bits: tuple[int, int, int]
) -> None:
    w, a, g = bits
    model = two_steps(mlp(quantizer=quantizer, weight_bits=w, activation_bits=a, gradient_bits=g))
    assert all(weight.abs().max() <= 1 for _, _, weight in latent_weights(model))


def test_convnet_trains() -> None:
    recipe = QnnConvNet(data="cifar10", epochs=2, batch_size=8, filters=4, hidden=16, gradient_bits=6)
    model = two_steps(recipe, (3, 32, 32))
    assert sum(isinstance(m, nn.MaxPool2d) for m in model.modules()) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_bits": "9"}, "weight_bits=9: needs 1 to 8 with the linear quantizer"),
        ({"activation_bits": "5", "quantizer": "log"}, "activation_bits=5: needs 1 to 4 with the log quantizer"),
        ({"gradient_bits": "9"}, "gradient_bits=9: needs 1 to 8, or 32"),
        ({"quantizer": "cubic"}, "quantizer=cubic: needs one of linear, log"),
    ],
)
def test_what_the_quantizers_do_not_take_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipes.get("qnn-mnist").with_settings(settings)
