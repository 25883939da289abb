"""What `convert` is asked for, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from binarynet.errors import InputError
from binarynet.nn.quantizers import Quantizer

SETTINGS = ("weight_quantizer", "input_quantizer", "pad_value")


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What `convert` makes of each Linear, Conv1d and Conv2d.

    weight_quantizer, input_quantizer: a name, an object (shared by all layers), or None to leave as is.
    first, last: "binary" or "float" for the layers with no other before / behind them. A binary first layer
        reads raw bytes 0..255 through a `ByteInput`.
    pad_value: of the convolutions, see `BinaryConv2d`.
    overrides: by name pattern (`fnmatch`, the first that matches counts). None keeps the layer float; a
        mapping sets its weight_quantizer, input_quantizer or pad_value, but does not undo `first` and `last`.
    """

    weight_quantizer: str | Quantizer | None = "ste_sign"
    input_quantizer: str | Quantizer | None = "ste_sign"
    first: Literal["binary", "float"] = "binary"
    last: Literal["binary", "float"] = "binary"
    pad_value: float = 0.0
    overrides: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for end in ("first", "last"):
            if getattr(self, end) not in ("binary", "float"):
                raise InputError(f"ConvertConfig: {end}={getattr(self, end)!r}; choose 'binary' or 'float'.")
        for pattern, settings in self.overrides.items():
            unknown = sorted(set(settings or ()) - set(SETTINGS))
            if unknown:
                raise InputError(
                    f"ConvertConfig: overrides[{pattern!r}] sets {', '.join(unknown)}; known: {', '.join(SETTINGS)}."
                )


@dataclass(frozen=True)
class Change:
    """One module: its qualified name, its class before, what became of it, and why."""

    name: str
    layer: str
    action: str
    reason: str


@dataclass(frozen=True)
class ConvertReport:
    """What `convert` did and what it left, in the order of the forward pass; `str()` makes a table of it."""

    changes: tuple[Change, ...]

    @property
    def binary(self) -> tuple[str, ...]:
        """Names of the layers that were made binary."""
        return tuple(change.name for change in self.changes if change.action.startswith("Binary"))

    def __str__(self) -> str:
        rows = [("module", "was", "now", "why")]
        rows += [(change.name, change.layer, change.action, change.reason) for change in self.changes]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]])
            for row in rows
        )
