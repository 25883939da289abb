"""What ``/metrics`` says, for Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counts of one server process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        shared: Any = {"registry": self._registry, "namespace": "binarynet"}
        self.requests = Counter("requests", "Requests answered, by HTTP status", ("model", "status"), **shared)
        self.images = Counter("images", "Images answered", ("model",), **shared)
        self.seconds = Histogram(
            "request_seconds", "From a request's first byte to its answer", ("model",), buckets=_SECONDS, **shared
        )
        self.batch = Histogram(
            "batch_requests", "Requests that were run together, seen by each", ("model",), buckets=_REQUESTS, **shared
        )
        self.waiting = Gauge("requests_waiting", "Requests that are being answered", **shared)

    def text(self) -> bytes:
        return generate_latest(self._registry)
