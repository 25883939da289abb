"""The load test of `binarynet serve`: of so many requests from so many clients, how many were wrong or lost.

    python benchmarks/serve/load.py [--requests 100000] [--clients 32] [--model mnist-small] [--data mnist]

Needs the extra `serve` and locust. One image a request, as binary tensors; each answer is compared with the oracle's.
The server and the clients share this machine. Exit code 1 if a request was lost or an answer wrong.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from binarynet.bench import machine
from binarynet.data import load_split
from binarynet.errors import RuntimeUnavailable, run_script
from binarynet.format import load
from binarynet.graph import interpret
from binarynet.models import find

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--model", default="mnist-small")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--images", type=int, default=1000, help="different ones")
    options = parser.parse_args()
    if find_spec("locust") is None:
        raise RuntimeUnavailable("the clients are locust's: pip install -c constraints.txt locust")
    graph = load(find(options.model))
    images = load_split(options.data, "test").images[: options.images].reshape(-1, *graph.input.shape)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "binarynet.cli", "serve", f"model={options.model}", "--port", str(port)]
    )
    try:
        until_ready(port, server)
        with tempfile.TemporaryDirectory() as folder:
            told = run(options, port, Path(folder), images, interpret(graph, images))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=120)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(
        f"{options.requests:,} requests from {options.clients} clients: {told['answered']:,} answered, "
        f"{told['wrong']} wrong, {options.requests - told['answered']} lost; {told['rate']:,.0f} a second; "
        f"p50 {told['50%']} ms, p90 {told['90%']} ms, p99 {told['99%']} ms, the longest {told['100%']} ms"
    )
    return int(told["wrong"] > 0 or told["answered"] != options.requests or server.returncode != 0)


def until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit("the server ended")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server is not ready after two minutes")


def run(options: argparse.Namespace, port: int, folder: Path, images: np.ndarray, expected: np.ndarray) -> dict:
    np.savez(folder / "questions.npz", images=images, expected=expected)
    load = {
        "requests": options.requests,
        "path": "/v2/models/model/infer",
        "questions": str(folder / "questions.npz"),
        "told": str(folder / "told.json"),
    }
    command = [
        sys.executable, "-m", "locust", "-f", HERE / "locustfile.py", "--headless", "--only-summary",
        "-u", options.clients, "-r", options.clients, "--host", f"http://127.0.0.1:{port}",
        "--csv", folder / "stats", "--loglevel", "WARNING",
    ]  # fmt: skip
    begin = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], env=os.environ | {"LOAD": json.dumps(load)}, capture_output=True, text=True
    )
    seconds = time.monotonic() - begin
    if not (folder / "told.json").exists():
        raise SystemExit(done.stderr[-4000:])
    with open(folder / "stats_stats.csv", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["Name"] == "infer")
    told = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    return told | {"rate": told["answered"] / seconds} | {name: row[name] for name in ("50%", "90%", "99%", "100%")}


if __name__ == "__main__":
    run_script(main)
