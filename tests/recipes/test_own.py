"""Recipes of the user's own: found by their place, or by an entry point of an installed package."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from binarynet import recipes
from binarynet.errors import BinarynetError, RecipeError
from binarynet.recipes.new import recipe_file


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """What `binarynet new recipe` writes, in a folder of its own, with a helper beside it."""
    path, sys_path = tmp_path / "own_net_of_a_test.py", list(sys.path)
    text = recipe_file("own-net-of-a-test", tmp_path)[2]
    path.write_text(text + "\nfrom own_helper_of_a_test import WIDTH\nRECIPES = {'wide': OwnNetOfATest(width=WIDTH)}\n")
    (tmp_path / "own_helper_of_a_test.py").write_text("WIDTH = 77\n")
    yield path
    sys.path[:] = sys_path
    for name in ("own_net_of_a_test", "own_helper_of_a_test", "broken_net_of_a_test"):
        sys.modules.pop(name, None)


def test_a_recipe_is_found_by_its_file_and_its_name_a_class_or_a_key_of_its_table(file: Path) -> None:
    assert recipes.get(f"{file}:wide").settings()["width"] == 77
    assert recipes.get(f"{file}:OwnNetOfATest").settings()["width"] == 256
    assert recipes.get(str(file)).settings()["width"] == 77


def test_its_name_finds_it_again(file: Path) -> None:
    for name in ("wide", "OwnNetOfATest"):
        recipe = recipes.get(f"{file}:{name}")
        assert recipes.name_of(recipe) == f"{file}:{name}"
        assert recipes.get(recipes.name_of(recipe.with_settings({"epochs": "3"}))) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_that_there_is", r"broken_net_of_a_test.py, line 1 cannot be imported: ModuleNotFoundError"),
        ("1 / 0", r"line 1 cannot be imported: ZeroDivisionError"),
        ("x = (", r"cannot be imported: SyntaxError"),
        ("", r"has no recipe 'Net'. It holds none"),
        ("Net = 3", r"has no recipe 'Net'"),
    ],
)
def test_what_is_wrong_with_its_file_is_said_in_a_line(file: Path, text: str, message: str) -> None:
    broken = file.with_name("broken_net_of_a_test.py")
    broken.write_text(text)
    with pytest.raises(RecipeError, match=message):
        recipes.get(f"{broken}:Net")


def test_a_file_that_is_not_there_or_is_called_like_another_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere.py does not exist"):
        recipes.get(f"{tmp_path}/nowhere.py:Net")
    (tmp_path / "json.py").write_text("")
    with pytest.raises(RecipeError, match=r"another module is called 'json'"):
        recipes.get(f"{tmp_path}/json.py:Net")
    (tmp_path / "my-net.py").write_text("")
    with pytest.raises(RecipeError, match="cannot be imported: call it by letters"):
        recipes.get(f"{tmp_path}/my-net.py:Net")


@pytest.mark.parametrize("name", ["", "3x", "a/b", "class", "a b"])
def test_a_name_that_no_module_may_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be the name of a recipe"):
        recipe_file(name, tmp_path)


PLUGIN = """
[build-system]
requires = ["setuptools>=70.1"]
build-backend = "setuptools.build_meta"

[project]
name = "plugin-of-a-test"
version = "1.0"

[project.entry-points."binarynet.recipes"]
plugged-net = "plugin_of_a_test:recipe"
broken-net = "plugin_of_a_test:nothing"

[project.entry-points."binarynet.exports"]
ops = "plugin_of_a_test"

[project.entry-points."binarynet.datasets"]
stripes = "plugin_of_a_test:stripes"
no-set = "plugin_of_a_test:Net"

[tool.setuptools]
py-modules = ["plugin_of_a_test"]
"""


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_installed_package_adds_recipes_data_sets_and_export_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel that pip builds of a project, and installs into a folder."""
    from binarynet import data
    from binarynet.cli import main

    pytest.importorskip("pip", reason="the plug-in is built by pip, which this environment lacks")
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("the plug-in is built by setuptools, which this environment lacks")
    project, site = tmp_path / "project", tmp_path / "site"
    project.mkdir()
    (project / "pyproject.toml").write_text(PLUGIN)
    (project / "plugin_of_a_test.py").write_text(
        recipe_file("net", tmp_path)[2]
        + "from binarynet.data import DataSet\n"
        + "import numpy as np\n"
        + "recipe = Net(width=99)\n"
        + "def export(graph, folder, options):\n"
        + "    (folder / 'ops.txt').write_text(' '.join(op.name for op in graph.ops))\n"
        + "    return [folder / 'ops.txt']\n"
        + "def stripes():\n"
        + "    images = np.arange(40 * 64, dtype=np.int64).reshape(40, 8, 8) % 255\n"
        + "    return DataSet.from_arrays(images, np.arange(40) % 2)\n"
    )
    pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", tmp_path, project)
    pip("install", "--no-deps", "--no-index", "--target", site, *tmp_path.glob("*.whl"))
    monkeypatch.syspath_prepend(str(site))
    try:
        assert "plugged-net" in recipes.names()
        recipe = recipes.get("plugged-net")
        assert recipe.settings()["width"] == 99
        assert recipes.name_of(recipe) == "plugged-net"
        assert data.load("stripes").shape == (1, 8, 8)
        assert len(data.load_split("stripes", "all")) == 40
        assert main(["export", "digits", "--to", "ops", "--out", str(tmp_path / "out")]) == 0
        assert (tmp_path / "out" / "ops.txt").read_text().startswith("input ")
        with pytest.raises(BinarynetError, match=r"binarynet.recipes 'broken-net' .*cannot be imported"):
            recipes.get("broken-net")
        with pytest.raises(BinarynetError, match=r"binarynet.datasets 'no-set' .* gives a Net; needed is a DataSet"):
            data.load("no-set")
    finally:
        sys.modules.pop("plugin_of_a_test", None)
