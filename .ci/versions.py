"""The package with the newest and the oldest dependencies that pyproject.toml allows, without constraints.txt.

    python .ci/versions.py [3.12 …]       default: every Python of PYTHONS

For each Python that is at hand a wheel is built and installed into fresh environments: once with what pip takes by
itself, once held to .ci/oldest.txt. Then the tests of what needs no torch run against the installed package. Where a
torch without CUDA is to be had, the demo trains as well. What is not at hand is named and counted as skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = ROOT / ".ci" / "oldest.txt"
BUILD = ROOT / "build" / "versions"
PYTHONS = ("3.11", "3.12", "3.13")
TESTS = ("tests/format", "tests/graph", "tests/runtime/test_session.py", "tests/runtime/test_images.py")
PICTURES = ("tests/data_sets/test_pictures.py", "tests/cli/test_run.py")


class Failed(Exception):
    """A command that should have succeeded; the text is its end."""


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """What a command prints on standard output."""
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Failed("\n".join((done.stdout + done.stderr).strip().splitlines()[-25:]))
    return done.stdout


def interpreter(version: str) -> str | None:
    """A Python of this version: on the path, else one of pyenv's, else one of uv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")), reverse=True)]
    if shutil.which("uv"):
        told = subprocess.run(
            ["uv", "python", "find", "--no-python-downloads", version], capture_output=True, text=True
        )
        found.append(told.stdout.strip() or None)
    for path in filter(None, found):
        ask = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        if subprocess.run(ask, capture_output=True, text=True).stdout.strip() == version:
            return path
    return None


def environment(python: str, folder: Path, *options: str | Path) -> Path:
    """A new virtual environment with these options of `pip install`; the path of its Python."""
    run(python, "-m", "venv", folder)
    made = folder / "bin" / "python"
    run(made, "-m", "pip", "install", "-q", "--prefer-binary", *options)
    return made


def has_cuda(python: Path, torch: str) -> str | None:
    """Why this torch is not installed here: it brings CUDA, or there is none; None if it may be."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        try:
            run(python, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", report, torch)
        except Failed:
            return f"{torch} is not to be had for this Python"
        wanted = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    version = next(one["version"] for one in wanted if one["name"] == "torch")
    cuda = any(one["name"].startswith(("nvidia-", "cuda-")) for one in wanted)
    return f"torch {version} brings CUDA, and no build for CPUs is to be had" if cuda else None


def check_bounds() -> None:
    """.ci/oldest.txt holds pyproject.toml's lower bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest: dict[str, str] = {}
    for line in OLDEST.read_text().splitlines():
        if found := re.match(r"([\w-]+)==([\d.]+)", line):
            oldest.setdefault(*found.groups())
    extras = project["optional-dependencies"]
    extra = [one for name in ("cli", "train", "data", "plot", "images", "report", "sweep") for one in extras[name]]
    for requirement in [*project["dependencies"], *extra]:
        if requirement.startswith("binarynet["):
            continue
        name, bound = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()  # type: ignore[union-attr]
        if name != "torch" and not (oldest[name] + ".").startswith(bound + "."):
            raise Failed(f"pyproject.toml allows {requirement}, .ci/oldest.txt has {oldest[name]}")


class Count:
    """Rows of the table, as they are done."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def skip(self, what: str, why: str) -> None:
        self.skipped += 1
        print(f"skipped  {what}: {why}", flush=True)

    def check(self, what: str, *work: object) -> None:
        """Do a piece of work, a function and its arguments; the text it returns is shown."""
        function, *arguments = work
        try:
            said = function(*arguments)  # type: ignore[operator]
        except Failed as error:
            self.failed += 1
            print(f"FAILED   {what}\n{error}", flush=True)
        else:
            self.passed += 1
            print(f"passed   {what}: {said}", flush=True)


def versions(python: Path, *packages: str) -> str:
    """The versions that are installed, in words."""
    code = f"from importlib.metadata import version\nprint(', '.join(f'{{p}} {{version(p)}}' for p in {packages}))"
    return run(python, "-c", code).strip()


def runs(python: str, wheel: Path, age: list[str | Path]) -> str:
    """What needs no torch: the tests against the installed package, and its command."""
    with tempfile.TemporaryDirectory() as scratch:
        made = environment(python, Path(scratch), f"{wheel}[cli,images]", "pytest", "hypothesis", *age)
        run(made, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, *PICTURES)
        run(made.with_name("binarynet"), "verify", "digits")
        return versions(made, "numpy", "safetensors", "typer", "rich", "pillow")


def trains(python: str, wheel: Path, torch: str, age: list[str | Path]) -> str:
    """The whole way, by the demo: train, lower, save, load, all engines equal."""
    with tempfile.TemporaryDirectory() as scratch:
        made = environment(python, Path(scratch), torch)
        run(made, "-m", "pip", "install", "-q", "--prefer-binary", f"{wheel}[train,data,plot,images]", torch, *age)
        run(made.with_name("binarynet"), "demo", folder=Path(scratch))
        return versions(made, "torch", "lightning", "numpy")


def main(wanted: tuple[str, ...]) -> int:
    count = Count()
    count.check("lower bounds", lambda: check_bounds() or "as in pyproject.toml")
    ages: dict[str, list[str | Path]] = {"newest": [], "oldest": ["-c", OLDEST]}
    pinned = next(line for line in (ROOT / "constraints.txt").read_text().split() if line.startswith("torch=="))
    bound = re.search(r'"torch>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert bound is not None
    torches = {"newest torch": "torch", "oldest torch": f"torch=={bound[1]}.0", "the developers' torch": pinned}
    for version in wanted:
        python = interpreter(version)
        if python is None:
            count.skip(f"Python {version}", "not at hand (pyenv, uv, or the Debian package)")
            continue
        folder = BUILD / version
        shutil.rmtree(folder, ignore_errors=True)
        try:
            tools = environment(python, folder / "tools", "pip")
            settings = f"--config-settings=build-dir={BUILD}/{{wheel_tag}}"
            run(tools, "-m", "pip", "wheel", "-q", "--no-deps", settings, "-w", folder, ROOT)
        except Failed as error:
            count.failed += 1
            print(f"FAILED   Python {version}: no wheel\n{error}", flush=True)
            continue
        wheel = next(folder.glob("*.whl"))
        for name, age in ages.items():
            count.check(f"Python {version}, {name}", runs, python, wheel, age)
        for name, torch in torches.items():
            if why := has_cuda(tools, torch):
                count.skip(f"Python {version}, training with {name}", why)
                continue
            for age_name, age in ages.items():
                count.check(
                    f"Python {version}, training with {name}, else {age_name}", trains, python, wheel, torch, age
                )
    print(f"versions: {count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or PYTHONS))
