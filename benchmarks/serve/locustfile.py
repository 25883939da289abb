"""What a client of the load test does: ask for a few images, and compare every answer with the oracle's.

Run by benchmarks/serve/load.py, which says by the environment what to ask for and how often.
"""

from __future__ import annotations

import itertools
import json
import os
import threading

import numpy as np
from locust import FastHttpUser, constant, events, task

LOAD = json.loads(os.environ["LOAD"])
WITH = np.load(LOAD["questions"])
IMAGES, EXPECTED = WITH["images"], WITH["expected"]
tickets = itertools.count()
counts = {"answered": 0, "wrong": 0, "lost": 0}
lock = threading.Lock()


@events.test_stop.add_listener
def told(**_: object) -> None:
    with open(LOAD["told"], "w", encoding="utf-8") as file:
        json.dump(counts, file)


class Client(FastHttpUser):
    wait_time = constant(0)
    network_timeout = connection_timeout = 120.0

    @task
    def ask(self) -> None:
        ticket = next(tickets)
        if ticket >= LOAD["requests"]:
            if counts["answered"] + counts["lost"] >= LOAD["requests"]:
                self.environment.runner.quit()
            return
        image = ticket % len(IMAGES)
        head = json.dumps(
            {
                "id": str(ticket),
                "inputs": [
                    {
                        "name": "images",
                        "shape": [1, *IMAGES.shape[1:]],
                        "datatype": "UINT8",
                        "parameters": {"binary_data_size": IMAGES[image].nbytes},
                    }
                ],
                "outputs": [{"name": "logits"}],
            }
        ).encode()
        headers = {
            "Inference-Header-Content-Length": str(len(head)),
            "Content-Type": "application/octet-stream",
        }
        body = head + IMAGES[image].tobytes()
        with self.client.post(LOAD["path"], data=body, headers=headers, name="infer", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code} {answer.text!r:.200}")
                counts["lost"] += 1
                return
            document = answer.json()
            logits = np.asarray(document["outputs"][0]["data"], EXPECTED.dtype)
            counts["answered"] += 1
            if document["id"] != str(ticket) or not np.array_equal(logits, EXPECTED[image].reshape(-1)):
                counts["wrong"] += 1
                answer.failure("a wrong answer")
