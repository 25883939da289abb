"""Benchmarks: several things measured in turn in one run, with what is needed to doubt them.

| timing | median and spread of calls that take turns; the machine               |
| layers | each step of a model, expected and measured                           |
| twin   | the float32 net in torch that a model is timed against                |
| suite  | fixed workloads here and in other libraries, beside the limits        |
| train  | our training step beside the plain way                                |
"""

from binarynet.bench.layers import TimedStep, timed_steps
from binarynet.bench.timing import Timing, interleaved, machine

__all__ = ["TimedStep", "Timing", "interleaved", "machine", "timed_steps"]
