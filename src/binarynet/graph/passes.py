"""Passes: pure functions from graph to graph that change what is computed where, never the answer."""

from __future__ import annotations

from dataclasses import replace

from binarynet.graph.ir import Graph, MaxPool2d, Op, Threshold


def pool_behind_threshold(graph: Graph) -> Graph:
    """MaxPool → Threshold becomes Threshold → MaxPool: pool bits (OR, or AND where the threshold falls), not integers.

    A threshold is monotone, so threshold(max x) = max threshold(x), and where it falls, min threshold(x).
    """
    for op in graph.ops:
        pool = graph[op.source] if isinstance(op, Threshold) else None
        if isinstance(op, Threshold) and isinstance(pool, MaxPool2d) and len(graph.readers(pool.name)) == 1:
            threshold = replace(op, sources=pool.sources)
            moved = replace(pool, sources=(op.name,), minimum=pool.minimum ^ ~op.rising)
            places: dict[Op, Op] = {pool: threshold, op: moved}
            ops = [places.get(old) or _reading(old, op.name, pool.name) for old in graph.ops]
            return pool_behind_threshold(replace(graph, ops=tuple(ops)))  # pools may stand in a row
    return graph


def _reading(op: Op, old: str, new: str) -> Op:
    return replace(op, sources=tuple(new if source == old else source for source in op.sources))


PASSES = (pool_behind_threshold,)
