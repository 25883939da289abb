"""What a module returns, by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import SequenceKey, tree_flatten_with_path

from binarynet.errors import LoweringError
from binarynet.graph.outputs import LOGITS, named


def returned(model: nn.Module, answer: Any) -> dict[str, Tensor]:
    """Name → tensor of what a module returns: a tensor, or dicts, lists and tuples of them; `LOGITS` the first.

    Raises:
        LoweringError: it returns something else, or two tensors of one name.
    """
    found: dict[str, Tensor] = {}
    for way, one in tree_flatten_with_path(answer)[0]:
        if one is None:  # a field of a dict or tuple that this call leaves empty
            continue
        name = named(tuple(_key_of(step) for step in way))
        if not isinstance(one, Tensor) or name in found:
            what = f"twice {name!r}" if name in found else type(one).__name__
            raise LoweringError(
                f"{type(model).__name__}: the model returns {what}. "
                "Return a tensor, or a tuple, list or dict of tensors."
            )
        found[name] = one
    if not found:
        raise LoweringError(f"{type(model).__name__}: the model returns {type(answer).__name__} without a tensor.")
    return dict(sorted(found.items(), key=lambda one: one[0] != LOGITS))


def _key_of(step: Any) -> str | int:
    """A place in a list or tuple; the key of a dict or the field of a named tuple, as text."""
    return step.idx if isinstance(step, SequenceKey) else str(getattr(step, "key", getattr(step, "name", step)))
