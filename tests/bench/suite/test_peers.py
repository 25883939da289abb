"""Other libraries: each answers what it promises; what is missing or dies says so and stops nobody."""

import json
import os
import signal

import numpy as np
import pytest

from binarynet.bench.suite import measure, peers, quiet
from binarynet.bench.suite.process import Process
from binarynet.bench.suite.workloads import workloads
from binarynet.errors import InputError


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    for work in workloads(tiny=True):
        np.save(folder / f"{work.name}.npy".replace("/", "_"), work.expected())
    return folder


@pytest.mark.parametrize("name", peers.names())
def test_every_peer_answers_what_it_promises(name, expected):
    peer = peers.get(name)
    assert peer.ways
    missing = peer.available()
    if missing:
        pytest.skip(missing)
    assert peer.version()
    for way in peer.here():
        if way in peers.OTHER_NETS and name != "onnxruntime":
            continue  # the same files, which take seconds to make
        process = Process(name, way, 1)
        try:
            for work in workloads(tiny=True):
                path = str(expected / f"{work.name}.npy".replace("/", "_"))
                found = process.ask(120, do="build", work=work.name, tiny=True, expected=path)
                assert found.get("answers", "none") != "wrong", f"{way}, {work.name}"
                assert "error" not in found, f"{way}, {work.name}: {found}"
        finally:
            process.stop()


def test_answers_are_called_by_the_best_word_that_is_true():
    truth = np.array([[100.0, -3.0]])
    assert peers.compared(truth, truth, "equal") == "equal"
    assert peers.compared(truth, truth, "own") == "equal"
    assert peers.compared(truth + 1e-4, truth, "same") == "same"
    assert peers.compared(truth + 1e-4, truth, "equal") == "wrong"
    assert peers.compared(truth + 0.5, truth, "near") == "near"
    assert peers.compared(truth + 0.5, truth, "same") == "wrong"
    assert peers.compared(truth * -1, truth, "near") == "wrong"
    assert peers.compared(truth * -1, truth, "own") == "own"
    assert peers.compared(truth.T, truth, "own") == "wrong"


def test_missing_packages_are_one_line_each(monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    wanted, versions, missing = measure.chosen(["onnxruntime", "faiss:hamming"])
    assert wanted == []
    assert versions == {}
    assert missing["onnxruntime"].startswith("not installed: onnxruntime, onnx (pip install")
    assert missing["faiss"].startswith("not installed: faiss-cpu")


def test_peers_and_ways_that_do_not_exist_are_named():
    with pytest.raises(InputError, match=r"no peer 'abacus'\. There are binarynet, "):
        measure.chosen(["abacus"])
    with pytest.raises(InputError, match="binarynet has no way 'z80'; it has default"):
        measure.chosen(["binarynet:z80"])
    assert measure.chosen(["binarynet:portable", "binarynet:portable"])[0] == [("binarynet", "portable")]


def test_an_exception_a_crash_and_a_hang_are_answers(expected):
    process = Process("binarynet", "default", 1)
    try:
        assert process.ask(60, do="time", seconds=0.0)["error"].startswith("AssertionError")
        assert "StopIteration" in process.ask(60, do="build", work="W9", tiny=True, expected="")["error"]
        os.kill(process.pid, signal.SIGKILL)
        assert process.ask(60, do="time", seconds=0.0)["error"].startswith("crashed (SIGKILL)")
        work = workloads(["W2"], tiny=True)[0]
        path = str(expected / f"{work.name}.npy")
        again = process.ask(60, do="build", work=work.name, tiny=True, expected=path)
        assert again["answers"] == "equal", "a process that died is replaced"
        assert process.ask(0.0, do="time", seconds=0.5)["error"] == "no answer within 0 s"
    finally:
        process.stop()


def test_turns_that_others_disturbed_count_only_where_there_is_no_better_one(monkeypatch):
    class Scripted:
        pid = 1

        def __init__(self, *turns):
            self.turns = iter(turns)

        def ask(self, timeout, **request):
            self.others, samples = next(self.turns)
            return {"samples": samples}

    def rounds(*turns):
        process = Scripted(*turns)
        watch = type("Watch", (), {"others": lambda self: process.others})
        monkeypatch.setattr(quiet.Watch, "start", lambda pid: watch())
        cell = measure.Cell("w", "p", "x", 1)
        measure._rounds([(cell, process)], 0.3)
        return cell

    calm = rounds((0.0, [1.0]), (1.5, [9.0]), (0.1, [2.0]))
    assert (calm.samples, calm.others, calm.disturbed) == ([1.0, 2.0], 0.1, False)
    busy = rounds((0.5, [1.0]), (1.5, [9.0]), (0.9, [2.0]))
    assert (busy.samples, busy.disturbed) == ([1.0, 9.0, 2.0], True)
    unknown = rounds((None, [1.0]), (None, [2.0]), (None, [3.0]))
    assert (unknown.others, unknown.disturbed) == (None, False)


def test_what_others_use_is_all_but_our_own(monkeypatch):
    moments = iter([100.0, 102.0])
    busy, own = iter([50.0, 53.0]), {1: iter([5.0, 6.5]), os.getpid(): iter([0.0, 0.0])}
    monkeypatch.setattr(quiet.time, "perf_counter", lambda: next(moments))
    monkeypatch.setattr(quiet, "_busy", lambda: next(busy))
    monkeypatch.setattr(quiet, "_own", lambda pid: next(own[pid]))
    assert quiet.Watch.start(1).others() == pytest.approx((3 - 1.5) / 2)


def test_a_system_that_does_not_tell_leaves_it_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(quiet, "_STAT", tmp_path / "nothing")
    assert quiet.Watch.start(os.getpid()).others() is None
    assert quiet.wait(0) is None


def test_a_quick_run_writes_everything_and_we_are_the_oracle(tmp_path, capsys):
    from binarynet.cli import main

    asked = "binarynet:default,binarynet:portable" + (
        ",torch:float32" if peers.get("torch").available() is None else ""
    )
    command = ["bench", "suite", "--quick", "--peers", asked, "--threads", "1", "--seconds", "0.01"]
    assert main([*command, "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    ours = [cell for cell in told["cells"] if cell["peer"] == "binarynet"]
    assert len(ours) == 2 * len(workloads(tiny=True))
    assert {cell["answers"] for cell in ours} <= {"equal", "same"}  # sums of reals: W6
    assert all(0 < cell["low"] <= cell["median"] <= cell["high"] for cell in ours)
    assert all(row["limit"] is None or row["limit"] > 0 for row in told["summary"])
    assert told["setting"]["command"].endswith("--threads 1 --seconds 0.01 --quick")
    (page,) = tmp_path.glob("*.md")
    assert "## Summary" in page.read_text(encoding="utf-8")
    assert json.loads(page.with_suffix(".json").read_text())["summary"] == told["summary"]
    assert not list(tmp_path.glob("*.unfinished"))
