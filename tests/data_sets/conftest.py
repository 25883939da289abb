"""Every test here runs offline, with an empty download cache and without BINARYNET_DATA."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands in for the user's download cache; the network answers nothing."""
    folder = tmp_path_factory.mktemp("cache")

    def unreachable(url: str, **_: object) -> str:
        raise ConnectionError(f"no route to {url}")

    monkeypatch.delenv("BINARYNET_DATA", raising=False)
    if importlib.util.find_spec("pooch"):  # without it nothing is downloaded
        monkeypatch.setattr("pooch.os_cache", lambda project: folder)
        monkeypatch.setattr("pooch.retrieve", unreachable)
    return folder
