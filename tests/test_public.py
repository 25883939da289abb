"""What a user calls: every public name says what it is, and a user's own code is checked by mypy without surprises."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def site():
    pytest.importorskip("mkdocs", reason="the pages of the site are made by mkdocs: pip install 'binarynet[docs]'")
    spec = importlib.util.spec_from_file_location("site_of_the_docs", ROOT / "docs" / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_and_method_has_a_docstring():
    pages = site()
    missing = []
    for module in pages.MODULES:
        for name in pages.public(module):
            value = getattr(import_module(module), name)
            if not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            if not inspect.getdoc(value):
                missing.append(f"{module}.{name}")
    assert missing == []


def test_the_reference_has_an_entry_for_what_users_call():
    page = site().reference()
    for name in (
        "binarynet.Session",
        "binarynet.load",
        "binarynet.data.DataSet",
        "binarynet.train.fit",
        "binarynet.plot.bits",
    ):
        assert f"::: {name}\n" in page


USER = """
from binarynet import Session, load
from binarynet.data import DataSet, load as load_data
from binarynet.recipes import get
from binarynet.train import Result, fit

data: DataSet = DataSet.from_folder("x", shape=(3, 32, 32), seed=1)
result: Result = fit(get("bnn-digits"), data, "out", exist="resume", callbacks=[])
error: float = result.test_error
session: Session = load("digits")
reveal_type(session.predict(data.test.images))
reveal_type(data.train.labels)
reveal_type(result.best_epoch)
reveal_type(load_data("digits").classes)
fit(get("bnn-digits"), data, "out", exist="maybe")
DataSet.from_folder("x", shape="32")
"""


def test_mypy_sees_the_types_of_a_users_code(tmp_path, request):
    """What mypy has found out about torch and numpy stays in pytest's cache."""
    (tmp_path / "user.py").write_text(USER)
    cache = request.config.cache.mkdir("mypy")
    config = ["--config-file", "/dev/null", "--follow-imports=silent", "--cache-dir", str(cache)]
    ignored = ["--ignore-missing-imports", "--python-version", f"{sys.version_info[0]}.{sys.version_info[1]}"]
    command = [sys.executable, "-m", "mypy", *config, *ignored, str(tmp_path / "user.py")]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stdout
    revealed = [line.partition('is "')[2].rstrip('"') for line in said.splitlines() if "Revealed" in line]
    assert len(revealed) == 4, said
    assert all("Any" not in kind or "ndarray" in kind for kind in revealed), revealed
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert len(errors) == 2, said
    assert '"maybe"' in errors[0] or "maybe" in errors[0]
    assert "shape" in errors[1]
