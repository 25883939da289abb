"""The suite: fixed workloads on this package and on other libraries, in one run, with the limits of the machine.

``binarynet bench suite``. Workloads in `workloads`, one library a file in `peers`, each in a process of its own
(`worker`, `process`); `measure` asks them in turn, `limits` says what the machine can do, `page` and `roofline` tell.
"""

from binarynet.bench.suite.limits import Roof
from binarynet.bench.suite.measure import Cell, Suite, run
from binarynet.bench.suite.workloads import KINDS, Workload, workloads

__all__ = ["KINDS", "Cell", "Roof", "Suite", "Workload", "run", "workloads"]
