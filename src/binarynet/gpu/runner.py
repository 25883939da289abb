"""What a session calls: arrays in, arrays out, batches that fit, and CUDA graphs for small ones.

A small batch spends its time on launches, some tens of them. A CUDA graph records them once for a batch size and
replays them as one; its input and answer lie at fixed addresses, so one thread replays at a time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from binarynet.errors import RuntimeUnavailable
from binarynet.gpu.language import INTERPRETED
from binarynet.gpu.network import Network
from binarynet.graph import Graph

REPLAYED = 64
"""Batches up to this size are replayed; of the sizes seen, the last `KEPT` keep their recording."""
KEPT = 16
_INTERPRETER = threading.Lock()  # Triton's interpreter changes triton.language while a kernel runs


class Runner:
    """A graph on a device, called with NumPy arrays from any thread.

    Args:
        device: ``cuda``, ``cuda:1`` …; or ``cpu``, which runs the same kernels in Triton's interpreter, slowly.
        method: as `binarynet.gpu.network.Network`.
        replay: whether small batches are recorded and replayed on ``cuda``.

    Raises:
        RuntimeUnavailable: there is no such device, or the interpreter is not on, or is on for a GPU; or as `Network`.
    """

    def __init__(self, graph: Graph, device: str, method: str | None = None, replay: bool = True) -> None:
        self.device = find_device(device)
        self.network = Network(graph, self.device, method)
        self.replay = replay and self.device.type == "cuda"
        self._recorded: OrderedDict[int, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = OrderedDict()
        self._lock = threading.Lock()

    def kernels(self) -> dict[str, str]:
        """Op name → what runs it. An op that is done inside the one before it says so."""
        names: dict[str, str] = {}
        for step in self.network.steps:
            names[step.op.name] = step.text
            if step.name != step.op.name:
                names[step.name] = f"in {step.op.name}"
        return names

    def run(self, codes: NDArray[Any], answers: NDArray[Any]) -> None:
        """codes (n, *input shape) → answers (n, *output shape), which is filled."""
        for start in range(0, len(codes), self.network.most):
            part = slice(start, start + self.network.most)
            with torch.inference_mode():
                answers[part] = self._answer(torch.from_numpy(np.ascontiguousarray(codes[part])))

    def _answer(self, codes: Tensor) -> NDArray[Any]:
        if not (self.replay and len(codes) <= REPLAYED):
            with _INTERPRETER if INTERPRETED else nullcontext():
                return self.network(codes.to(self.device)).cpu().numpy()
        with self._lock, torch.cuda.device(self.device):
            graph, given, answer = self._recording(codes)
            given.copy_(codes)
            graph.replay()
            return answer.cpu().numpy()  # waits for the replay: both are on the current stream

    def _recording(self, codes: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        size = len(codes)
        if size in self._recorded:
            self._recorded.move_to_end(size)
            return self._recorded[size]
        given = codes.to(self.device)
        graph, answer = record(lambda: self.network(given))
        self._recorded[size] = (graph, given, answer)
        if len(self._recorded) > KEPT:
            self._recorded.popitem(last=False)
        return self._recorded[size]


def record(call: Callable[[], Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """Record what ``call`` launches on the current GPU: (the recording, the tensor that each replay fills)."""
    # Compiling, tuning and the choice of methods launch and measure; all that must be over before the recording.
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = call()
    return graph, answer


def find_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        RuntimeUnavailable: as `Runner`.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RuntimeUnavailable(f"unknown device {name!r}; there are 'cpu', 'cuda', 'cuda:0' …") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise RuntimeUnavailable(
                f"device {name!r}: torch {torch.__version__} finds no CUDA GPU here; run on the CPU with device='cpu'"
            )
        if INTERPRETED:
            raise RuntimeUnavailable(f"device {name!r}: TRITON_INTERPRET is set, so kernels run on the CPU; unset it")
        if (device.index or 0) >= torch.cuda.device_count():
            raise RuntimeUnavailable(f"device {name!r}: there are {torch.cuda.device_count()} GPUs, counted from 0")
        return device
    if device.type != "cpu":
        raise RuntimeUnavailable(f"device {name!r}: the kernels are for 'cuda'")
    if not INTERPRETED:
        raise RuntimeUnavailable(
            "engine 'triton' on device 'cpu' is Triton's interpreter, for tests: set TRITON_INTERPRET=1 before "
            "anything imports triton, or take engine='native'"
        )
    return device
