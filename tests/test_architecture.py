"""The import rule of docs/architecture.md, held over the syntax tree of every module."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "binarynet"

MAY_IMPORT = {
    "errors": set(),
    "environment": set(),
    "pixels": set(),
    "atomic": set(),
    "plugins": {"errors"},
    "data": {"errors", "atomic", "environment", "pixels", "plugins"},
    "hub": {"errors"},
    "models": {"errors", "environment", "hub"},
    "nn": {"errors", "environment", "pixels", "_training"},
    "optim": {"errors", "nn"},
    "recipes": {"errors", "plugins", "data", "nn", "optim"},
    "train": {"errors", "atomic", "hub", "recipes", "data", "nn", "optim"},
    "graph": {"errors", "environment"},
    "fold": {"errors", "graph"},
    "lower": {"errors", "nn", "graph", "fold"},
    "format": {"errors", "atomic", "graph", "models"},
    "runtime": {"errors", "atomic", "pixels", "format", "graph", "_native", "gpu"},
    "export": {"errors", "atomic", "plugins", "graph", "format"},
    "importer": {"errors", "graph", "fold"},
    "gpu": {"errors", "graph", "format"},
    "plot": {"errors", "graph", "runtime", "nn"},
    "report": {"errors", "atomic", "data", "graph", "runtime", "plot"},
    "bench": {
        "errors",
        "atomic",
        "graph",
        "format",
        "models",
        "runtime",
        "report",
        "data",
        "nn",
        "optim",
        "recipes",
        "train",
    },
    "web": {"errors", "atomic", "models"},
    "serve": {"errors", "graph", "runtime"},
    "scale": {"errors", "atomic", "data", "format", "graph", "models", "runtime"},
    "cli": None,  # all
    "__init__": {"errors", "graph", "format", "runtime"},
}
TORCH_FREE = {
    "errors",
    "environment",
    "atomic",
    "pixels",
    "plugins",
    "hub",
    "data",
    "models",
    "graph",
    "fold",
    "format",
    "runtime",
    "export",
} | {
    "importer",
    "web",
    "serve",
    "scale",
    "__init__",
}
FILES = sorted(SOURCE.rglob("*.py"))


def package_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(file: Path) -> list[str]:
    """Dotted names of everything a file imports, wherever in it the import stands."""
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports stand in full"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_go_downstream_only(file):
    package = package_of(file)
    assert package in MAY_IMPORT, f"{package} is not in the table: add it here and in docs/architecture.md"
    allowed = MAY_IMPORT[package]
    for name in imported(file):
        root, *rest = name.split(".")
        if root == "binarynet" and allowed is not None and rest[0] != package:
            known = rest[0] if (SOURCE / rest[0]).is_dir() or (SOURCE / f"{rest[0]}.py").exists() else "__init__"
            if rest[0] in ("_native", "_training"):
                known = rest[0]
            assert known in allowed, f"{package} may not import {name}"
        if root in ("torch", "lightning"):
            assert package not in TORCH_FREE, f"{package} must work without {root}"


def dependencies() -> dict[str, set[str]]:
    """Module → the modules of ours that it imports, wherever in it the import stands.

    An import of a package for its own names counts as one of its `__init__`; that a module's import runs the `__init__`
    above it does not count.
    """
    modules = {".".join(("binarynet", *file.relative_to(SOURCE).with_suffix("").parts)): file for file in FILES}
    modules = {name.removesuffix(".__init__"): file for name, file in modules.items()}
    found = {}
    for name, file in modules.items():
        found[name] = set()
        for imported_name in imported(file):
            known = imported_name if imported_name in modules else imported_name.rpartition(".")[0]
            extension = imported_name in ("binarynet._native", "binarynet._training")
            if known in modules and known != name and not extension:
                found[name].add(known)
    return found


def test_no_modules_import_each_other_in_a_circle():
    graph = dependencies()
    state: dict[str, int] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        state[name] = 1
        for other in sorted(graph[name]):
            if state.get(other) == 1:
                circle = [*path[path.index(other) :], other] if other in path else [name, other]
                pytest.fail("a circle of imports: " + " → ".join(circle))
            if other not in state:
                visit(other, (*path, other))
        state[name] = 2

    for name in sorted(graph):
        if name not in state:
            visit(name, (name,))


def test_the_table_on_the_architecture_page_is_this_one():
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1:3] for row in page.splitlines() if row.startswith("| `")]
    told = {name.strip(" `"): allowed for names, allowed in reversed(rows) for name in names.split(",")}
    for package, allowed in MAY_IMPORT.items():
        if allowed is None or package == "__init__" or not (SOURCE / package).exists():
            continue
        for other in allowed - {"errors", "environment", "atomic", "_native", "_training"}:
            assert other in told[package], f"docs/architecture.md: {package} may import {other}"


def run_python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)


def test_importing_binarynet_loads_neither_torch_nor_what_only_training_needs():
    heavy = ["torch", "lightning", "sklearn", "scipy", "pooch", "matplotlib", "PIL", "typer", "rich", "tensorboard"]
    found = run_python(f"import sys, binarynet; print([m for m in {heavy} if m in sys.modules])").stdout
    assert found.strip() == "[]"


def test_running_a_model_needs_no_torch(tmp_path):
    model = Path(__file__).parent / "data" / "small_convnet.bnn"
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, binarynet\n"
        f"session = binarynet.load({str(model)!r})\n"
        "print(session.predict(np.zeros((2, 3, 6, 6), np.uint8)).shape)"
    )
    assert run_python(code).stdout.strip() == "(2,)"


LONGEST = 300
NATIVE = [file for file in sorted((SOURCE.parents[1] / "native").rglob("*")) if file.suffix in (".cpp", ".h", ".inc")]


def test_no_python_module_has_more_than_300_lines_and_no_native_file_more_than_350():
    sizes = {file: (len(file.read_text(encoding="utf-8").splitlines()), LONGEST) for file in FILES}
    sizes |= {file: (len(file.read_text(encoding="utf-8").splitlines()), 350) for file in NATIVE}
    assert {str(file): lines for file, (lines, most) in sizes.items() if lines > most} == {}


def test_the_trees_of_the_pages_are_those_of_the_sources():
    spec = importlib.util.spec_from_file_location("tree", SOURCE.parents[1] / "docs" / "tree.py")
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    for file in page.PAGES:
        assert page.tree() in file.read_text(encoding="utf-8"), f"{file}: run python docs/tree.py --write"
