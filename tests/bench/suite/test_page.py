"""The tables: what is divided by what, and that nothing unpleasant is left out."""

import io
import json

import pytest

from binarynet.bench.suite import Roof, Suite
from binarynet.bench.suite.measure import Cell
from binarynet.bench.suite.page import Table, document, markdown, page, ratio, time
from binarynet.bench.suite.workloads import workloads

WORK = workloads(["W1"], tiny=True)[0]
ROOF = Roof(1, {"amx int8": 1e12, "avx512 popcount": 5e11}, {1 << 10: 100e9})
SETTING = {"command": "binarynet bench suite", "processor": "a machine"}


def cell(name, seconds, answers="equal", **more):
    peer, way = name.split()
    samples = [seconds] * 3 if seconds else []
    return Cell(WORK.name, peer, way, 1, answers, samples=samples, **{"others": 0.0, **more})


@pytest.fixture
def suite():
    cells = [
        cell("binarynet default", 1e-3, details="amx: tiles"),
        cell("binarynet avx512", 2e-3, details="avx512: counting"),
        cell("torch float32", 50e-3, "own"),
        cell("torch int8", 4e-3),
        cell("openvino bfloat16", 3e-3, "near"),
        cell("openvino int8", 1e-6, "wrong"),
        cell("tvm binary_dense", None, "", note="crashed (SIGSEGV)", others=None),
    ]
    return Suite([WORK], cells, [ROOF], {"torch": "torch 2"}, {"faiss": "not installed: faiss-cpu"})


def test_ratios_are_to_torch_and_to_the_fastest_other_library(suite):
    row = Table(suite).row(WORK, ROOF)
    assert row["ratio_to_torch_float32"] == pytest.approx(50)
    assert (row["fastest"], row["ratio_to_fastest"]) == ("openvino bfloat16", pytest.approx(3))
    assert (row["fastest_exact"], row["ratio_to_fastest_exact"]) == ("torch int8", pytest.approx(4))
    assert row["share_of_limit"] == pytest.approx(ROOF.limit(WORK) / 1e-3)


def test_an_answer_that_is_wrong_is_never_the_fastest_but_stays_in_the_table(suite):
    assert all(found.name != "openvino int8" for found in Table(suite).cells(WORK, 1))
    assert "| openvino int8 | — |" in page(suite, SETTING)
    assert "WRONG" in page(suite, SETTING)


def test_each_instruction_set_is_held_against_its_own_unit(suite):
    macs = sum(WORK.macs.values())
    shares = {unit: part for _, unit, _, part in Table(suite).shares(ROOF)}
    assert shares == {
        "amx int8": pytest.approx(macs / 1e12 / 1e-3),
        "avx512 popcount": pytest.approx(macs / 5e11 / 2e-3),
    }


def test_crashes_and_missing_packages_are_told(suite):
    text = page(suite, SETTING)
    assert "tvm binary_dense: crashed (SIGSEGV)" in text
    assert "faiss: not installed: faiss-cpu" in text


def test_a_busy_machine_is_told_at_the_top(suite):
    assert "The machine was quiet" in page(suite, SETTING)
    suite.cells[0].others = 1.5
    assert "**The machine was busy** during 1 of 6 measurements" in page(suite, SETTING)
    assert "1 ms†" in page(suite, SETTING)
    suite.cells[0].others = None
    assert "is not known" in page(suite, SETTING)


def test_without_torch_or_peers_the_rest_is_still_there(suite):
    suite.cells = suite.cells[:1]
    row = Table(suite).row(WORK, ROOF)
    assert row["ratio_to_torch_float32"] is row["fastest"] is row["ratio_to_fastest"] is None
    assert "| — |" in page(suite, SETTING)
    assert ratio(None, suite.cells[0]) is None


def test_the_document_is_json_and_has_every_sample(suite):
    told = json.loads(json.dumps(document(suite, SETTING)))
    assert told["cells"][0]["samples"] == [1e-3] * 3
    assert told["cells"][-1]["note"] == "crashed (SIGSEGV)"
    assert told["summary"][0]["fastest"] == "openvino bfloat16"


def test_times_have_three_digits_and_tables_keep_their_columns():
    assert [time(each) for each in (None, 0.866, 38.21e-6, 2.5)] == ["—", "866 ms", "38.2 µs", "2,500 ms"]
    assert markdown(["a", "b"], [["1|2", "3"]]) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"
    assert markdown(["a"], []) == ""


def test_the_picture_is_a_png(suite):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from binarynet.bench.suite.roofline import draw

    made = io.BytesIO()
    draw(suite, made)
    assert made.getvalue().startswith(b"\x89PNG")
