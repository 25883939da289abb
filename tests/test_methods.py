"""docs/methods.md and its pages: complete, linked, illustrated, and right about the sizes that they state."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from binarynet import recipes
from binarynet.format import save
from binarynet.lower import lower
from binarynet.nn import QUANTIZERS
from binarynet.nn.quantizers import TtqTernary, UniformLevels, signs

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted((DOCS / "methods").glob("*.md"))
OVERVIEW = (DOCS / "methods.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the rows of the table under a heading of the overview."""
    part = OVERVIEW.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


TRAINING, TEST_TIME = table("In training"), table("At test time")
SMALL = {row[0]: int(row[3].removesuffix(" B").replace(",", "")) for row in TEST_TIME if "," in row[3]}
SMALL = {method: size for method, size in SMALL.items() if size < 1_000_000}


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plot_quantizers", DOCS / "plot_quantizers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks for it
    spec.loader.exec_module(module)
    return module


def method_name(cell: str) -> str:
    return cell[1 : cell.index("]")]


def test_every_paper_of_the_recipes_has_a_row_and_every_row_a_paper() -> None:
    told = {row[1].split("`")[1] for row in TRAINING}
    papers = {name for name in recipes.names() if not recipes.get(name).paper.startswith("none")}
    assert told == {name.rsplit("-", 1)[0] for name in papers}


def test_both_tables_list_the_same_methods_in_the_same_order() -> None:
    assert [method_name(row[0]) for row in TRAINING] == [row[0] for row in TEST_TIME]


def test_every_page_is_linked_from_the_overview() -> None:
    linked = set(re.findall(r"\(methods/(\S+)\)", OVERVIEW))
    assert linked == {page.name for page in PAGES}


@pytest.mark.parametrize("page", [DOCS / "methods.md", DOCS / "adding.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_its_own_picture_which_the_script_draws(page: Path, pictures: ModuleType) -> None:
    shown = re.findall(r"!\[[^]]+\]\((\S+)\.png\)", page.read_text(encoding="utf-8"))
    assert shown == [page.stem]
    assert page.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    assert page.stem in pictures.FIGURES


def test_the_script_draws_no_picture_that_no_page_shows(pictures: ModuleType) -> None:
    assert set(pictures.FIGURES) == {page.stem for page in PAGES}


def test_every_sign_is_drawn_and_described(pictures: ModuleType) -> None:
    names = {name for name, quantizer in QUANTIZERS.items() if quantizer.__module__ == signs.__name__} | {"byte_input"}
    drawn = [name for row in pictures.FIGURES["surrogates"] for name in row.curves]
    assert sorted(drawn) == sorted(names)
    page = (DOCS / "methods" / "surrogates.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in page] == []


def test_pictures_are_of_the_values_and_gradients_of_the_modules(pictures: ModuleType) -> None:
    (row,) = pictures.FIGURES["bnn"]
    x, value, gradient = pictures.sampled(row, row.curves["clipped"])
    assert torch.equal(value, torch.where(x >= 0, 1.0, -1.0))
    assert torch.equal(gradient, (x.abs() <= 1).float())
    assert len(pictures.draw(pictures.FIGURES["bireal"]).axes) == 4


@pytest.mark.parametrize("method", SMALL)
def test_file_sizes_are_those_of_the_recipes(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Which step fits a million weights best takes a while to find, and is nothing to the size.
    monkeypatch.setattr(UniformLevels, "fit", lambda self, x: self.step.copy_(x.detach().abs().mean()))
    cell = next(row[1] for row in TRAINING if method_name(row[0]) == method)
    name, *settings = re.findall(r"`([^`]+)`", cell)
    recipe = recipes.get(f"{name}-mnist").with_settings(dict(text.split("=") for text in settings))
    model = recipe.model((1, 28, 28), 10)
    recipe.begin_epoch(model, recipe.epochs - 1)
    for module in model.modules():
        if isinstance(module, TtqTernary):
            module.positive.data.fill_(1.5)  # training parts the two scales
    save(lower(model.eval(), (1, 28, 28), allow_real=True), tmp_path / "model.bnn")
    size = (tmp_path / "model.bnn").stat().st_size
    assert size == pytest.approx(SMALL[method], rel=0.02), "docs/methods.md states another size"
