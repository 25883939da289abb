"""The language models of QNN: trained on every token, chosen by perplexity, the same integers everywhere."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from binarynet import recipes
from binarynet.cli.images import split_of
from binarynet.cli.lower import write_model
from binarynet.data import load
from binarynet.errors import LoweringError, RecipeError
from binarynet.format import load as load_graph
from binarynet.graph import interpret
from binarynet.lower import lower
from binarynet.nn.papers.language_model import RecurrentModel
from binarynet.runtime import Session, isa
from binarynet.train import fit
from tests.export.building import assert_c_equals_the_oracle


def model(state: str, weight_bits: int, activation_bits: int, tokens: int = 20) -> RecurrentModel:
    torch.manual_seed(weight_bits)
    made = RecurrentModel(tokens, 17, state, weight_bits, activation_bits)  # type: ignore[arg-type]
    torch.nn.init.normal_(made.bias, std=0.3)
    return made


def windows(n: int, steps: int = 5, tokens: int = 20, digits: int = 1) -> torch.Tensor:
    return torch.randint(
        0, tokens, (n, digits, 1, steps), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


@pytest.mark.parametrize("state", ["rnn", "lstm"])
@pytest.mark.parametrize("bits", [(1, 1), (2, 3), (4, 4), (7, 7)])
def test_unrolled_it_answers_what_torch_answers(state: str, bits: tuple[int, int]) -> None:
    net, x = model(state, *bits), windows(32)
    in_training = net(x)[..., -1].detach().numpy()
    net.eval()
    expected = net(x).detach().numpy()
    np.testing.assert_array_equal(in_training, expected)  # looked up, or as a product of ±1
    graph = lower(net, (1, 1, 5), images=x)
    codes = np.ascontiguousarray(np.moveaxis(x.numpy(), 1, -1))
    oracle = interpret(graph, codes)
    np.testing.assert_array_equal(oracle, expected)
    for one in isa.available():
        np.testing.assert_array_equal(Session(graph, isa=one, threads=1).logits(codes), oracle)


def test_it_is_the_same_in_c(tmp_path: Path) -> None:
    x = windows(8, steps=3)
    graph = lower(model("lstm", 2, 2).eval(), (1, 1, 3), images=x)
    assert_c_equals_the_oracle(graph, np.ascontiguousarray(np.moveaxis(x.numpy(), 1, -1)), tmp_path)


def test_a_number_that_is_no_token_counts_as_the_last() -> None:
    net, x = model("rnn", 3, 3), windows(4)
    x[..., -1] = 255
    last = x.clone()
    last[..., -1] = 19
    assert torch.equal(net(x), net(last))
    assert torch.equal(net.eval()(x), net(last))


def test_tokens_of_two_bytes_are_refused_with_the_way_out() -> None:
    net = model("rnn", 2, 2, tokens=300).eval()
    assert net(windows(2, digits=2)).shape == (2, 300)
    with pytest.raises(LoweringError, match=r"tokens \(TokenTable\): .*look-up.*at most 256 tokens.*tokens=characters"):
        lower(net, (2, 1, 5), allow_real=True)


def test_the_loss_is_that_of_every_token() -> None:
    recipe = recipes.get("qnn-ptb").with_settings({"hidden": "8"})
    x, target = windows(6), torch.arange(6)
    net = recipe.model((1, 1, 5), 20)
    logits = net(x)
    assert logits.shape == (6, 20, 5)
    wanted = torch.cat([x[:, 0, 0, 1:].long(), target[:, None]], 1)
    by_hand = -logits.log_softmax(1).gather(1, wanted[:, None]).mean()
    assert float(recipe.training_loss(logits, target, x).detach()) == pytest.approx(float(by_hand.detach()))
    with pytest.raises(RecipeError, match=r"reads text: --data FILE\.txt"):
        recipe.model((3, 32, 32), 10)


def test_a_run_is_chosen_by_perplexity_and_its_file_reads_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = ["the cat sat", "a dog ran", "on and on"]
    (tmp_path / "t.txt").write_text("\n".join(words[k] for k in rng.integers(0, 3, 400)))
    settings = {"steps": "8", "hidden": "24", "epochs": "3", "batch_size": "32", "lr_start": "0.02", "lr_end": "0.01"}
    recipe = recipes.get("qnn-ptb").with_settings(settings)
    data = load(tmp_path / "t.txt", **recipe.reading())
    result = fit(recipe, data, tmp_path / "run", progress=False, threads=1)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = [float(row["validation_perplexity"]) for row in csv.DictReader(file)]
    assert rows[-1] < 8  # it learns: by chance one of 14 characters
    assert result.best_epoch == 1 + int(np.argmin(rows))
    said = json.loads((tmp_path / "run" / "result.json").read_text())
    assert said["test_perplexity"] == pytest.approx(math.exp(result.test_loss))
    file = tmp_path / "run" / "model.bnn"
    write_model(result.model, "qnn-ptb", data.shape, data.classes, data.name, file, data.origin, quiet=True)
    graph = load_graph(file)
    test = split_of(graph, str(tmp_path / "t.txt"), "test", None)
    assert np.array_equal(test.images, data.test.images)
    wrong = 100 * float((Session(graph).predict(test.images) != test.labels).mean())
    assert wrong == pytest.approx(result.test_error)
