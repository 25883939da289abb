"""The side of LitServe that is asked: HTTP in, a question for a worker out, its answer back.

Everything that can be wrong with a request is found here, before it meets another one: its size while it comes in, its
text, its shape, its codes. Workers answer (`binarynet.serve.worker`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from litserve import LitServer
from litserve.specs.base import LitSpec
from litserve.utils import LitAPIStatus, ResponseBufferItem, WorkerSetupStatus
from starlette.exceptions import HTTPException

from binarynet.runtime import Session
from binarynet.serve.metrics import Metrics
from binarynet.serve.protocol import LENGTH, VERSION, Limits, Model, Question, Refused, server_metadata
from binarynet.serve.worker import Answers

_LINGER, _LINGERED = 1.0, 1 << 20  # seconds and bytes of a body that is too large, before the refusal
_SMALL = 1 << 16  # bytes of a body that is read on the spot; of more a thread takes care, and others are answered


class Door(LitSpec):  # type: ignore[misc]
    """The endpoints of one model."""

    def __init__(self, model: Model, limits: Limits, metrics: Metrics) -> None:
        super().__init__()
        self.model, self.limits, self._metrics = model, limits, metrics
        self.api_path = base = f"/v2/models/{model.name}"
        for path in (base, f"{base}/versions/{VERSION}"):
            self.add_endpoint(path, self.metadata, ["GET"])
            self.add_endpoint(f"{path}/ready", self.ready, ["GET"])
            self.add_endpoint(f"{path}/infer", self.infer, ["POST"])

    def __getstate__(self) -> dict[str, Any]:
        """For the worker, which needs nothing of it."""
        return {
            "api_path": self.api_path,
            "model": self.model,
            "limits": self.limits,
            "_endpoints": [],
            "_server": None,
        }

    def decode_request(self, request: Any, context_kwargs: Any = None) -> Any:
        return request

    def encode_response(self, output: Any, context_kwargs: Any = None) -> Any:
        return output

    def setup(self, server: LitServer) -> None:
        super().setup(server)
        self._states = server.workers_setup_status

    def is_ready(self) -> bool:
        mine = [state for name, state in self._states.items() if name.startswith(f"{self.model.name}_")]
        return bool(mine) and all(state == WorkerSetupStatus.READY for state in mine)

    async def metadata(self) -> Response:
        return JSONResponse(self.model.metadata())

    async def ready(self) -> Response:
        return Response(status_code=200 if await asyncio.to_thread(self.is_ready) else 503)

    async def infer(self, request: Request) -> Response:
        name, begin = self.model.name, time.monotonic()
        if len(self.response_buffer) >= self.limits.waiting:
            return self._refusal(Refused(503, f"{self.limits.waiting} requests wait already: try again later"))
        with self._metrics.waiting.track_inprogress():
            try:
                answer = await self._answered(request)
                status = 200
            except Refused as refused:
                answer, status = self._refusal(refused), refused.status
        self._metrics.requests.labels(name, status).inc()
        self._metrics.seconds.labels(name).observe(time.monotonic() - begin)
        return answer

    async def _answered(self, request: Request) -> Response:
        reading = True
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await _body(request, self.limits.bytes)
                length = _length(request.headers)
                reading = False
                if len(body) < _SMALL:
                    question = self.model.read(body, length, self.limits)
                else:
                    question = await asyncio.to_thread(self.model.read, body, length, self.limits)
                logits, together = await self._ask(question)
        except TimeoutError:
            what = "the request did not come in" if reading else "no worker was free"
            raise Refused(408 if reading else 504, f"{what} within {self.limits.seconds:g} s") from None
        self._metrics.images.labels(self.model.name).inc(len(logits))
        self._metrics.batch.labels(self.model.name).observe(together)
        content, headers = self.model.answer(question, logits)
        return Response(content, headers=headers)

    async def _ask(self, question: Question) -> tuple[Any, int]:
        """The answers of a worker, and how many requests it answered together."""
        number = str(uuid.uuid4())
        item = self.response_buffer[number] = ResponseBufferItem(asyncio.Event())
        try:
            self.request_queue.put((self.response_queue_id, number, time.monotonic(), question.codes))
            await item.event.wait()
        finally:
            self.response_buffer.pop(number, None)
        (logits, together), status = item.response if item.response[1] == LitAPIStatus.OK else ((None, 0), None)
        if status is None:
            raise Refused(500, "the worker failed; its log says why")
        return logits, together

    @staticmethod
    def _refusal(refused: Refused) -> Response:
        headers = {"Retry-After": "1"} if refused.status == 503 else {}
        if refused.status in (408, 413):
            headers["Connection"] = "close"  # what is left of its body is not read
        return JSONResponse({"error": str(refused)}, refused.status, headers)


async def _body(request: Request, most: int) -> bytes:
    """The body, as far as it may go."""
    too_large = Refused(413, f"the body has more than {most} bytes")
    said, parts = request.headers.get("Content-Length", "0"), request.stream()
    if not _is_number(said):
        raise Refused(400, "Content-Length is no number")
    if int(said) > most:
        await _pass_over(parts, most)
        raise too_large
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(415, "the body is compressed; send it as it is")
    found = bytearray()
    async for part in parts:
        found += part
        if len(found) > most:
            await _pass_over(parts, most)
            raise too_large
    return bytes(found)


async def _pass_over(parts: AsyncIterator[bytes], most: int) -> None:
    """Take what a client still sends, though not for ever: it reads no answer while it writes."""
    left = max(most, _LINGERED)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            async for part in parts:
                left -= len(part)
                if left < 0:
                    return


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18


def _length(headers: Mapping[str, str]) -> int | None:
    said = headers.get(LENGTH)
    if said is None:
        return None
    if not _is_number(said):
        raise Refused(400, f"{LENGTH} is no number of bytes")
    return int(said)


def _add_common(app: FastAPI, doors: list[Door], metrics: Metrics) -> None:
    """What belongs to no model: metadata, health, metrics, and errors as the protocol words them."""

    @app.get("/v2")
    async def about() -> Response:
        return JSONResponse(server_metadata())

    @app.get("/v2/health/live")
    async def live() -> Response:
        return Response()

    @app.get("/v2/health/ready")
    async def ready() -> Response:
        states = [await asyncio.to_thread(door.is_ready) for door in doors]
        return Response(status_code=200 if all(states) else 503)

    @app.get("/v2/models")
    async def models() -> Response:
        return JSONResponse({"models": [door.model.name for door in doors]})

    @app.get("/metrics")
    async def numbers() -> Response:
        return Response(metrics.text(), media_type=metrics.content_type)

    @app.exception_handler(HTTPException)
    async def worded(request: Request, error: HTTPException) -> Response:
        text = str(error.detail)
        if error.status_code == 404:
            text = f"nothing is at {request.url.path[:200]}; models: {', '.join(door.model.name for door in doors)}"
        return JSONResponse({"error": text}, error.status_code, error.headers)


def serve(
    sessions: Mapping[str, Session],
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 1,
    limits: Limits | None = None,
    log_level: str = "warning",
) -> None:
    """Serve sessions by name until SIGTERM or Ctrl-C; requests that have begun are answered first.

    ``workers``: processes for each model. ``host``: 127.0.0.1, or 0.0.0.0 or :: for other machines, which should then
    ask through a proxy that knows them: there are no users and no encryption here.
    """
    limits = limits or Limits()
    metrics = Metrics()
    doors = [Door(Model.of(name, session), limits, metrics) for name, session in sessions.items()]
    apis = [Answers(session, door, 64, limits.images) for session, door in zip(sessions.values(), doors, strict=True)]
    server = LitServer(
        apis,
        accelerator="cpu",
        devices=1,
        workers_per_device=workers,
        timeout=limits.seconds,
        healthcheck_path="/health",
        disable_openapi_url=True,
        restart_workers=True,
    )
    _add_common(server.app, doors, metrics)
    with _stopping_in_order(server):
        server.run(
            host=host,
            port=port,
            num_api_servers=1,
            log_level=log_level,
            generate_client_file=False,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
        )


@contextmanager
def _stopping_in_order(server: LitServer) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the first process by a KeyboardInterrupt, at which LitServe stops the others in turn.

    Those are forks of it and have its handlers: theirs are called when uvicorn has answered what it had begun.
    """
    first = os.getpid()

    def stop(number: int, frame: Any) -> None:
        if os.getpid() == first:
            # LitServe's watch over its workers, which would start them again, ends with this event. It is another
            # than the one that the main thread waits for, whose connection cannot be used a second time here.
            server._shutdown_event = threading.Event()
            server._shutdown_event.set()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; a second Ctrl-C ends it at once
            raise KeyboardInterrupt
        os._exit(0)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
