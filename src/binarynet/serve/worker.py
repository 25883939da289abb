"""The side of LitServe that answers: a process for each worker of a model, and as many requests at once as wait.

A batch is what has come in while the one before it ran, so nobody waits for company. Requests were read and checked
before (`binarynet.serve.server`): what reaches a batch is an array of codes, so none can spoil the others' answers.
"""

from __future__ import annotations

import pickle
import signal
import time
from queue import Empty
from typing import Any

import numpy as np
from fastapi import HTTPException
from litserve import LitAPI
from litserve.loops.simple_loops import BatchedLoop
from litserve.specs.base import LitSpec
from litserve.utils import LitAPIStatus, LoopResponseType
from numpy.typing import NDArray

from binarynet.runtime import Session
from binarynet.runtime.images import Layout

_WAIT = 1.0  # seconds until a worker that has nothing to do looks whether it still should


class Waiting(BatchedLoop):  # type: ignore[misc]
    """Waits for the first request, and takes those that stand behind it."""

    def get_batch_requests(self, lit_api: Answers, request_queue: Any, transport: Any) -> tuple[list[Any], list[Any]]:
        batch: list[Any] = []
        late: list[Any] = []
        images = 0
        while len(batch) < lit_api.max_batch_size and images < lit_api.most_images:
            try:
                request = request_queue.get_nowait() if batch or late else request_queue.get(timeout=_WAIT)
            except Empty:
                break
            to, number, since, codes = request
            if time.monotonic() - since > lit_api.request_timeout:
                late.append((to, number))  # its client has had its 504 already
                continue
            batch.append((to, number, codes))
            images += len(codes)
        for to, number in late:
            self.put_response(transport, to, number, HTTPException(504), LitAPIStatus.ERROR, LoopResponseType.REGULAR)
        return batch, []


class Answers(LitAPI):  # type: ignore[misc]
    """A session, and a batch of requests through it."""

    def __init__(self, session: Session, spec: LitSpec, most_requests: int, most_images: int) -> None:
        super().__init__(
            max_batch_size=most_requests, batch_timeout=0.001, api_path=spec.api_path, spec=spec, loop=Waiting()
        )
        self.most_images = most_images
        self._graph = pickle.dumps(session)  # the server's own process holds no engine

    def setup(self, device: str) -> None:
        self._session: Session = pickle.loads(self._graph)
        # Ctrl-C reaches every process of a terminal. The server stops in order: workers last, when all is answered.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def decode_request(self, request: Any, **kwargs: Any) -> NDArray[Any]:
        codes: NDArray[Any] = request
        return codes

    def batch(self, inputs: list[NDArray[Any]]) -> tuple[NDArray[Any], list[int]]:
        return np.concatenate(inputs), [len(codes) for codes in inputs]

    def predict(self, x: tuple[NDArray[Any], list[int]], **kwargs: Any) -> list[NDArray[Any]]:
        codes, counts = x
        layout: Layout | None = "nhwc" if codes.ndim == 4 else None
        answers = self._session.logits(codes, layout=layout)
        return np.split(answers, np.cumsum(counts)[:-1])

    def unbatch(self, output: list[NDArray[Any]]) -> list[tuple[NDArray[Any], int]]:
        return [(answer, len(output)) for answer in output]

    def encode_response(self, output: Any, **kwargs: Any) -> Any:
        return output
