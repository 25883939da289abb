"""One table op → rule for every engine and report, so that a new op shows what is missing instead of hiding it.

`ENGINES` holds the tables of all modules that are imported; docs/architecture.md prints them side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from binarynet.errors import BinarynetError, GraphError
from binarynet.graph.ir import Op

Rule = TypeVar("Rule")
ENGINES: dict[str, Rules] = {}  # type: ignore[type-arg]


class Rules(dict[type[Op], Rule]):
    """What one engine does with each op, by the op's class.

    engine: PACKAGE/NAME, by which the table of the page sorts; errors call it NAME.
    refused: classes that the engine does not take, and why: what it says, and the way out.
    error: what `of` raises.
    """

    def __init__(
        self,
        engine: str,
        rules: Mapping[type[Op], Rule],
        refused: Mapping[type[Op], str] | None = None,
        error: type[BinarynetError] = GraphError,
    ) -> None:
        super().__init__(rules)
        self.package, self.engine = engine.split("/")
        self.refused, self.error = dict(refused or {}), error
        ENGINES[self.engine] = self

    def of(self, op: Op) -> Rule:
        """The rule of an op; where there is none, the error names the op."""
        if type(op) not in self:
            why = self.refused.get(type(op), "has no rule for this op")
            who = f"the target {self.engine}" if self.package == "export" else self.engine
            raise self.error(f"{op.name} ({type(op).__name__}): {who} {why}")
        return self[type(op)]
