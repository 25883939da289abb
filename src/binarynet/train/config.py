"""The config.json of a run as the beginning of another one: ``binarynet train --config runs/x/config.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from binarynet.errors import TrainingError
from binarynet.train.folder import RunFolder


@dataclass(frozen=True)
class Config:
    """What a run was asked for; without a file nothing, and the defaults of the command line.

    path: where data of the user's own stood, if it was; shape, background: what its pictures were brought to; layout:
    of its arrays; data_seed: of the draw of its splits.
    """

    recipe: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    path: str | None = None
    shape: tuple[int, int, int] | None = None
    background: str | None = None
    layout: str | None = None
    data_seed: int = 0
    seed: int = 0
    precision: str = "32"
    gradients: str | None = None

    @classmethod
    def read(cls, file: Path) -> Self:
        """Of a config.json, or of the run folder that holds one. `TrainingError` as `RunFolder.read_config`."""
        found = RunFolder(file if file.is_dir() else file.parent).read_config(None if file.is_dir() else file)
        seed, precision, gradients = found.get("seed", 0), found.get("precision", "32"), found.get("gradients")
        if type(seed) is not int or not isinstance(precision, str) or not isinstance(gradients, str | None):
            raise TrainingError(f"{file}: seed, precision or gradients are none. Restore it from a copy.")
        last = found["sessions"][-1] if found["sessions"] else {}
        path = last.get("data") if isinstance(last, dict) else None
        channels, height, width = found["data"]["shape"]
        shape = (channels, height, width) if path and channels in (1, 3) else None
        background, layout, drawn = (found["data"].get(name) for name in ("background", "layout", "seed"))
        drawn = drawn if type(drawn) is int else 0
        settings = found["settings"]
        return cls(found["recipe"], settings, path, shape, background, layout, drawn, seed, precision, gradients)

    def settings_of(self, recipe: str) -> dict[str, Any]:
        """The settings; none for another recipe than the config's."""
        return self.settings if recipe == self.recipe else {}
