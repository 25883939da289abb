"""Expectation backpropagation as a recipe: its steps, and which of its two evaluations becomes a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.errors import LoweringError
from binarynet.graph import interpret
from binarynet.graph.ir import Linear
from binarynet.lower import lower
from binarynet.recipes.expectation_backprop import ExpectationBackprop
from tests.recipes.steps import two_steps


def recipe(**settings: object) -> ExpectationBackprop:
    base: dict[str, object] = {"data": "digits", "epochs": 4, "batch_size": 16, "width": 21, "layers": 2}
    return ExpectationBackprop(**{**base, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("evaluation", ["ebp-d", "ebp-p"])
@pytest.mark.parametrize("weights", ["binary", "real"])
def test_all_parameters_of_every_variant_are_trained(weights: str, evaluation: str) -> None:
    two_steps(recipe(weights=weights, evaluation=evaluation))


def test_a_step_is_the_rate_times_the_sum_over_the_batch() -> None:
    optimizer, schedule = recipe(rate=0.5, rate_end=0.05).optimizer(recipe().model((1, 8, 8), 10))
    assert schedule is not None
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"] / 16)
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.05)
    assert type(optimizer) is torch.optim.SGD
    assert all(optimizer.param_groups[0][extra] == 0 for extra in ("momentum", "weight_decay", "dampening"))


def test_evaluation_does_not_change_the_training() -> None:
    nets = [two_steps(recipe(evaluation=evaluation)) for evaluation in ("ebp-d", "ebp-p")]
    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))


@pytest.mark.parametrize("layers", [1, 3])
def test_the_deterministic_network_lowers_to_bits_and_thresholds_exactly(layers: int) -> None:
    model = two_steps(recipe(layers=layers)).eval()
    images = torch.randint(0, 256, (200, 1, 8, 8), dtype=torch.uint8)
    graph = lower(model, (1, 8, 8))
    products = [op.weight_encoding for op in graph.ops if isinstance(op, Linear)]
    assert products == ["b1"] * (layers + 1)
    with torch.no_grad():
        expected = model(images).numpy()
    assert np.array_equal(interpret(graph, images.reshape(200, 64).numpy()), expected)


def test_the_mean_of_all_networks_is_refused_with_the_way_out() -> None:
    model = recipe(evaluation="ebp-p").model((1, 8, 8), 10).eval()
    with pytest.raises(LoweringError, match=r"linear1.*EBP-P.*ebp-d"):
        lower(model, (1, 8, 8))


def test_real_weights_stay_real_and_only_if_they_may() -> None:
    model = two_steps(recipe(weights="real")).eval()
    with pytest.raises(LoweringError, match=r"linear1.*real"):
        lower(model, (1, 8, 8))
    graph = lower(model, (1, 8, 8), allow_real=True)
    assert [op.weight_encoding for op in graph.ops if isinstance(op, Linear)] == ["f32"] * 3
    images = torch.randint(0, 256, (200, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        expected = model(images).numpy()
    # Sums of real numbers in another order: a neuron at its border may switch, which moves an answer by 2 h.
    answers = interpret(graph, images.reshape(200, 64).numpy())
    assert (answers.argmax(1) == expected.argmax(1)).mean() > 0.99


def test_settings_choose_weights_and_evaluation() -> None:
    chosen = recipes.get("expectation-backprop-mnist").with_settings({"weights": "real", "evaluation": "ebp-p"})
    net = chosen.model((1, 28, 28), 10)
    assert net.get_submodule("linear2").weights == "real"
    assert net.get_submodule("sign2").evaluation == "ebp-p"
