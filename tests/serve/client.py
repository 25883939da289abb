"""A server in processes of its own, as `binarynet serve` starts it, and one connection to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

NEEDS = ("litserve", "prometheus_client")
PATIENCE = 120  # seconds: a busy machine


def skip_without() -> None:
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        pytest.skip(f"no {' and no '.join(missing)} (pip install 'binarynet[serve]')")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "binarynet.cli", "serve", *arguments, "--port", str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"BINARYNET_NUM_THREADS": "1"},
        )
        self.until_ready()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """The status, and the JSON or the bytes of an answer."""
        connection = self.connect()
        try:
            return asked(connection, method, path, body, headers)
        finally:
            connection.close()

    def until_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, f"the server ended: {self.stop()}"
            try:
                if self.ask("GET", "/v2/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < end, f"not ready: {self.stop()}"
            time.sleep(0.1)

    def stop(self) -> str:
        """SIGTERM, and what the server has said; it must end in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            said, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return said


def asked(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, headers or {})
    answer = connection.getresponse()
    content = answer.read()
    kind = answer.headers.get("Content-Type", "")
    return answer.status, json.loads(content) if kind == "application/json" else content


def question(images: np.ndarray, datatype: str = "UINT8", **more: Any) -> dict[str, Any]:
    data = images.reshape(-1).tolist()
    return {"inputs": [{"name": "images", "shape": list(images.shape), "datatype": datatype, "data": data}], **more}


@contextmanager
def server(*arguments: str) -> Iterator[Server]:
    skip_without()
    made = Server(*arguments)
    try:
        yield made
    finally:
        said = made.stop()
    assert made.process.returncode == 0, said
    assert "Traceback" not in said, said
