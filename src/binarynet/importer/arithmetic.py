"""What a single standard node makes of numbers: asked of onnxruntime, whose arithmetic is the file's."""

from __future__ import annotations

from typing import Any

import numpy as np

from binarynet.importer import budget
from binarynet.importer.model import Array, Node


class Arithmetic:
    """Runs nodes one by one, each in a session of its own, which is kept."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._sessions: dict[tuple[Any, ...], Any] = {}
        self._allowed: set[tuple[Any, ...]] = set()  # nodes with the shapes that they were looked at with

    def run(self, node: Node, inputs: list[Array | None]) -> Array:
        """The first output of a standard node.

        Raises:
            ImportedModelError: onnxruntime does not know the node, or not for such inputs; or it would make too much.
        """
        shapes = (id(node), *(None if array is None else array.shape for array in inputs))
        if shapes not in self._allowed:
            budget.check(node, inputs, self._opset)
            self._allowed.add(shapes)
        given = {name: array for name, array in zip(node.inputs, inputs, strict=True) if array is not None}
        key = (node.outputs[0], *((array.dtype.str, array.ndim) for array in given.values()))
        try:
            if key not in self._sessions:
                self._sessions[key] = self._session(node, given)
            made = self._sessions[key].run([node.outputs[0]], given)[0]
        except Exception as error:  # of several kinds, all of onnxruntime
            node.refuse(f"onnxruntime does not run it: {str(error).splitlines()[0]}")
        return np.asarray(made)

    def _session(self, node: Node, given: dict[str, Array]) -> Any:
        import onnx
        import onnxruntime

        infos = [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim
            )
            for name, array in given.items()
        ]
        answer = onnx.ValueInfoProto(name=node.outputs[0])
        graph = onnx.helper.make_graph([node.proto], "node", infos, [answer])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", self._opset)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4  # what it says stands in our error
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
