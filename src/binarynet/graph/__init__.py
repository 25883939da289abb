"""The integer graph: what is run. Ops, rules, and the oracle that every engine must equal."""

from binarynet.graph.encoding import Encoding
from binarynet.graph.interpret import interpret, trace
from binarynet.graph.ir import OPS, Graph, Op, Value
from binarynet.graph.limits import Limits
from binarynet.graph.outputs import LOGITS, Output, apart, classes
from binarynet.graph.verify import verify, verify_op

__all__ = [
    "LOGITS",
    "OPS",
    "Encoding",
    "Graph",
    "Limits",
    "Op",
    "Output",
    "Value",
    "apart",
    "classes",
    "interpret",
    "trace",
    "verify",
    "verify_op",
]
