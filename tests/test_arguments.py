"""A mistake in a call is named in one line, with what to pass instead, by every public function."""

import numpy as np
import pytest
import torch
from torch import nn

import binarynet
from binarynet import data, models, optim, recipes, train
from binarynet import nn as bnn
from binarynet.errors import ArgumentError, BinarynetError, closest, takes
from binarynet.export import write
from binarynet.graph import trace, verify
from binarynet.importer import import_onnx
from binarynet.lower import lower
from binarynet.report import oracle_logits, summarise, with_native
from binarynet.runtime import isa
from tests.graph.graphs import small_mlp

GRAPH = small_mlp()
MODEL = nn.Linear(4, 2)
DIGITS = data.load("digits")
RECIPE = recipes.get("bnn-digits")
IMAGES = np.zeros((2, 10), np.uint8)
SGD = torch.optim.SGD(MODEL.parameters(), 0.1)

# A call as it is often written by mistake → what the line must hold.
MISTAKES = {
    'fit("bnn-digits", "digits")': (
        lambda: train.fit("bnn-digits", "digits", "x"),
        'binarynet.recipes.get("bnn-digits")',
    ),
    "fit: data by name": (lambda: train.fit(RECIPE, "digits", "x"), 'binarynet.data.load("digits")'),
    "fit: wrong order": (lambda: train.fit(DIGITS, RECIPE, "x"), "fit: recipe is DataSet"),
    "fit: no folder": (lambda: train.fit(RECIPE, DIGITS), "missing a required argument: 'out'"),
    "fit: None": (lambda: train.fit(RECIPE, DIGITS, None), "fit: out is None"),
    "fit: seed": (lambda: train.fit(RECIPE, DIGITS, "x", seed="1"), "fit: seed is '1', of type str"),
    "fit: unknown option": (lambda: train.fit(RECIPE, DIGITS, "x", epoch=3), "'epoch'"),
    "save(model)": (lambda: binarynet.save(MODEL), "save: graph is Linear("),
    "save(model, path)": (lambda: binarynet.save(MODEL, "x.bnn"), "binarynet.lower.lower(model, shape)"),
    "save: wrong order": (lambda: binarynet.save("x.bnn", GRAPH), "save: graph is 'x.bnn'"),
    "save: no path": (lambda: binarynet.save(GRAPH), "'path'"),
    "save: None": (lambda: binarynet.save(GRAPH, None), "save: path is None"),
    'Session("digits")': (lambda: binarynet.Session("digits"), "binarynet.load(…)"),
    "Session(None)": (lambda: binarynet.Session(None), "Session: graph is None"),
    "Session: isa": (lambda: binarynet.Session(GRAPH, isa=2), "Session: isa is 2"),
    "Session: threads": (lambda: binarynet.Session(GRAPH, threads="2"), "Session: threads is '2'"),
    "Session: device": (lambda: binarynet.Session(GRAPH, device=None), "Session: device is None"),
    "load(None)": (lambda: binarynet.load(None), "load: path is None"),
    "load(graph)": (lambda: binarynet.load(GRAPH), "load: path is Graph("),
    "load_graph(3)": (lambda: binarynet.load_graph(3), "load: path is 3"),
    "interpret(path)": (lambda: binarynet.interpret("digits", IMAGES), "interpret: graph is 'digits'"),
    "interpret: wrong order": (lambda: binarynet.interpret(IMAGES, GRAPH), "interpret: graph is array("),
    "interpret: a list": (lambda: binarynet.interpret(GRAPH, [[1]]), "interpret: images is [[1]]"),
    "trace(None)": (lambda: trace(None, IMAGES), "trace: graph is None"),
    "verify(name)": (lambda: verify("digits"), "verify: graph is 'digits'"),
    "isa.use(512)": (lambda: isa.use(512), "use: name is 512"),
    "card(None)": (lambda: models.card(None), "card: name is None"),
    "data.load(None)": (lambda: data.load(None), "load: name is None"),
    "data.load(name, 3)": (lambda: data.load("digits", 3), "load: data_dir is 3"),
    "load_split: split": (lambda: data.load_split("digits", None), "load_split: split is None"),
    "Split of lists": (lambda: data.Split([[1]], [2]), "Split: images is [[1]]"),
    "Split: labels": (lambda: data.Split(DIGITS.test.images, [2]), "Split: labels is [2]"),
    "DataSet of arrays": (lambda: data.DataSet("x", ("a",), IMAGES, IMAGES, IMAGES), "DataSet: train is array("),
    "pad_crop_flip: seed": (lambda: data.pad_crop_flip(DIGITS.test.images, 0), "numpy.random.default_rng(0)"),
    "read_idx(None)": (lambda: data.read_idx(None), "read_idx: path is None"),
    "write_idx: wrong order": (lambda: data.write_idx(IMAGES, "x"), "write_idx: path is array("),
    "recipes.get(None)": (lambda: recipes.get(None), "get: name is None"),
    "convert(name)": (lambda: bnn.convert("resnet"), "convert: module is 'resnet'"),
    "latent_weights(None)": (lambda: list(bnn.latent_weights(None)), "latent_weights: module is None"),
    "squared_hinge: arrays": (lambda: bnn.squared_hinge(IMAGES, IMAGES), "squared_hinge: logits is array("),
    'latent_optimizer("adam")': (lambda: optim.latent_optimizer("adam"), "torch.optim.Adam"),
    "latent_optimizer: an optimizer": (
        lambda: optim.latent_optimizer(SGD, MODEL, 0.1),
        "latent_optimizer: optimizer_class",
    ),
    "latent_optimizer: wrong order": (
        lambda: optim.latent_optimizer(MODEL, torch.optim.SGD, 0.1),
        "optimizer_class is Lin",
    ),
    "latent_optimizer: parameters": (
        lambda: optim.latent_optimizer(torch.optim.SGD, MODEL.parameters(), 0.1),
        "latent_optimizer: module is <generator",
    ),
    "latent_optimizer: no lr": (lambda: optim.latent_optimizer(torch.optim.SGD, MODEL), "'lr'"),
    "glorot_scale(name)": (lambda: optim.glorot_scale("linear"), "str has no weight"),
    "geometric_decay(model)": (lambda: optim.geometric_decay(MODEL, 1, 1, 1), "geometric_decay: optimizer is Linear("),
    "load_run(None)": (lambda: train.load_run(None), "load_run: out is None"),
    "evaluate(name)": (lambda: train.evaluate("x", DIGITS.test, bnn.squared_hinge), "evaluate: model is 'x'"),
    "evaluate: whole set": (lambda: train.evaluate(MODEL, DIGITS, bnn.squared_hinge), "evaluate: split is DataSet"),
    "RunFolder(None)": (lambda: train.RunFolder(None), "RunFolder: path is None"),
    "TrainingBatches(set)": (lambda: train.TrainingBatches(DIGITS, 5, seed=0), "TrainingBatches: split is DataSet"),
    "EvaluationBatches(set)": (lambda: train.EvaluationBatches(DIGITS, 5), "EvaluationBatches: split is DataSet"),
    "lower(path)": (lambda: lower("model.pt", (1, 8, 8)), "lower: model is 'model.pt'"),
    "lower: wrong order": (lambda: lower((1, 8, 8), MODEL), "lower: model is (1, 8, 8)"),
    "lower: no shape": (lambda: lower(MODEL), "'shape'"),
    "lower: features": (lambda: lower(MODEL, 4), "lower: shape is 4"),
    "write(path)": (lambda: write("digits", "c", "x"), "write: graph is 'digits'"),
    "write: wrong order": (lambda: write(GRAPH, "c", None), "write: folder is None"),
    "import_onnx(None)": (lambda: import_onnx(None), "import_onnx: path is None"),
    "oracle_logits(name)": (lambda: oracle_logits("digits", IMAGES), "oracle_logits: graph is 'digits'"),
    "with_native(None)": (lambda: list(with_native(None, IMAGES, IMAGES)), "with_native: graph is None"),
    "summarise: wrong order": (lambda: summarise(binarynet.Session(GRAPH), 1, GRAPH), "summarise: graph is Session("),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_call_is_named_with_the_way_out(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, words = MISTAKES[name]
    with pytest.raises(BinarynetError) as caught:
        call()
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert len(text) < 400
    assert list(tmp_path.iterdir()) == []


def test_an_argument_error_is_a_type_error_too():
    with pytest.raises(TypeError):
        binarynet.save(MODEL, "x.bnn")


def test_what_is_taken_stays_as_it_was():
    @takes(number=(int, "a number"))
    def double(number: int, times: int = 2) -> int:
        """Twice."""
        return number * times

    assert (double(3), double(3, times=3), double(number=4)) == (6, 9, 8)
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    with pytest.raises(ArgumentError, match=r"double: too many .*; it takes \(number, times\)"):
        double(1, 2, 3)


def test_a_type_error_of_the_function_itself_passes():
    @takes(number=(int, "a number"))
    def broken(number: int) -> int:
        return number + None

    with pytest.raises(TypeError) as caught:
        broken(1)
    assert not isinstance(caught.value, ArgumentError)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mnist-smal", " Did you mean 'mnist-small'?"),
        ("DIGITS", " Did you mean 'digits'?"),
        ("zebra", ""),
        (None, ""),
        (3, ""),
    ],
)
def test_a_name_that_comes_near_is_offered(name, meant):
    assert closest(name, ("digits", "mnist-small")) == meant


def test_settings_may_be_given_as_what_they_are():
    changed = recipes.get("bitwise-digits").with_settings({"epochs": 3, "dropout": (0.2, 0.4)})
    assert (changed.epochs, changed.dropout) == (3, (0.2, 0.4))
    assert recipes.get("bnn-torch7-digits").with_settings({"stochastic": False}).stochastic is False
