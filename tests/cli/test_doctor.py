"""``binarynet doctor``: it lists what pyproject.toml asks for, finds what is broken, and its commands are right."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from binarynet.cli import doctor, install, main
from binarynet.runtime import isa

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def found(capsys: pytest.CaptureFixture[str], code: int = 0) -> dict:
    assert main(["doctor", "--json"]) == code
    told: dict = json.loads(capsys.readouterr().out)
    return told


def test_it_names_the_machine_and_proves_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    told = found(capsys)
    assert told["binarynet"]["python"].startswith("3.")
    assert told["engine"]["available"] == dict.fromkeys(isa.available(), True)
    assert told["engine"]["used"] == isa.active()
    assert told["training"]["works"]
    assert {row["program"] for row in told["programs"]} == set(doctor.PROGRAMS)


def test_it_lists_every_package_of_every_extra_that_is_for_users(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [*PROJECT["dependencies"]]
    lines += [f"{line} ; extra == '{extra}'" for extra, all in EXTRAS.items() for line in all if ";" not in line]
    monkeypatch.setattr(doctor, "requires", lambda name: lines)
    told = {(row["extra"], row["package"]) for row in found(capsys)["extras"]}
    assert {("base", "numpy"), ("cli", "typer"), ("train", "torch"), ("data", "pooch"), ("images", "pillow")} <= told
    assert not [row for row in told if row[0] in ("dev", "peers") or row[1] == "binarynet"]


def test_what_is_missing_or_too_old_has_its_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(package: str) -> str:
        if package in ("pooch", "torch"):
            raise PackageNotFoundError(package)
        return "10.4" if package == "pillow" else version(package)

    wanted = ["pooch>=1.8 ; extra == 'data'", "pillow>=11 ; extra == 'images'", "torch>=2.6 ; extra == 'train'"]
    monkeypatch.setattr(doctor, "requires", lambda name: [*wanted, "numpy>=1.26"])
    monkeypatch.setattr(doctor, "version", lacks)
    rows = {row["package"]: row for row in found(capsys)["extras"]}
    assert rows["pooch"]["mend"] == "pip install 'binarynet[data]'"
    assert rows["pillow"]["mend"] == "pip install --upgrade 'pillow>=11'"
    assert rows["torch"]["mend"].endswith("pip install 'binarynet[train]'")
    assert rows["numpy"]["mend"] is None
    assert main(["doctor"]) == 0
    assert "pip install 'binarynet[data]'" in capsys.readouterr().out


def test_a_broken_engine_is_told_and_the_exit_code_is_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINARYNET_LIMITS", "macs=1")
    told = found(capsys, 1)
    assert "FormatError" in told["engine"]["error"]
    assert told["binarynet"]["variables"]["BINARYNET_LIMITS"] == "macs=1"
    assert main(["doctor"]) == 1
    assert "native engine: FAILS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("has", "wanted", "fits"),
    [
        ("1.26", ">=1.26", True),
        ("1.26.0", ">=1.26", True),
        ("1.9", ">=1.26", False),
        ("2.13.0+cpu", ">=2.6", True),
        ("1.23", ">=1.16,<1.23", False),
        ("1.22.9", "<1.23,>=1.16", True),
        ("3.0rc1", ">=3", True),
        ("5", "", True),
    ],
)
def test_versions_are_compared_as_numbers(has: str, wanted: str, fits: bool) -> None:
    assert doctor._fits(has, wanted) is fits


def test_the_commands_for_missing_packages_name_extras_that_have_them() -> None:
    for module, extra in install._EXTRAS.items():
        package = install._PACKAGES.get(module, module)
        assert any(line.startswith(package) for line in EXTRAS[extra]), f"{package} is not in {extra}"
