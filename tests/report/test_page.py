"""A report is one file that shows what was computed, works without a network, and lets no name out of a file run."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from binarynet.cli import main
from binarynet.data import Split, load_split
from binarynet.format import load, save
from binarynet.models import find
from binarynet.report.page import content_of, page
from binarynet.runtime import Session


def test_the_matrix_and_the_mistakes_are_those_of_the_engine():
    file = find("digits")
    graph, split = load(file), load_split("digits", "test")
    content = content_of(file, graph, split, "digits, test")
    answers = Session(graph).predict(split.images)
    assert content.confusion.sum() == len(split)
    assert np.trace(content.confusion) == (answers == split.labels).sum()
    assert len(content.mistakes) == min(24, (answers != split.labels).sum())
    assert [one.margin for one in content.mistakes] == sorted((one.margin for one in content.mistakes), reverse=True)
    for one in content.mistakes:
        (row,) = [k for k, image in enumerate(split.images) if np.array_equal(image, one.image)]
        assert (one.truth, one.answer) == (graph.classes[split.labels[row]], graph.classes[answers[row]])
    assert all(one.holds for one in content.agreements)


def test_names_out_of_a_file_are_escaped_and_nothing_is_fetched(tmp_path):
    evil = "<script>alert(1)</script>"
    graph = load(find("digits"))
    names = "\n".join([evil, *graph.classes[1:]])
    ops = tuple(replace(op, sources=tuple("l<i>" if s == "linear1" else s for s in op.sources)) for op in graph.ops)
    ops = tuple(replace(op, name="l<i>") if op.name == "linear1" else op for op in ops)
    assert any(op.name == "l<i>" for op in ops)
    save(replace(graph, ops=ops, meta={**graph.meta, "classes": names, "recipe": evil + "$x$"}), tmp_path / "evil.bnn")
    images = load_split("digits", "test")
    text = page(content_of(tmp_path / "evil.bnn", load(tmp_path / "evil.bnn"), images, evil), None)
    assert evil not in text
    assert "<script" not in text
    assert "l<i>" not in text
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:|#)", text)
    assert "default-src 'none'" in text


def test_report_of_a_run_and_of_a_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--set", "width=32", "--epochs", "2", "--threads", "1"]
    for seed, gradients in (("0", "float32"), ("1", "int8")):
        how = ["--seed", seed, "--gradients", gradients, "--out", f"run{seed}", "--json"]
        assert main(["train", "bnn-digits", *small, *how]) == 0
    assert main(["report", "run0"]) == 0
    text = (tmp_path / "run0" / "report.html").read_text()
    for words in ("Epoch", "weights that flipped", "The worst mistakes", "linear1", "equal logits with the oracle"):
        assert words in text
    assert main(["report", "digits", "--out", "digits.html"]) == 0
    assert "296 images" in (tmp_path / "digits.html").read_text()
    capsys.readouterr()
    assert main(["compare", "run0", "run1", "--out", "both.svg", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["differ"] == ["seed", "gradients"]
    assert found["runs"]["run0"]["result"] == json.loads((tmp_path / "run0" / "result.json").read_text())
    assert "<svg" in (tmp_path / "both.svg").read_text()
    assert main(["compare", "run0", "nowhere"]) == 2


def test_without_images_the_model_is_shown_and_it_is_said(tmp_path, monkeypatch):
    graph = load(find("digits"))
    save(replace(graph, meta={}), tmp_path / "bare.bnn")
    monkeypatch.chdir(tmp_path)
    assert main(["report", "bare.bnn"]) == 0
    text = (tmp_path / "bare.html").read_text()
    assert "does not say what it was trained on" in text
    assert "Layer by layer" in text
    assert main(["report", "bare.bnn", "--data", "nowhere/at/all"]) == 2


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"recipe": "x", "settings": 3}'),
        ("result.json", '{"best_epoch": "<b>"}'),
        ("result.json", '{"best_epoch": 1}'),
        ("metrics.csv", "epoch,train_loss\n1,x\n"),
        ("metrics.csv", "a,b\n1,2\n"),
    ],
)
def test_a_damaged_run_folder_is_named_in_a_line(file, text, tmp_path, capsys):
    (tmp_path / "model.bnn").write_bytes(find("digits").read_bytes())
    (tmp_path / "config.json").write_text('{"recipe": "x", "settings": {"<i>": "<b>"}}')
    assert main(["report", str(tmp_path)]) == 0
    assert "<i>" not in (tmp_path / "report.html").read_text()
    (tmp_path / file).write_text(text)
    capsys.readouterr()
    for verb in ("report", "compare"):
        assert main([verb, str(tmp_path)]) == 2
        printed = capsys.readouterr().err
        assert file in printed
        assert printed.count("\n") == 1


@pytest.mark.parametrize("count", [0, 1])
def test_few_images_are_no_problem(count):
    file = find("digits")
    split = load_split("digits", "test")
    few = Split(split.images[:count], split.labels[:count])
    assert "Layer by layer" in page(content_of(file, load(file), few, "few"), None)
