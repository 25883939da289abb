from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import torch

from binarynet.data import DataSet
from tests.train import tiny


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test inherits a planned interruption, a step count or another's number of threads.

    Nor that Ctrl-C is ignored, as it is by whatever a script starts in the background.
    """
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)
    threads = torch.get_num_threads()
    monkeypatch.setattr(tiny, "before_step", None)
    monkeypatch.setattr(tiny, "_steps", 0)
    yield
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, heeded)


@pytest.fixture
def data() -> DataSet:
    return tiny.blobs()
