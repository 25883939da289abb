"""Threads of torch that wait sleep, instead of spinning until another process has given the core back.

Between two parallel regions the threads of GNU's OpenMP, torch's on Linux, spin for milliseconds. On a machine that
others use, too, what they wait for then waits for them: training takes 4 to 40 times as long. The environment variable
``OMP_WAIT_POLICY=PASSIVE`` ends that, but is read when torch is first imported, which in a script lies behind us.

The same library spins a few turns only while it manages more threads than there are CPUs. So a second team of threads
is kept, asleep, for as long as training lasts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

NAME = "binarynet: a team of threads that sleeps"
_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # whoever sets one of them has decided
_PARALLEL = 1 << 17  # numbers from which an element-wise operation of torch takes all threads


@contextmanager
def sleeping() -> Iterator[None]:
    """Let waiting threads sleep inside; nothing where the environment says how they wait. Changes no result."""
    cpus = os.cpu_count() or 1
    if cpus == 1 or any(name in os.environ for name in _VARIABLES):
        yield
        return
    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=_keep, args=(cpus, ready, over), name=NAME, daemon=True)
    threads = torch.get_num_threads()
    thread.start()
    ready.wait()
    torch.set_num_threads(threads)  # the other thread has set it for all new threads
    try:
        yield
    finally:
        over.set()
        thread.join()


def _keep(cpus: int, ready: threading.Event, over: threading.Event) -> None:
    """Begin a team of threads, which belongs to the calling thread, and wait."""
    try:
        torch.set_num_threads(cpus)
        torch.zeros(_PARALLEL).add_(1)
    finally:
        ready.set()
    over.wait()
