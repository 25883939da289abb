"""Hooks of the site (mkdocs.yml): what the pages need that they do not need on GitHub.

The front page is the README. Links out of this folder lead to nothing on a site, so they are shown as the path
that they name; everything else is checked by mkdocs, which fails on a link that leads nowhere (``make docs``).
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")

# What the reference shows: each public module, from the outside in.
MODULES = (
    "binarynet", "binarynet.data", "binarynet.nn", "binarynet.optim", "binarynet.recipes", "binarynet.train",
    "binarynet.lower", "binarynet.graph", "binarynet.format", "binarynet.runtime", "binarynet.export",
    "binarynet.importer", "binarynet.report", "binarynet.plot", "binarynet.models", "binarynet.plugins",
    "binarynet.hub", "binarynet.errors",
)  # fmt: skip


def public(module: str) -> list[str]:
    """The names of a module's table of contents that are ours: its classes and functions."""
    found = import_module(module)
    names = getattr(found, "__all__", None) or [name for name in vars(found) if not name.startswith("_")]
    values = {name: getattr(found, name) for name in names}
    return [name for name, value in values.items() if getattr(value, "__module__", "").startswith("binarynet")]


def reference() -> str:
    """The page of all public names; a name that stands in several modules is described in the first."""
    seen: set[int] = set()
    lines = ["# API reference", ""]
    for module in MODULES:
        said = (import_module(module).__doc__ or "").strip().partition("\n")[0]
        lines += [f"## {module}", "", said, ""]
        for name in public(module):
            value = getattr(import_module(module), name)
            if id(value) in seen or not (isinstance(value, type) or callable(value)):
                continue
            seen.add(id(value))
            lines += [f"::: {module}.{name}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)


def on_files(files: Files, config: Any) -> Files:
    """Pages that are made: the front page, and the reference of every public module."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    for name, content in (("index.md", readme), ("api.md", reference())):
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links that lead out of docs/, or to its scripts, become their text."""
    folder = Path(page.file.src_uri).parent

    def rewritten(found: re.Match[str]) -> str:
        image, text, target, _ = found.groups()
        if "://" in target or target.startswith(("mailto:", "/")):
            return found.group()
        path = _normal(folder / target)
        if path is not None and files.get_file_from_path(path) is not None:
            return found.group()
        return f"`{text}`" if image else text

    return LINK.sub(rewritten, markdown)


def on_post_build(config: Any) -> None:
    """The page of ``binarynet play``, which is files alone (docs/browser.md)."""
    from binarynet.web import copy

    copy(Path(config["site_dir"]) / "play")


def _normal(path: Path) -> str | None:
    """A path below docs/ without ``..``; None for one that leads out of it."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and not parts:
            return None
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)
