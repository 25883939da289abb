"""A run against an earlier one: a ratio that fell by more than 10 % is named, and nothing else."""

import json

import pytest

from binarynet.bench.suite.check import last, read, regressions
from binarynet.cli import main
from binarynet.errors import DataError, InputError

KIND = "a-cpu-avx2"


def run(units=("avx2 popcount",), **ratios):
    row = {"work": "W1", "threads": 1, "fastest_exact": "torch int8", **ratios}
    return {"summary": [row], "roofs": [{"macs": dict.fromkeys(units, 1.0)}], "setting": {"began": "today"}}


def test_a_ratio_that_fell_is_named_with_both_numbers():
    worse, compared = regressions(run(ratio_to_torch_float32=8.0), run(ratio_to_torch_float32=10.0))
    assert compared == 1
    assert [str(each) for each in worse] == ["W1, 1 thread: 8 × torch float32, 10 before (-20 %)"]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (run(ratio_to_torch_float32=9.1), run(ratio_to_torch_float32=10.0)),  # within 10 %
        (run(ratio_to_torch_float32=20.0), run(ratio_to_torch_float32=10.0)),
        (run(ratio_to_torch_float32=None), run(ratio_to_torch_float32=10.0)),
        (run(share_of_limit=0.1, units=("amx int8",)), run(share_of_limit=0.9)),  # another limit
        (
            run(ratio_to_fastest_exact=1.0) | {"summary": [{"work": "W2", "threads": 1}]},
            run(ratio_to_fastest_exact=2.0),
        ),
    ],
)
def test_what_does_not_compare_or_is_no_worse_is_not_named(now, before):
    assert regressions(now, before)[0] == []


def test_the_last_run_of_the_same_kind_is_taken(tmp_path):
    for name in (f"2026-01-01-{KIND}", f"2026-02-01-{KIND}", "2026-03-01-another-cpu-avx2", f"2026-03-01-not-{KIND}"):
        (tmp_path / f"{name}.json").write_text(json.dumps(run()))
    assert last(tmp_path, KIND).name == f"2026-02-01-{KIND}.json"
    assert read(last(tmp_path, KIND)) == run()
    with pytest.raises(InputError, match="holds no run of other-avx2"):
        last(tmp_path, "other-avx2")


@pytest.mark.parametrize("text", ["{", "[]", '{"summary": 3}', '{"summary": [{}], "roofs": []}'])
def test_a_file_that_is_no_run_is_an_error(tmp_path, text):
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(DataError, match="not a run of"):
        read(file)


def test_without_an_earlier_run_the_command_says_so_before_it_measures(tmp_path, capsys):
    assert main(["bench", "suite", "--quick", "--against", str(tmp_path)]) == 2
    assert "holds no run of" in capsys.readouterr().err
