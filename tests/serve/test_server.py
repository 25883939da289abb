"""`binarynet serve` as it runs: equal answers, errors that harm nobody, health, metrics, and an orderly end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from binarynet.data import load_split
from binarynet.format import load
from binarynet.graph import interpret
from binarynet.models import find
from tests.serve.client import Server, asked, question, server

INFER = "/v2/models/digits/infer"
IMAGES = load_split("digits", "test").images.reshape(-1, 64)
EXPECTED = interpret(load(find("digits")), IMAGES)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server("digits", "other=digits", "--megabytes", "0.2", "--images", "200", "--seconds", "20") as made:
        yield made


def test_all_test_images_are_answered_as_the_oracle_answers(running: Server) -> None:
    found = []
    for first in range(0, len(IMAGES), 150):
        status, document = running.ask("POST", INFER, question(IMAGES[first : first + 150]))
        assert status == 200
        found += document["outputs"][0]["data"]
    assert np.array_equal(np.asarray(found, np.float32).reshape(EXPECTED.shape), EXPECTED)


def test_the_protocol_says_what_is_there(running: Server) -> None:
    assert running.ask("GET", "/v2")[1]["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready", "/v2/models/other/versions/1/ready"):
        assert running.ask("GET", path)[0] == 200
    model = running.ask("GET", "/v2/models/digits")[1]
    assert model["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 64]}]
    assert [output["name"] for output in model["outputs"]] == ["logits", "class"]
    assert running.ask("GET", "/v2/models")[1] == {"models": ["digits", "other"]}


def test_wrong_requests_have_a_status_and_a_line(running: Server) -> None:
    for method, path, body, headers, status in (
        ("POST", INFER, b"{", {}, 400),
        ("POST", INFER, b"x" * 300_000, {}, 413),
        ("POST", INFER, b"{}", {"Inference-Header-Content-Length": "²"}, 400),
        ("POST", INFER, b"{}", {"Content-Encoding": "gzip"}, 415),
        ("POST", INFER, b"{}", {"Inference-Header-Content-Length": "many"}, 400),
        ("POST", "/v2/models/nothing/infer", b"{}", {}, 404),
        ("GET", INFER, None, {}, 405),
        ("GET", "/docs", None, {}, 404),
    ):
        found, document = running.ask(method, path, body, headers)
        assert (found, list(document)) == (status, ["error"]), path
    status, document = running.ask("GET", "/<script>")
    assert "digits, other" in document["error"]


def test_a_body_without_a_length_ends_at_the_limit(running: Server) -> None:
    connection = running.connect()
    connection.request("POST", INFER, iter([b" " * 50_000] * 10), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_good_and_bad_clients_at_once_and_every_good_one_gets_its_own_answers(running: Server) -> None:
    def client(seed: int) -> int:
        draw = np.random.default_rng(seed)
        connection = running.connect()
        wrong = 0
        for turn in range(25):
            rows = draw.integers(0, len(IMAGES), int(draw.integers(1, 9)))
            if seed % 4 == 3:
                bad = question(IMAGES[rows], "FP32") if turn % 2 else question(IMAGES[rows][:, :63])
                bad["inputs"][0]["data"][0] = 0.123 + turn
                wrong += asked(connection, "POST", INFER, bad)[0] != 400
                continue
            name = ("digits", "other")[turn % 2]
            status, found = asked(
                connection, "POST", f"/v2/models/{name}/infer", question(IMAGES[rows], id=f"{seed}.{turn}")
            )
            logits = np.asarray(found["outputs"][0]["data"], np.float32).reshape(-1, 10)
            wrong += status != 200 or found["id"] != f"{seed}.{turn}" or not np.array_equal(logits, EXPECTED[rows])
        connection.close()
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(client, range(8))) == [0] * 8
    text = running.ask("GET", "/metrics")[1].decode()
    assert 'binarynet_requests_total{model="digits",status="200"}' in text
    assert 'binarynet_requests_total{model="digits",status="400"}' in text
    assert "binarynet_requests_waiting 0.0" in text


def test_a_worker_that_dies_is_replaced(running: Server) -> None:
    children = [
        int(line)
        for line in Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    ]
    workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) >= 2
    for pid in workers:
        if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 100
    for name in ("digits", "other"):
        while (found := running.ask("POST", f"/v2/models/{name}/infer", question(IMAGES[:1])))[0] != 200:
            assert found[0] == 504
            assert time.monotonic() < end
        assert np.array_equal(np.asarray(found[1]["outputs"][0]["data"], np.float32), EXPECTED[0])


def test_sigterm_answers_what_has_begun() -> None:
    with server("digits") as made:
        body = json.dumps(question(IMAGES[:50])).encode()
        connections = [made.connect() for _ in range(8)]
        for connection in connections:  # all but the last byte of the body
            connection.putrequest("POST", INFER)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body[:-1])
        time.sleep(0.5)
        made.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        for connection in connections:
            connection.send(body[-1:])
        for connection in connections:
            answer = connection.getresponse()
            found = np.asarray(json.loads(answer.read())["outputs"][0]["data"], np.float32).reshape(-1, 10)
            assert answer.status == 200
            assert np.array_equal(found, EXPECTED[:50])
            connection.close()


def test_slow_and_too_many_clients_are_told_so() -> None:
    with server("digits", "--seconds", "2", "--waiting", "2") as made:
        slow = made.connect()
        slow.putrequest("POST", INFER)
        slow.putheader("Content-Length", "100")
        slow.endheaders(b"{")
        assert slow.getresponse().status == 408
        slow.close()
        statuses = []

        def many() -> None:
            statuses.append(made.ask("POST", INFER, question(IMAGES))[0])

        threads = [threading.Thread(target=many) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) <= {200, 503, 504}
        assert made.ask("POST", INFER, question(IMAGES[:1]))[0] == 200
