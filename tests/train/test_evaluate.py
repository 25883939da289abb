"""Scores: every image weighs the same, whatever batch it came in."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from binarynet.data import DataSet
from binarynet.train import evaluate
from binarynet.train.evaluate import Tally, scores


def model() -> nn.Module:
    torch.manual_seed(0)

    class Floats(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) / 255

    return nn.Sequential(Floats(), nn.Linear(144, 4), nn.Dropout(0.5))


@pytest.mark.parametrize("batch_size", [1, 7, 60, 61, 500])
def test_scores_do_not_depend_on_the_batches(data: DataSet, batch_size: int) -> None:
    net, split = model(), data.validation
    found = evaluate(net, split, F.cross_entropy, batch_size=batch_size)
    with torch.no_grad():
        logits, target = net.eval()(torch.tensor(split.images)), torch.tensor(split.labels)
    assert found.images == 61
    assert found.error == 100 * int((logits.argmax(1) != target).sum()) / 61
    # The mean of 61 float32 losses, summed in another order.
    assert found.loss == pytest.approx(float(F.cross_entropy(logits, target)), rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_keeps_its_mode_and_has_dropout_off(data: DataSet, training: bool) -> None:
    net = model().train(training)
    first, second = (evaluate(net, data.test, F.cross_entropy) for _ in range(2))
    assert first == second
    assert net.training is training


def test_a_part_that_is_frozen_stays_so_and_autocast_of_the_caller_is_off(data: DataSet) -> None:
    net = nn.Sequential(*model(), nn.BatchNorm1d(4)).train()
    net[-1].eval()
    expected = evaluate(net, data.test, F.cross_entropy)
    with torch.autocast("cpu", torch.bfloat16):
        assert evaluate(net, data.test, F.cross_entropy) == expected
    assert [module.training for module in net] == [True, True, True, False]
    with pytest.raises(RuntimeError):
        evaluate(net, data.test, nn.NLLLoss(torch.ones(3)))
    assert net.training


def test_a_tally_weighs_batches_by_their_size() -> None:
    tally = Tally()
    tally.add(torch.tensor(1.0), torch.eye(3), torch.tensor([0, 1, 2]))
    tally.add(torch.tensor(5.0), torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([2]))
    assert scores(tally.sums()) == (2.0, 25.0, 4)
