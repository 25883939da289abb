"""Changes that damage, bad luck and malice make: of bytes, of a JSON tree, of the arrays behind it."""

from __future__ import annotations

import copy
import struct
from random import Random
from typing import Any

NUMBERS = (0, 1, -1, 2, 3, 7, 8, 63, 64, 65, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**40)
NUMBERS += (2**63 - 1, 2**63, 2**64, -(2**31), -(2**63), 10**30, 10**400)
TEXTS = ("", "x", "\0", "\n", "\x1b[31m", "*/", "\\", "\ud800", "\u202e", "é", "[/red]", "..", "/", "x" * 300)
OTHERS: tuple[Any, ...] = (None, True, False, 1.0, 1.5, -0.0, 1e308, [], {}, [[]], [0], {"a": 1})


def flipped(content: bytes, random: Random, most: int = 4) -> bytes:
    """Some bits, bytes or words are others, are gone, or stand twice."""
    changed = bytearray(content)
    for _ in range(random.randint(1, most)):
        if not changed:
            return bytes(random.randbytes(4))
        at = random.randrange(len(changed))
        length = random.choice((1, 1, 1, 2, 4, 8, 64))
        how = random.randrange(6)
        if how == 0:
            changed[at] ^= 1 << random.randrange(8)
        elif how == 1:
            changed[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif how == 2:
            del changed[at : at + length]
        elif how == 3:
            changed[at:at] = changed[at : at + length]
        elif how == 4:
            other = random.randrange(len(changed))
            changed[at : at + length] = changed[other : other + length]
        else:
            number = random.choice(
                (0, 1, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, len(content), random.getrandbits(32))
            )
            changed[at : at + 4] = struct.pack(random.choice("<>") + "I", number)
    return bytes(changed)


def cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content))] if content else content


def changed(tree: Any, random: Random, words: tuple[str, ...] = ()) -> Any:
    """A JSON tree in which one place, or a few, hold something else. ``words`` are texts that mean something in it."""
    tree = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return random.choice(OTHERS)
        inside, key = random.choice(places)
        _change(inside, key, random, words, [value for at, one in places for value in [at[one]]])
    return tree


def _places(tree: Any) -> Any:
    """(container, key) of every value below."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key])


def _change(inside: Any, key: Any, random: Random, words: tuple[str, ...], others: list[Any]) -> None:
    value = inside[key]
    how = random.randrange(10)
    if how == 0:
        del inside[key]
    elif how == 1 and isinstance(inside, list):
        inside.insert(random.randrange(len(inside) + 1), copy.deepcopy(value))
    elif how == 2 and isinstance(inside, list):
        random.shuffle(inside)
    elif how == 3 and isinstance(inside, dict):
        inside[random.choice(TEXTS + words)] = inside.pop(key)
    elif how == 4:
        inside[key] = copy.deepcopy(random.choice(others))
    elif how == 5:
        inside[key] = copy.deepcopy(random.choice(OTHERS))
    elif isinstance(value, bool) or not isinstance(value, int | str):
        inside[key] = random.choice((random.choice(NUMBERS), random.choice(TEXTS + words)))
    elif isinstance(value, int):
        inside[key] = random.choice((value + 1, value - 1, -value, value * 2, random.choice(NUMBERS)))
    else:
        inside[key] = random.choice((*TEXTS, *words, *words, value + random.choice(TEXTS), value[:-1]))
