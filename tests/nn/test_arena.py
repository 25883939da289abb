"""The memory of tensors that live no longer than a step."""

from __future__ import annotations

import gc
import random

import pytest
import torch

from binarynet.nn.fused import arena
from binarynet.nn.fused.arena import LARGE, Arena


@pytest.fixture(autouse=True)
def small_arena(monkeypatch: pytest.MonkeyPatch) -> Arena:
    try:
        made = Arena(64 * LARGE)
    except (AttributeError, OSError, ValueError):
        pytest.skip("this system does not lend addresses")
    monkeypatch.setattr(arena, "_arena", made)
    return made


def place(tensor: torch.Tensor, of: Arena) -> int:
    """How far into the arena it lies; below 0 or beyond its end where it does not."""
    return tensor.data_ptr() - torch.frombuffer(of.memory, dtype=torch.uint8, count=1).data_ptr()


def test_tensors_are_torchs_in_shape_order_and_number(small_arena: Arena) -> None:
    images = arena.images(4, 3, 256, 256)
    model = torch.empty((4, 3, 256, 256), memory_format=torch.channels_last)
    narrow = arena.like(images, torch.int16)
    for found in (images, narrow):
        assert (found.shape, found.stride(), found._is_view()) == (model.shape, model.stride(), False)
        assert 0 <= place(found, small_arena) < 64 * LARGE
        assert found.data_ptr() % 64 == 0
    assert (images.dtype, narrow.dtype) == (torch.float32, torch.int16)
    assert not 0 <= place(arena.images(1, 1, 2, 2), small_arena) < 64 * LARGE  # a small one is the C library's


def test_the_lowest_place_that_fits_is_taken_and_a_view_holds_it(small_arena: Arena) -> None:
    first, second = arena.images(1, 1, 512, 512), arena.images(1, 1, 512, 1024)
    assert [place(one, small_arena) for one in (first, second)] == [0, LARGE]
    view = first[0, 0, 1:]
    del first
    assert place(arena.images(1, 1, 512, 512), small_arena) == 3 * LARGE
    del view
    assert place(arena.images(1, 1, 512, 512), small_arena) == 0


def test_whatever_is_taken_and_freed_no_two_tensors_share_a_byte_and_all_comes_back(small_arena: Arena) -> None:
    draw = random.Random(3)
    held: list[tuple[torch.Tensor, int]] = []
    for step in range(300):
        if held and draw.random() < 0.45:
            tensor, value = held.pop(draw.randrange(len(held)))
            assert (tensor == value).all()
        else:
            tensor = arena.images(1, 1, draw.randint(1, 9) * 512, 512, torch.uint8)
            held.append((tensor.fill_(step % 251), step % 251))
    assert all((tensor == value).all() for tensor, value in held)
    held.clear()
    del tensor
    gc.collect()
    whole = arena.images(1, 1, 64 * 1024, 1024, torch.uint8)
    assert place(whole, small_arena) == 0
    assert arena.images(1, 1, 1024, 1024, torch.uint8).numel() == LARGE  # full: the C library's
