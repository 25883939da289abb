"""The npm package in node, as a process that answers questions. tests/web/answers.mjs is the other end."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DTYPES = (np.uint8, np.int32, np.float32)
OLDEST = 18


def lacking() -> str:
    """Why the package cannot be tried in node here; empty if it can."""
    if shutil.which("node") is None:
        return "no node (Debian package nodejs)"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major = re.match(r"v(\d+)", version)
    return "" if major and int(major[1]) >= OLDEST else f"node {version} is older than {OLDEST}"


class Refused(Exception):
    """An error of the package: its kind and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text


class Node:
    """``ask`` gives the answers of a model to images, both files; of real input if those are float32."""

    def __init__(self) -> None:
        if reason := lacking():
            pytest.skip(reason)
        script = Path(__file__).parent / "answers.mjs"
        self.process = subprocess.Popen(
            ["node", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, model: Path, images: Path, real: bool = False, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        question = {"model": str(model), "images": str(images), "real": real, "options": options}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        if "error" in found:
            raise Refused(found["kind"], found["error"])
        output = found["output"]
        numbers = np.frombuffer(base64.b64decode(found["answers"]), DTYPES[output["type"]])
        return numbers.reshape(-1, *output["shape"]), found

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()
