"""A worker seen from outside: started, asked, watched, and replaced when it dies."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from typing import Any

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BINARYNET_NUM_THREADS",
    "TVM_NUM_THREADS",
)
_NOT_PASSED_ON = ("OMP_WAIT_POLICY", "BINARYNET_ISA")  # each library waits, and chooses, as it does for its users


class Process:
    """One way of one peer with a number of threads; no process runs until the first question."""

    def __init__(self, peer: str, way: str, threads: int) -> None:
        self.peer, self.way, self.threads = peer, way, threads
        self.process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> None:
        environment = {key: text for key, text in os.environ.items() if key not in _NOT_PASSED_ON}
        environment |= dict.fromkeys(_THREADS, str(self.threads))
        command = [sys.executable, "-m", "binarynet.bench.suite.worker", self.peer, self.way, str(self.threads)]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=environment, bufsize=0
        )
        self.pid = self.process.pid

    def ask(self, timeout: float, **request: Any) -> dict[str, Any]:
        """The worker's answer, or ``{"error": why}``: it crashed, or took longer than ``timeout`` seconds."""
        if self.process is None:
            self.start()
        assert self.process
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write((json.dumps(request) + "\n").encode())
            ready, _, _ = select.select([self.process.stdout], [], [], timeout)
            if not ready:
                self.stop()
                return {"error": f"no answer within {timeout:.0f} s"}
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if line.endswith(b"\n"):
            found: dict[str, Any] = json.loads(line)
            return found
        return {"error": self._died()}

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            if pipe is not None:
                pipe.close()
        self.process = None

    def _died(self) -> str:
        assert self.process is not None
        code = self.process.wait()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        self.stop()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"crashed ({name})" + (f": {lines[-1][:200]}" if lines else "")
