from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from binarynet.data import DataSet
from tests.train import tiny


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test inherits a planned interruption, a step count or another's number of threads."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(tiny, "before_step", None)
    monkeypatch.setattr(tiny, "_steps", 0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def data() -> DataSet:
    return tiny.blobs()
