"""Where values lie in the arena, and which layers hand rows on to one another instead of whole images.

A *stage* is a run of layers that work row by row together: of what passes between them only as many rows are kept as
the next window sees. What enters a stage and what leaves it is whole. Stages follow one another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from binarynet.export.c.function import Function
from binarynet.export.c.plan import Layer, Stored
from binarynet.graph.ir import Conv2d, MaxPool2d, SumPool2d, Take

_ALIGNED = 8
_SIZES = {"uint8_t": 1, "float": 4, "int32_t": 4}

ANSWER = "answers of a class"  # a block for those that the class is found in

Stage = tuple[int, ...]  # numbers of its layers, in order


@dataclass(frozen=True)
class Block:
    """A piece of the arena: needed from stage ``first`` to stage ``last``, both included."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Reach:
    """Which rows of its input a layer needs for a row of its own: row · ``stride`` + ``last`` and those above it."""

    stride: int
    last: int
    rows: int  # that it sees at once


def reach(layer: Layer) -> Reach:
    op = layer.head
    if isinstance(op, Conv2d):
        tall = (op.weight.shape[1] - 1) * op.dilation[0] + 1
        return Reach(op.stride[0], tall - 1 - op.padding[0][0], tall)
    if isinstance(op, MaxPool2d | SumPool2d):
        return Reach(op.stride[0], op.kernel[0] - 1 - op.padding[0][0], op.kernel[0])
    return Reach(1, 0, 1)


def stages(functions: Sequence[Function], word: int) -> list[Stage]:
    """Layers in stages so that the arena is small; among equals, as few layers as can be pass rows."""
    layers = [one.layer for one in functions]
    found: list[Stage] = []
    start = 0
    for k in range(len(layers)):
        if k + 1 == len(layers) or not _passes_rows(layers, k, word):
            found += _cut(functions, start, k + 1, word)
            start = k + 1
    return found


def _passes_rows(layers: Sequence[Layer], k: int, word: int) -> bool:
    """Whether layer k + 1, and nothing else, reads what layer k makes, row by row."""
    made, reader = layers[k].makes, layers[k + 1]
    readers = [one for one in layers if any(x.name == made.name for x in one.sources)]
    if (
        isinstance(reader.head, Take)
        or readers != [reader]
        or len(reader.sources) != 1
        or not reader.sources[0].is_image
        or not reader.makes.is_image
    ):
        return False
    return made.is_image and (made.kind != "bits" or made.size[1] * made.size[2] % word == 0)


def _cut(functions: Sequence[Function], start: int, end: int, word: int) -> list[Stage]:
    """The best stages of the layers start … end − 1, all of which could be one."""
    best: dict[int, tuple[tuple[int, int], list[Stage]]] = {start: ((0, 0), [])}
    for k in range(start + 1, end + 1):
        choices = []
        for first in range(start, k):
            (most, passing), before = best[first]
            cost = max(most, _bytes(functions, first, k, word))
            choices.append(((cost, passing + k - first - 1), [*before, tuple(range(first, k))]))
        best[k] = min(choices, key=lambda choice: choice[0])
    return best[end][1]


def _bytes(functions: Sequence[Function], first: int, end: int, word: int) -> int:
    """Memory of one stage."""
    layers = [one.layer for one in functions[first:end]]
    enters = sum(x.bytes(word) for x in layers[0].sources) if first else 0
    leaves = layers[-1].makes.bytes(word) if end < len(functions) else 0
    between = sum(_rows(one.makes, _kept(functions[first + k + 1]), word) for k, one in enumerate(layers[:-1]))
    return enters + leaves + between + max(scratch_bytes(one, word) for one in functions[first:end])


def _kept(reader: Function) -> int:
    return 1 if reader.takes_rows else min(reach(reader.layer).rows, reader.layer.sources[0].size[0])


def _rows(x: Stored, rows: int, word: int) -> int:
    return x.bytes(word) // x.size[0] * rows


def with_rows(functions: Sequence[Function], found: Sequence[Stage]) -> list[Layer]:
    """The layers, told how many rows of what they read and make are in memory."""
    layers = [one.layer for one in functions]
    made = list(layers)
    for stage in found:
        for k in stage:
            x = _kept(functions[k]) if k != stage[0] else layers[k].sources[0].size[0]
            y = _kept(functions[k + 1]) if k != stage[-1] else layers[k].makes.size[0]
            made[k] = replace(layers[k], kept=(x, y))
    return made


def scratch_bytes(one: Function, word: int) -> int:
    return sum(aligned(need.count * _SIZES.get(need.kind, word // 8)) for need in one.scratch)


def scratch_places(one: Function, word: int) -> list[int]:
    """Where each thing that a layer needs while it runs begins in the stage's scratch."""
    sizes = [aligned(need.count * _SIZES.get(need.kind, word // 8)) for need in one.scratch]
    return [sum(sizes[:k]) for k in range(len(sizes))]


def aligned(count: int) -> int:
    return -(-count // _ALIGNED) * _ALIGNED


def blocks(functions: Sequence[Function], found: Sequence[Stage], word: int) -> list[Block]:
    """What lies in the arena, and from when to when: values by their name, scratch by its stage's number."""
    made = []
    for number, stage in enumerate(found):
        for k in stage:
            layer = functions[k].layer
            if k + 1 < len(functions):
                readers = [
                    other
                    for other, others in enumerate(found)
                    if any(x.name == layer.makes.name for j in others for x in functions[j].layer.sources)
                ]
                size = _rows(layer.makes, layer.rows_of_y, word) if k != stage[-1] else layer.makes.bytes(word)
                made.append(Block(layer.makes.name, size, number, max(readers, default=number)))
        scratch = max(scratch_bytes(functions[k], word) for k in stage)
        if scratch:
            made.append(Block(f"scratch {number}", scratch, number, number))
    if not functions[-1].best:
        made.append(Block(ANSWER, functions[-1].layer.makes.bytes(word), len(found) - 1, len(found) - 1))
    return made


def places(blocks: Iterable[Block]) -> tuple[dict[str, int], int]:
    """Offset of each block by name, and the bytes of the arena: the smallest of some orders of placing them, each as
    low as it fits."""
    orders = (
        lambda block: (-block.bytes, block.first, block.name),
        lambda block: (block.first - block.last, -block.bytes, block.name),
        lambda block: (block.first, block.first - block.last, -block.bytes, block.name),
        lambda block: (-block.last, block.first - block.last, -block.bytes, block.name),
    )
    listed = list(blocks)
    return min((_placed(sorted(listed, key=order)) for order in orders), key=lambda placed: placed[1])


def _placed(blocks: Iterable[Block]) -> tuple[dict[str, int], int]:
    taken: list[tuple[int, int, Block]] = []
    for block in blocks:
        start = 0
        for begin, end, other in sorted(taken, key=lambda place: place[0]):
            overlaps = other.first <= block.last and block.first <= other.last
            if overlaps and begin < start + block.bytes and start < end:
                start = end
        taken.append((start, start + aligned(block.bytes), block))
    return {block.name: start for start, _, block in taken}, max((end for _, end, _ in taken), default=0)
