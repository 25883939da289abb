"""The energy of an image in one line, for reports of what a design costs."""

from __future__ import annotations

from binarynet.graph import Graph
from binarynet.report.analysis import analyse


def energy_line(graph: Graph) -> str:
    """What the model of `binarynet.report.analysis` says of an image: it knows the net, not the chip or the fold.

    Raises:
        GraphError: the graph is not well-formed.
    """
    cost = analyse(graph).cost
    total, operations, accesses = (
        f"{pj / 1e3:,.3g}" if pj < 1e6 else f"{pj / 1e3:,.0f}"
        for pj in (cost.energy_pj, cost.operations_pj, cost.accesses_pj)
    )
    return (
        f"{total} nJ an image ({operations} arithmetic, {accesses} memory) by the model of 45 nm prices "
        "(Horowitz 2014): of the net, not of this chip, of which nothing was measured"
    )
