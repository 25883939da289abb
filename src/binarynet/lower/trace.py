"""Record what a module does: a flat list of steps, each a module or a named function, with the shape it makes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from binarynet.errors import LoweringError
from binarynet.nn import BinaryLayer, ByteInput, Quantizer

# Functions and tensor methods that have a module of the same meaning, or a meaning of their own in the graph.
_FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    torch.flatten: "flatten",
    torch.relu: "relu",
    F.relu: "relu",
    F.dropout: "identity",
}
_METHODS = {"add": "add", "flatten": "flatten", "relu": "relu", "contiguous": "identity", "float": "identity"}


@dataclass(frozen=True)
class Step:
    """One thing that happens: ``module`` is called, or the function ``kind`` where ``module`` is None.

    ``sources`` are names of earlier steps (or "input"); ``shape`` is of the result, torch's order without the batch.
    """

    name: str
    kind: str
    module: nn.Module | None
    sources: tuple[str, ...]
    shape: tuple[int, ...]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            isinstance(m, BinaryLayer | Quantizer)
            or type(m).__module__.startswith("binarynet.nn")
            or super().is_leaf_module(m, module_qualified_name)
        )


def trace(model: nn.Module, shape: tuple[int, ...]) -> list[Step]:
    """The steps of ``model``, which is in eval mode, on one image of ``shape``.

    Raises:
        LoweringError: the forward pass depends on the data, or fails on this shape.
    """
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # whatever a user's forward raises under symbolic values
        raise LoweringError(
            f"{type(model).__name__}: its forward pass cannot be recorded ({_line(error)}). "
            "Branches and loops must not depend on tensor values."
        ) from error
    recorder = _Recorder(fx.GraphModule(model, graph))
    bytewise = any(isinstance(module, ByteInput) for module in model.modules())
    image = torch.zeros((1, *shape), dtype=torch.uint8 if bytewise else torch.float32)
    try:
        with torch.no_grad():
            recorder.run(image)
    except LoweringError:
        raise
    except Exception as error:
        raise LoweringError(
            f"{type(model).__name__}: its forward pass fails on one {image.dtype} image of shape {shape}: "
            + _line(error)
        ) from error
    return recorder.steps


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


class _Recorder(fx.Interpreter):
    """Runs the recorded graph once and notes every step with the shape of its result."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.extra_traceback = False  # it would turn a one-line error into a page
        self.steps: list[Step] = []
        self.names: dict[fx.Node, str] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "placeholder":
            if self.names:
                raise LoweringError(f"the model takes a second input, {n.name!r}; a graph has one")
            self.names[n] = "input"
        elif n.op == "call_module":
            self._note(n, str(n.target), "module", self.module.get_submodule(str(n.target)), result)
        elif n.op in ("call_function", "call_method"):
            self._note(n, n.name, self._kind(n, result), None, result)
        elif n.op == "output":
            returned = n.args[0]
            if not isinstance(returned, fx.Node):
                raise LoweringError("the model returns several values; a graph has one answer")
            self.steps.append(Step("output", "output", None, (self.names[returned],), tuple(result.shape[1:])))
        return result

    def _kind(self, node: fx.Node, result: Any) -> str:
        table: Callable[[Any], str | None] = (
            _FUNCTIONS.get if node.op == "call_function" else lambda name: _METHODS.get(str(name))
        )
        kind = table(node.target)
        if kind is None and node.target in ("view", "reshape", torch.reshape):
            kind = "flatten" if result.ndim == 2 else None
        if kind is None and node.target in ("size", getattr):
            return "shape"
        if kind is None:
            name = getattr(node.target, "__name__", node.target)
            raise LoweringError(
                f"{node.name}: the function {name!r} has no counterpart in the graph. "
                f"Known: {', '.join(sorted({*_FUNCTIONS.values(), *_METHODS.values()}))}; or use its module."
            )
        return kind

    def _note(self, node: fx.Node, name: str, kind: str, module: nn.Module | None, result: Any) -> None:
        taken = {step.name for step in self.steps}
        while name in taken:  # a module that is called twice, such as one shared sign
            name += "'"
        self.names[node] = name
        if kind != "shape":
            sources = tuple(self.names[source] for source in node.all_input_nodes if self.names[source] != "shape")
            self.steps.append(Step(name, kind, module, sources, tuple(result.shape[1:])))
        else:
            self.names[node] = "shape"
