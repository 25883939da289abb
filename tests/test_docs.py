"""What the pages say is run: the README's code, and links that lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readmes_eight_lines_train_save_and_predict(tmp_path, monkeypatch, capsys):
    from binarynet import recipes

    monkeypatch.chdir(tmp_path)
    quick = recipes.get("bnn-digits").with_settings({"epochs": "2", "width": "64"})
    monkeypatch.setattr(recipes, "get", lambda name: quick)
    exec(blocks(ROOT / "README.md")[0], {})
    assert (tmp_path / "digits.bnn").exists()
    assert re.search(r"\[(\d ){4}\d\] \[(\d ){4}\d\]", capsys.readouterr().out)


def test_the_readmes_plain_torch_model_converts_trains_and_runs(capsys):
    import torch

    torch.manual_seed(0)
    exec(blocks(ROOT / "README.md")[1], {})
    assert float(capsys.readouterr().out.split()[-1]) > 0.8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_promise_names_tests_and_commands_that_exist():
    page = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[\w/.]+)`", page))
    assert len(named) > 15
    assert not [path for path in named if not (ROOT / path).exists()]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for commands in re.findall(r"`make ([^`]+)`", page):
        assert {word for word in commands.split() if "=" not in word} <= targets, commands


def test_the_package_says_that_it_is_typed():
    import binarynet

    assert (Path(binarynet.__file__).parent / "py.typed").is_file()


def test_the_tours_code_prints_what_the_tour_says(capsys):
    page = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    exec(blocks(ROOT / "docs" / "tour.md")[0], {})
    assert capsys.readouterr().out == page.partition("```text\n")[2].partition("```")[0]
