"""Lowering: a trained torch module → the integer graph. The order of the lines in `lower` is the design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from binarynet.graph import Graph, verify
from binarynet.graph.passes import PASSES
from binarynet.lower.fold import fold
from binarynet.lower.trace import trace

__all__ = ["lower"]


def lower(
    model: nn.Module, shape: tuple[int, ...], meta: Mapping[str, str] | None = None, *, allow_real: bool = False
) -> Graph:
    """The integer graph of ``model`` in eval mode, for images of ``shape`` (channels, height, width) or (features,).

    ``meta`` is free text that the file will carry; ``meta["classes"]`` are the class names, one a line.
    ``allow_real`` lets linear and convolutional layers read real inputs (W1A32) or hold real weights; without it they
    are refused, so that nothing runs in float32 by oversight.

    Raises:
        LoweringError: a layer has no exact integer counterpart; the text names it, the reason and the way out.
    """
    with _evaluating(model):
        steps = trace(model, tuple(shape))
        graph = Graph(fold(steps, tuple(shape), allow_real), dict(meta or {}))
    for one in PASSES:
        graph = one(graph)
    verify(graph)
    return graph


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for a while; afterwards each submodule has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
