"""The files of the page, by the path under which a browser asks for them."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

from binarynet import models
from binarynet.atomic import write

FOLDER = Path(str(files("binarynet.web")))
WASM = FOLDER / "npm" / "binarynet.wasm"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".bnn": "application/octet-stream",
}
FIRST = "mnist-small"  # what the page opens with


def package_version() -> str:
    """The version of the npm package, which is that of this one."""
    return str(json.loads((FOLDER / "npm" / "package.json").read_text(encoding="utf-8"))["version"])


def contents(given: dict[str, Path] | None = None) -> dict[str, Path | bytes]:
    """Path → file, or bytes: ``page/index.html``, ``npm/binarynet.wasm``, ``models/mnist-small.bnn`` …

    ``given`` are further models, name → file; the first of them is what the page opens with.
    """
    found: dict[str, Path | bytes] = {}
    for part in ("npm", "page"):
        for file in sorted((FOLDER / part).iterdir()):
            if file.suffix in TYPES:
                found[f"{part}/{file.name}"] = file
    known = sorted(models.names(), key=lambda name: (name != FIRST, name))
    named = dict(given or {}) | {name: models.find(name) for name in known if name not in (given or {})}
    for name, file in named.items():
        found[f"models/{name}.bnn"] = file
    found["models/index.json"] = json.dumps(list(named)).encode()
    return found


def copy(folder: str | os.PathLike[str]) -> None:
    """Write the page with its models into a folder, which any web server can serve. Opens at ``page/index.html``."""
    for path, content in contents().items():
        target = Path(folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, content if isinstance(content, bytes) else content.read_bytes())
