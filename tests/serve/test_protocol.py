"""Requests of the Open Inference Protocol, read: every way to be wrong has its status and its line."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import binarynet
from binarynet.data import load_split
from binarynet.serve.protocol import LENGTH, Limits, Model, Refused

DIGITS = load_split("digits", "test").images[:5].reshape(5, 64)
MODEL = Model.of("digits", binarynet.load("digits"))
LIMITS = Limits(images=100)


def ask(document: Any, raw: bytes = b"", length: int | None = None) -> Any:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return MODEL.read(text + raw, len(text) if raw and length is None else length, LIMITS)


def tensor(**changed: Any) -> dict[str, Any]:
    entry = {"name": "images", "shape": [5, 64], "datatype": "UINT8", "data": DIGITS.reshape(-1).tolist()}
    return {"inputs": [{name: value for name, value in (entry | changed).items() if value is not None}]}


@pytest.mark.parametrize(
    "document",
    [
        tensor(),
        tensor(data=DIGITS.tolist()),
        tensor(shape=[5, 1, 8, 8]),
        tensor(datatype="INT64"),
        tensor(datatype="FP32"),
        tensor(datatype="FP64", data=(DIGITS / 255.0).reshape(-1).tolist()),
    ],
)
def test_bytes_integers_reals_nested_and_flat_mean_the_same_images(document: dict[str, Any]) -> None:
    question = ask(document)
    assert question.codes.dtype == np.uint8
    assert np.array_equal(question.codes, DIGITS)
    assert question.outputs == {"logits": False, "class": False}


@pytest.mark.parametrize(("datatype", "dtype"), [("UINT8", "<u1"), ("INT32", "<i4"), ("FP32", "<f4")])
def test_tensors_come_as_bytes_behind_the_json_as_well(datatype: str, dtype: str) -> None:
    raw = DIGITS.astype(dtype).tobytes()
    question = ask(tensor(datatype=datatype, data=None, parameters={"binary_data_size": len(raw)}), raw)
    assert np.array_equal(question.codes, DIGITS)


def test_no_images_are_a_question_too() -> None:
    assert ask(tensor(shape=[0, 64], data=[])).codes.shape == (0, 64)


def test_answers_are_json_or_bytes_as_each_output_asks() -> None:
    logits = binarynet.load("digits").logits(DIGITS)
    plain = ask(tensor() | {"id": "seven", "outputs": [{"name": "class"}]})
    content, headers = MODEL.answer(plain, logits)
    document = json.loads(content)
    assert (document["id"], document["model_name"], document["model_version"]) == ("seven", "digits", "1")
    assert document["outputs"] == [
        {"name": "class", "datatype": "INT64", "shape": [5], "data": logits.argmax(axis=1).tolist()}
    ]
    mixed = [{"name": "logits", "parameters": {"binary_data": True}}, {"name": "class"}]
    content, headers = MODEL.answer(ask(tensor() | {"outputs": mixed}), logits)
    size = int(headers[LENGTH])
    first, second = json.loads(content[:size])["outputs"]
    assert first == {
        "name": "logits", "datatype": "FP32", "shape": [5, 10], "parameters": {"binary_data_size": 200}
    }  # fmt: skip
    assert np.array_equal(np.frombuffer(content[size:], "<f4").reshape(5, 10), logits)
    assert second["data"] == logits.argmax(axis=1).tolist()
    both = ask(tensor() | {"parameters": {"binary_data_output": True}})
    assert both.outputs == {"logits": True, "class": True}


@pytest.mark.parametrize(
    ("document", "status", "told"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[1]", 400, "not a JSON object"),
        (b"[" * 100_000, 400, "nested too deep"),
        ({}, 400, "inputs is not a list"),
        ({"inputs": []}, 400, "inputs is not a list"),
        ({"inputs": [1]}, 400, "inputs is not a list"),
        (tensor(name="x"), 400, "named 'images'"),
        (tensor(shape="5"), 400, "whole numbers"),
        (tensor(shape=[-1, 64]), 400, "whole numbers"),
        (tensor(shape=[5, True]), 400, "whole numbers"),
        (tensor(shape=[5.0, 64]), 400, "whole numbers"),
        (tensor(shape=[101, 64]), 413, "100: send several"),
        (tensor(shape=[1, 10**30]), 400, "numbers, which"),
        (tensor(shape=[5, 63]), 400, "list of 315 numbers"),
        (tensor(shape=[10, 32]), 400, "64 numbers for each image"),
        (tensor(datatype="UINT128"), 400, "datatype is 'UINT128'"),
        (tensor(datatype=["UINT8"]), 400, "datatype is"),
        (tensor(data=None), 400, "list of 320 numbers"),
        (tensor(data="0" * 320), 400, "list of 320 numbers"),
        (tensor(data=["a"] * 320), 400, "list of 320 numbers"),
        (tensor(data=[[1], [2, 3]]), 400, "different lengths"),
        (tensor(data=[256] * 320), 400, "none of uint8"),
        (tensor(data=[-1] * 320), 400, "none of uint8"),
        (tensor(data=[0.5] * 320), 400, "none of uint8"),
        (tensor(datatype="INT32", data=[300] * 320), 400, "300"),
        (tensor(datatype="FP32", data=[1e999] * 320), 400, "JSON"),
        (tensor(datatype="FP32", data=[-0.5] * 320), 400, "-0.5"),
        (tensor() | {"outputs": [{"name": "softmax"}]}, 400, "none called 'softmax'"),
        (tensor() | {"outputs": "logits"}, 400, "outputs is not a list"),
        (tensor() | {"parameters": 7}, 400, "parameters is not"),
        (tensor() | {"id": 7}, 400, "id is not"),
        (tensor(data=None, parameters={"binary_data_size": 5}), 400, "binary_data_size is 5"),
    ],
)
def test_every_wrong_question_is_refused_in_a_line(document: Any, status: int, told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        ask(document)
    assert refused.value.status == status
    assert "\n" not in str(refused.value)


def test_the_lengths_of_json_and_bytes_must_fit() -> None:
    with pytest.raises(Refused, match="the body has"):
        ask(tensor(), length=10**6)
    with pytest.raises(Refused, match="no input has a binary_data_size"):
        ask(tensor(), raw=b"1234")
    with pytest.raises(Refused, match="3 stand behind"):
        ask(tensor(data=None, parameters={"binary_data_size": 320}), raw=b"123")
