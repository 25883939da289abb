"""The integer graph: what is run. Ops, rules, and the oracle that every engine must equal."""

from binarynet.graph.encoding import Encoding
from binarynet.graph.interpret import interpret, trace
from binarynet.graph.ir import OPS, Graph, Op, Value
from binarynet.graph.limits import Limits
from binarynet.graph.verify import verify, verify_op

__all__ = ["OPS", "Encoding", "Graph", "Limits", "Op", "Value", "interpret", "trace", "verify", "verify_op"]
