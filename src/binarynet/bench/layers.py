"""Where the time of a model goes: each step of the engine as the plan expects it, and as it was measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.bench.timing import Timing
from binarynet.runtime import Planned, Session


@dataclass(frozen=True)
class TimedStep:
    """A step for one batch size: what the plan says of it, and the seconds that it took."""

    batch: int
    planned: Planned
    measured: Timing


def timed_steps(session: Session, images: NDArray[Any], seconds: float = 1.0) -> tuple[TimedStep, ...]:
    """Run ``images`` (as `Session.timed` takes them, in the order of the graph) over and over for so many seconds.

    The first run is thrown away.
    """
    runs, deadline = [session.timed(images, layout="nhwc")], time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(runs) < 6:
        runs.append(session.timed(images, layout="nhwc"))
    low, median, high = np.quantile(np.array(runs[1:]), [0.1, 0.5, 0.9], axis=0)
    return tuple(
        TimedStep(len(images), step, Timing(float(median[i]), float(low[i]), float(high[i]), len(runs) - 1))
        for i, step in enumerate(session.plan(len(images)))
    )
