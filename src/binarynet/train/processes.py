"""Several processes on this machine for one run, unless torchrun or a cluster already started them.

Gradients are averaged over the processes. BatchNorm normalises each process's part of the batch by itself, and
evaluation uses the mean of the running statistics: so several processes train a network with BatchNorm as well
as one does, but not to the same numbers. Without BatchNorm and dropout the results agree up to rounding.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from binarynet.errors import BinarynetError, TrainingError

GRACE = 5.0  # seconds that the other processes have to end by themselves when one has failed
_MEETING = {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"}


def started_elsewhere() -> bool:
    """Whether this is one of several processes that torchrun, SLURM or `launch` has started."""
    return "LOCAL_RANK" in os.environ or SLURMEnvironment.detect()


def is_main_process() -> bool:
    """Whether this process is the one that writes files and talks: rank 0, or the only one."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def layout(devices: int, nodes: int) -> tuple[int, int]:
    """(devices, nodes) of this run: under torchrun its own numbers, else the ones asked for.

    `TrainingError` where both speak and differ, or several nodes are asked for and nobody says how they meet.
    """
    if devices < 1 or nodes < 1:
        raise TrainingError(f"--devices {devices} --nodes {nodes}: both must be at least 1.")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        found = local, int(os.environ["WORLD_SIZE"]) // local
        if (devices, nodes) not in ((1, 1), found):
            raise TrainingError(
                f"torchrun started {found[0]} processes on each of {found[1]} nodes, but --devices {devices} "
                f"--nodes {nodes} was given. Leave both out under torchrun."
            )
        return found
    if nodes > 1 and not started_elsewhere() and not _MEETING.issubset(os.environ):
        raise TrainingError(
            f"--nodes {nodes}: the nodes must know each other. Start with torchrun on each of them, or set "
            "MASTER_ADDR, MASTER_PORT and NODE_RANK."
        )
    return devices, nodes


def threads_each(threads: int | None, devices: int) -> int:
    """How many threads each process of this machine gives torch: as asked for, else the cores are shared out."""
    if threads is not None or devices == 1 or "OMP_NUM_THREADS" in os.environ:
        return threads or torch.get_num_threads()
    return max(1, (os.cpu_count() or 1) // devices)


def launch(run: Callable[..., None], arguments: tuple[Any, ...], devices: int) -> None:
    """Call `run(*arguments)` in `devices` new processes of one group, and wait for them.

    An error of this package that is raised in one of them is raised here. After any other failure, or Ctrl-C,
    all are ended. `TrainingError` when a process was killed.
    """
    environment = {
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": os.environ.get("MASTER_PORT", str(_free_port())),
    }
    errors = multiprocessing.get_context("spawn").SimpleQueue()
    others = multiprocessing.active_children()
    # A Ctrl-C while they start waits until all of them are known; to them it never comes: they are killed below.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        try:
            context = start_processes(_child, (run, arguments, environment, errors), nprocs=devices, join=False)  # type: ignore[no-untyped-call]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        while not context.join(grace_period=GRACE):
            pass
    except ProcessExitedException as error:
        if not errors.empty():
            raise errors.get() from None
        raise TrainingError(
            f"one of the {devices} processes of the run ended: {error}. What was saved is whole: --resume goes on."
        ) from None
    finally:
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()  # what it has saved is whole at any moment
                process.join()
        errors.close()


def _child(
    rank: int, run: Callable[..., None], arguments: tuple[Any, ...], environment: dict[str, str], errors: Any
) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment, LOCAL_RANK=str(rank))
    rank_zero_only.rank = rank  # type: ignore[attr-defined]
    try:
        run(*arguments)
    except BinarynetError as error:
        errors.put(error)
        sys.exit(1)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _end_with_parent() -> None:
    """Nobody would wait for this process any more, nor end it."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
