"""Statistics of the norms, measured anew with the weights of evaluation."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from binarynet.nn import BinaryLinear
from binarynet.nn.papers.shift_norm import ShiftBatchNorm1d
from binarynet.nn.quantizers import BinaryConnect
from binarynet.recipes.binaryconnect import BinaryConnectMlp
from binarynet.train import fit
from binarynet.train.norms import reestimate
from tests.train import tiny


def drawn_net() -> nn.Sequential:
    torch.manual_seed(5)
    linear = BinaryLinear(6, 4, bias=False, weight_quantizer=BinaryConnect(stochastic=True))
    return nn.Sequential(linear, nn.BatchNorm1d(4, momentum=0.3), nn.Dropout(0.5), ShiftBatchNorm1d(4))


def test_statistics_are_the_means_over_the_batches_of_what_evaluations_weights_give() -> None:
    net = drawn_net()
    batches = [torch.randn(10, 6) for _ in range(3)]
    reestimate(net, batches)
    linear, norm = net[0], net[1]
    acc = [batch @ linear.binary_weight.T for batch in batches]
    torch.testing.assert_close(norm.running_mean, torch.stack([a.mean(0) for a in acc]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([a.var(0) for a in acc]).mean(0))
    # Each batch was normalised by its own statistics on the way to the second norm, whose means are then 0.
    torch.testing.assert_close(net[3].running_mean, torch.zeros(4), rtol=0, atol=1e-6)


def test_nothing_else_changes_and_nothing_is_drawn() -> None:
    net = drawn_net().train()
    net[2].eval()
    parameters = copy.deepcopy(dict(net.named_parameters()))
    generator = torch.get_rng_state()
    reestimate(net, [torch.randn(10, 6)])
    torch.set_rng_state(generator)
    reestimate(net, [torch.ones(10, 6).normal_(generator=torch.Generator().manual_seed(1))])
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, parameters[name]) for name, value in net.named_parameters())
    assert [module.training for module in net] == [True, True, False, True]
    assert (net[1].momentum, net[3].momentum) == (0.3, 0.125)


def test_modes_come_back_after_an_error() -> None:
    net = drawn_net()
    with pytest.raises(RuntimeError):
        reestimate(net, [torch.randn(10, 7)])
    assert all(module.training for module in net.modules())
    assert net[1].momentum == 0.3


@dataclass(frozen=True, kw_only=True)
class Drawn(BinaryConnectMlp):
    data: str = "blobs"
    epochs: int = 3
    batch_size: int = 20
    width: int = 16
    layers: int = 1
    weights: str = "stochastic"  # type: ignore[assignment]
    measured_batches: int = 5


def test_recipes_measure_where_evaluation_has_other_weights() -> None:
    assert Drawn().norm_batches() == 5
    assert Drawn(test_weights="sampled").norm_batches() == 5
    assert Drawn(test_weights="real").norm_batches() == 0
    assert Drawn(weights="deterministic").norm_batches() == 0
    assert tiny.Tiny().norm_batches() == 0


def test_the_network_that_is_saved_has_the_measured_statistics(tmp_path: Path) -> None:
    model = fit(Drawn(), tiny.blobs(), tmp_path / "run", progress=False).model
    again = copy.deepcopy(model)
    linear, norm = again[2], again[3]
    assert isinstance(linear, BinaryLinear)
    # Of one batch the mean is off by less than its spread over batches; of drawn weights it is another number.
    images = torch.from_numpy(tiny.blobs().train.images[:200])
    with torch.no_grad():
        acc = again[:3](images)
    error = ((norm.running_mean - acc.mean(0)).abs() / acc.std(0)).mean()
    assert error < 0.15


def test_a_resumed_run_measures_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_in_the_second(self: Drawn, model: nn.Module, epoch: int) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    whole = fit(Drawn(), tiny.blobs(), tmp_path / "whole", progress=False).model
    monkeypatch.setattr(Drawn, "begin_epoch", stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        fit(Drawn(), tiny.blobs(), tmp_path / "cut", progress=False)
    monkeypatch.undo()
    resumed = fit(Drawn(), tiny.blobs(), tmp_path / "cut", progress=False, resume=True).model
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
