"""What `torch.compile` leaves to Python: a look at numbers. Imported where a module is being compiled, by `reader`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


@torch.compiler.disable  # type: ignore[untyped-decorator]
def look_outside_of_the_compiler(reader: Any, x: Tensor, training: bool) -> str:
    """What a `ByteReader` finds. In a whole-graph compilation torch reports this name: compile after one batch, or
    pass uint8."""
    found: str = reader.look(x, training)
    return found
