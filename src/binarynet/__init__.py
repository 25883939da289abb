"""Neural networks of +1 and −1, from training in PyTorch to xor and popcount, with the same integers everywhere.

This is the side that needs no torch: files and running. Training lives in `binarynet.nn`, `binarynet.recipes`,
`binarynet.train` and `binarynet.lower`.
"""

from binarynet.errors import BinarynetError
from binarynet.format import load as load_graph
from binarynet.format import save
from binarynet.graph import Graph, Limits, interpret
from binarynet.runtime import Session, load

__version__ = "0.1.0"
__all__ = ["BinarynetError", "Graph", "Limits", "Session", "interpret", "load", "load_graph", "save"]
