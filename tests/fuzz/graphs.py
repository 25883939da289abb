"""Random valid graphs: every op, every encoding, at the edges of words, padding, borders and ties."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from binarynet.graph import Encoding, Graph, Output
from tests.export.graphs import Whole

DEPTHS = (1, 2, 3, 8, 31, 33, 63, 64, 65, 127, 128, 129, 300)
CHANNELS = (1, 2, 3, 5, 8, 31, 33, 64, 65)
INPUTS = ("b1", "b1", "b8", "b8", "b2", "b4", "u1", "u2", "u8")
WEIGHTS = ("f32", "b1", "b1", "b1", "b2", "b4", "b7", "b8", "u1", "u3", "u8", "i2", "i4", "i8", "i8", "t2")
CODES = ("b1", "b1", "b1", "b2", "b3", "u1", "u2", "u4", "i2", "i4", "t2")
LEVELS = ("mixed", "mixed", "mixed", "rising", "falling", "always", "never", "extreme")
MOST_NUMBERS = 3000  # of one value: more says nothing else and takes longer


class Ends(Whole):
    """A `Whole` maker whose weights are often the ends of their encoding, −128 among them, or all the same."""

    def __init__(self, random: Random, shape: tuple[int, ...], encoding: str) -> None:
        super().__init__(shape, encoding, seed=random.randrange(2**32))
        self.chance = random

    def weights(self, encoding: str, *shape: int) -> np.ndarray:
        drawn = super().weights(encoding, *shape)
        how = self.chance.randrange(6)
        if encoding == "f32" or how > 2:
            return drawn
        code = Encoding.parse(encoding)
        low, high = max(code.low, -128 + (code.kind == "b")), min(code.high, 127)
        ends = np.array([low, high] if how else [low], np.int8)
        return self.random.choice(ends, shape)


def random_graph(random: Random) -> Ends:
    """A graph that the verifier takes; no product of reals in it has sums whose order matters."""
    image = random.random() < 0.6
    encoding = random.choice((*INPUTS, "f32"))
    if image:
        shape: tuple[int, ...] = (random.randint(1, 9), random.randint(1, 9), random.choice(CHANNELS[:6]))
    else:
        shape = (random.choice(DEPTHS),)
    make = Ends(random, shape, encoding)
    for _ in range(random.randint(1, 6)):
        _grow(make, random)
    if len(make.ops) == 1 or random.random() < 0.2:
        make.flatten()
    return make


def several(make: Ends) -> Graph:
    """The graph with its answer in three: all of it as it is, one number, and what lies between in the other order."""
    shape, last = make.value().shape, make.last
    if len(shape) == 3:
        last = make.flatten()
    count = make.value().channels
    parts = [last, make.take(channels=[0], source=last), make.take(channels=list(range(count))[::-1], source=last)]
    make.concat(*parts)
    outputs = (Output("logits", shape), Output("one", (1,)), Output("turned", (1, 1, count)))
    return replace(make.graph(), outputs=outputs)


def _grow(make: Ends, random: Random) -> None:
    value = make.value()
    name, image = str(value.encoding), len(value.shape) == 3
    numbers = int(np.prod(value.shape))
    if random.random() < 0.2:
        _move(make, random)
    elif name in ("i32", "f32"):
        _go_on(make, random, name)
    elif image and random.random() < 0.25 and min(value.shape[:2]) > 1:
        kernel = (random.randint(1, min(3, value.shape[0])), random.randint(1, min(3, value.shape[1])))
        padding = tuple((random.randint(0, k - 1), random.randint(0, k - 1)) for k in kernel)
        pool = make.max_pool if random.random() < 0.6 else make.sum_pool
        pool(kernel, (random.randint(1, 3), random.randint(1, 3)), padding)  # type: ignore[arg-type]
    elif image and numbers < MOST_NUMBERS and random.random() < 0.8:
        _conv(make, random)
    else:
        if image:
            make.flatten()
        make.linear(random.choice((1, 2, 3, 9, 64, 65)), encoding=random.choice(WEIGHTS))


def _move(make: Ends, random: Random) -> None:
    """Places of each axis in runs, alone and as 0; or a value beside a part of it."""
    value, source = make.value(), make.last
    least = 0 if value.encoding.kind == "b" else -1
    sizes = (1, 1, *value.shape)[-3:]

    def chosen(size: int, most: int) -> list[int]:
        begin, step = random.randrange(size), random.choice((1, 1, 1, 2, -1))
        run = list(range(begin, size if step > 0 else -1, step))[:most]
        return run + [random.randrange(least, size) for _ in range(random.randrange(3))]

    if random.random() < 0.4:
        part = make.take(channels=chosen(sizes[2], 70), source=source)
        make.concat(*random.choice([(source, part), (part, source), (part, part, source)]))
        return
    pixels = [None, None] if len(value.shape) == 1 else [random.choice((None, chosen(size, 8))) for size in sizes[:2]]
    make.take(*pixels, random.choice((None, chosen(sizes[2], 70))))


def _go_on(make: Ends, random: Random, name: str) -> None:
    """After an accumulator or a real: mostly back to codes."""
    how = random.randrange(10)
    if how < 6:
        make.threshold(random.choice(LEVELS), encoding=random.choice(CODES))
    elif how == 6 or (how in (7, 8) and name == "i32"):
        make.affine()
    elif how == 7:
        make.prelu()
    elif how == 8:
        make.add(make.last, make.last)
    else:
        make.relu()


def _conv(make: Ends, random: Random) -> None:
    value = make.value()
    height, width, channels = value.shape
    kernel = (random.randint(1, 3), random.randint(1, 3))
    dilation = (random.choice((1, 1, 2)), random.choice((1, 1, 2)))
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    least = [max(0, r - side) for r, side in zip(reach, (height, width), strict=True)]
    padding = tuple((need + random.choice((0, 0, 1, 2)), random.choice((0, 0, 1, 3))) for need in least)
    groups = random.choice([g for g in (1, 1, 1, 2, 3, channels) if channels % g == 0])
    code = value.encoding
    outside = random.choice((0, 0, *range(code.low, code.high + 1, code.step)))
    make.conv(
        groups * random.choice((1, 2, 3) if groups > 8 else (1, 2, 9, 33)),
        kernel,
        (random.randint(1, 2), random.randint(1, 2)),
        dilation,
        padding,  # type: ignore[arg-type]
        outside,
        groups,
        encoding=random.choice(WEIGHTS),
    )
