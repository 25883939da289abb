"""The notebooks run from the first cell to the last, and what is kept of their output is small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore")  # of Jupyter's client, about its own event loop
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(file: Path, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="notebooks are run by nbclient: pip install 'binarynet[docs]'")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(file, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_what_is_kept_of_a_notebook_is_small_and_names_no_machine(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text) < 150_000
    assert re.findall(r"/(?:home|root|tmp|Users)/", text) == []
    cells = json.loads(text)["cells"]
    assert [cell["cell_type"] for cell in cells[:1]] == ["markdown"]
    assert all(cell.get("outputs") != [] or not cell["source"] for cell in cells[-1:])
