"""The end of the fold: what the network answers becomes the last op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from binarynet.fold.folder import F32, I32, Folder, table
from binarynet.fold.pending import Pending
from binarynet.fold.place import Place
from binarynet.graph import Output
from binarynet.graph.ir import Concat, Flatten, Input

Answer = tuple[str, Place, Pending, int]  # its name; the step that makes it; the value; its dimensions with the batch


def ordered(folder: Folder, place: Place, x: Pending) -> Pending:
    """An answer in the network's order: a flattened image stands in the graph's."""
    if x.order is None:
        return x
    made = folder.take(place, x, [0], [0], np.argsort(x.order))
    return replace(made, step=x.step)


def answer(folder: Folder, given: Sequence[Answer]) -> tuple[Output, ...]:
    """Make these the answer: one is the last op itself; several are vectors of one encoding that a `Concat` puts
    together, and what is answered says which they are."""
    made = [_made(folder, place, x, rank) for _, place, x, rank in given]
    if len(given) == 1:
        _last(folder, made[0].name)
        return ()
    if len({folder.value(x).encoding for x in made}) > 1:
        made = [folder.real(place, x) for (_, place, _, _), x in zip(given, made, strict=True)]
    outputs = tuple(Output(one[0], folder.value(x).shape) for one, x in zip(given, made, strict=True))
    place = given[-1][1]
    vectors = [
        x.name if len(one.shape) == 1 else folder.emit(place, Flatten(folder.free(f"{x.name}.flat"), (x.name,)))
        for one, x in zip(outputs, made, strict=True)
    ]
    _last(folder, folder.emit(place, Concat(folder.free("answers"), tuple(vectors))))
    return outputs


def _made(folder: Folder, place: Place, x: Pending, rank: int) -> Pending:
    """The answer as a value of the graph."""
    if rank == 2 and len(folder.value(x).shape) == 3:
        name = folder.emit(place, Flatten(folder.free(place.name), (x.name,)))
        folder.steps[name], x = x.step or 0, replace(x, name=name)
    value = folder.value(x)
    if value.encoding not in (I32, F32) and np.array_equal(x.evaluate(table(value)), table(value)):
        x = replace(folder.inside(place, x), links=())  # the links amount to nothing
    return folder.real(place, x) if x.links or x.outside or value.encoding == F32 else x


def _last(folder: Folder, name: str) -> None:
    """The op of this name stands last, and no op stands before it that it does not need."""
    folder.ops.sort(key=lambda op: op.name == name)
    needed = {name}
    for op in reversed(folder.ops):
        needed.update(op.sources if op.name in needed else ())
    folder.ops[:] = [op for op in folder.ops if op.name in needed or isinstance(op, Input)]
