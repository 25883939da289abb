"""Sessions on the GPU's kernels: what is asked for, what is refused, batches of every size."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from binarynet import Session
from binarynet.errors import RuntimeUnavailable
from binarynet.gpu import Runner, runner
from binarynet.graph import interpret
from tests.graph.graphs import small_convnet, small_mlp

CODES = np.random.default_rng(0).integers(0, 256, (5, 10)).astype(np.uint8)
cpu = pytest.mark.skipif("not __import__('triton').knobs.runtime.interpret", reason="kernels run on a GPU here")


@cpu
def test_a_session_runs_the_gpus_kernels_in_the_interpreter_and_says_so():
    graph = small_mlp()
    session = Session(graph, engine="triton")
    assert np.array_equal(session.logits(CODES), interpret(graph, CODES))
    assert np.array_equal(session.predict(CODES), interpret(graph, CODES).argmax(1))
    assert repr(session) == "Session(10 b8 → 3; triton: cpu)"
    assert (session.isa, session.threads) == (None, 1)
    assert session.kernels == {
        "linear1": "xnor or dot or int8 b8×b1 → b1",
        "sign1": "in linear1",
        "classes": "xnor or dot or int8 b1×b1 → affine",
        "logits": "in classes",
    }


@cpu
def test_images_in_either_layout_and_no_images_at_all():
    graph = small_convnet(filters=3)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 6, 6, 3)).astype(np.uint8)
    session = Session(graph, engine="triton")
    assert np.array_equal(session.logits(pixels.transpose(0, 3, 1, 2)), interpret(graph, pixels))
    assert session.logits(pixels[:0]).shape == (0, 4)


@cpu
def test_batches_too_large_for_32_bit_indices_are_cut():
    graph = small_mlp()
    made = Runner(graph, "cpu", "dot")
    made.network.most = 2
    answers = np.empty((5, 3), np.float32)
    made.run(CODES, answers)
    assert np.array_equal(answers, interpret(graph, CODES))
    assert Runner(graph, "cpu").network.most > 10**7


@cpu
def test_threads_may_share_a_session():
    graph, answers = small_mlp(), {}
    session = Session(graph, engine="triton")
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: session.logits(CODES[n : n + 1])})) for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(np.concatenate([answers[n] for n in range(3)]), interpret(graph, CODES[:3]))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"device": "cuda", "engine": "native"}, "the engine 'native' runs on 'cpu', not on 'cuda'"),
        ({"device": "cuda", "isa": "portable"}, "the engine 'triton' has no instruction sets"),
        ({"device": "tpu"}, "unknown device 'tpu'; there are 'cpu', 'cuda'"),
        ({"device": "meta"}, "the kernels are for 'cuda'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(options, told):
    with pytest.raises(RuntimeUnavailable, match=told):
        Session(small_mlp(), **options)


def test_without_a_gpu_cuda_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeUnavailable, match=r"finds no CUDA GPU here; run on the CPU with device='cpu'"):
        Session(small_mlp(), device="cuda")


def test_the_interpreter_must_be_asked_for(monkeypatch):
    monkeypatch.setattr(runner, "INTERPRETED", False)
    with pytest.raises(RuntimeUnavailable, match="set TRITON_INTERPRET=1"):
        Session(small_mlp(), engine="triton")


def test_an_interpreted_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(runner, "INTERPRETED", True)
    with pytest.raises(RuntimeUnavailable, match="TRITON_INTERPRET is set"):
        Session(small_mlp(), device="cuda")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    import importlib
    import sys

    for name in [name for name in sys.modules if name.startswith("binarynet.gpu")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(RuntimeUnavailable, match=r"needs the package 'triton': pip install 'binarynet\[gpu\]'"):
        importlib.import_module("binarynet.gpu")
