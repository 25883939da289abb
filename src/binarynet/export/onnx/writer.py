"""Appending nodes to an ONNX graph: names that are used once, constants that are stored once, the model around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import ExportError
from binarynet.export.emit import provenance, release
from binarynet.export.options import Options
from binarynet.graph import Graph

OPSET = 13  # of the standard domain; old enough for every reader, and all that is needed is in it
_IR_VERSION = 8


def need(target: str, *packages: str) -> None:
    """Raises ExportError, one line, for the first package that is not installed."""
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise ExportError(f"the target {target} needs the package {package}: pip install 'binarynet[onnx]'")


class Writer:
    """Nodes and initializers of one ONNX graph, in running order."""

    def __init__(self, target: str) -> None:
        need(target, "onnx")
        import onnx

        self._onnx = onnx
        self.target = target
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._taken: set[str] = set()
        self._stored: dict[tuple[bytes, str, tuple[int, ...]], str] = {}

    def name(self, wanted: str) -> str:
        """``wanted``, or if it is taken, with a number behind it."""
        found, k = wanted, 1
        while found in self._taken:
            k += 1
            found = f"{wanted}_{k}"
        self._taken.add(found)
        return found

    def node(self, kind: str, inputs: list[str], makes: str, domain: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of what it makes, which is ``makes`` if that is free."""
        made = self.name(makes)
        node = self._onnx.helper.make_node(kind, inputs, [made], name=made, domain=domain, **attributes)
        self.nodes.append(node)
        return made

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """An initializer; the same numbers in the same shape are stored once."""
        values = np.ascontiguousarray(values)
        key = (values.tobytes(), values.dtype.str, values.shape)
        if key not in self._stored:
            self._stored[key] = self.name(name)
            self.initializers.append(self._onnx.numpy_helper.from_array(values, self._stored[key]))
        return self._stored[key]

    def scalar(self, value: float, dtype: Any = np.float32) -> str:
        return self.constant(f"{value:g}", np.asarray(value, dtype))

    def indices(self, *values: int) -> str:
        return self.constant("indices_" + "_".join(map(str, values)), np.asarray(values, np.int64))

    def _drop_unread(self, wanted: set[str]) -> None:
        """Leave out nodes and constants that nothing reads; nodes stand in running order."""
        for node in reversed(self.nodes):
            if not wanted.isdisjoint(node.output):
                wanted.update(node.input)
        self.nodes = [node for node in self.nodes if not wanted.isdisjoint(node.output)]
        self.initializers = [one for one in self.initializers if one.name in wanted]

    def save(
        self,
        path: Path,
        graph: Graph,
        options: Options,
        ends: Sequence[tuple[str, Any, tuple[int, ...]]],
        domains: dict[str, int],
        batch: int | str,
        annotations: tuple[Any, ...] = (),
    ) -> Path:
        """Write the model. ``ends``: (name, dtype, shape without the batch) of the input and of the outputs."""
        helper = self._onnx.helper
        self._drop_unread({name for name, *_ in ends})
        infos = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), (batch, *shape))
            for name, dtype, shape in ends
        ]
        made = helper.make_graph(self.nodes, options.api, infos[:1], infos[1:], self.initializers)
        made.quantization_annotation.extend(annotations)
        opsets = [helper.make_opsetid("", OPSET)] + [helper.make_opsetid(*domain) for domain in domains.items()]
        model = helper.make_model(made, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="binarynet")
        model.producer_version = release().removeprefix("binarynet").strip()
        model.doc_string = "\n".join(provenance(graph, options))
        self._onnx.helper.set_model_props(model, dict(graph.meta))
        model = self._onnx.shape_inference.infer_shapes(model, strict_mode=not domains)
        path.write_bytes(model.SerializeToString(deterministic=True))
        return path
