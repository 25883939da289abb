"""The functions of `Apply` as nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from binarynet.export.onnx.writer import Writer


class OnNodes:
    """Nodes for `binarynet.graph.functions`; powers of two stand in a table, since engines differ in Pow's last bit."""

    def __init__(self, writer: Writer, name: str) -> None:
        self.writer, self.name = writer, name

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.writer.node(kind, list(inputs), f"{self.name}.step", **attributes)

    def number(self, value: float) -> str:
        return self.writer.constant(f"{value:g}", np.asarray(value, np.float32))

    def add(self, a: str, b: str) -> str:
        return self._node("Add", a, b)

    def multiply(self, a: str, b: str) -> str:
        return self._node("Mul", a, b)

    def divide(self, a: str, b: str) -> str:
        return self._node("Div", a, b)

    def floor(self, a: str) -> str:
        return self._node("Floor", a)

    def power(self, n: str) -> str:
        table = self.writer.constant("powers.of.two", np.ldexp(np.float32(1), np.arange(-126, 128)).astype(np.float32))
        place = self._node("Cast", self.add(n, self.number(126)), to=int(self.writer._onnx.TensorProto.INT64))
        return self._node("Gather", table, place, axis=0)

    def choose(self, a: str, least: float, yes: str, no: str) -> str:
        return self._node("Where", self._node("GreaterOrEqual", a, self.number(least)), yes, no)
