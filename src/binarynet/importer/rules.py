"""Which rule takes which node."""

from __future__ import annotations

from collections.abc import Callable

from binarynet.fold import Pending
from binarynet.importer import elementwise as each
from binarynet.importer import structure
from binarynet.importer.domains import LAST
from binarynet.importer.model import Node
from binarynet.importer.quantizers import is_quantizer
from binarynet.importer.run import known
from binarynet.importer.walk import Walk

Rule = Callable[[Walk, Node], Pending]
_NAMES: tuple[tuple[str, Rule], ...] = (
    ("Gemm MatMul", structure.matrix),
    ("Conv ConvTranspose", structure.conv),
    ("Add Sub Mul Div", each.arithmetic),
    ("BatchNormalization", each.norm),
    ("Neg", each.negate),
    ("Relu Clip Min Max", each.clip),
    ("PRelu LeakyRelu", each.leaky),
    ("Abs", each.magnitude),
    (" ".join(each.FUNCTIONS), each.function),
    ("Sqrt Reciprocal", each.root),
    ("HardSigmoid", each.hard_sigmoid),
    ("HardSwish", each.hard_swish),
    (" ".join(each.RISING), each.rising),
    ("DequantizeLinear", each.dequantize),
    ("MaxPool AveragePool", structure.pool),
    ("GlobalAveragePool GlobalMaxPool ReduceMean ReduceSum ReduceMax", structure.reduce),
    ("Transpose", structure.transpose),
    ("Flatten Reshape Squeeze Unsqueeze", structure.view),
    ("Concat", structure.concat),
    ("Slice Split Gather Expand Tile Resize Upsample DepthToSpace SpaceToDepth", structure.move),
    ("Identity Dropout Cast", structure.same),
    ("Pad", structure.pad),
    ("ArgMax TopK Softmax LogSoftmax", structure.choice),
)
RULES: dict[str, Rule] = {name: rule for names, rule in _NAMES for name in names.split()}


def take(walk: Walk, node: Node) -> Pending:
    """What is pending behind a node.

    Raises:
        ImportedModelError: it has no counterpart.
    """
    if is_quantizer(node):
        return each.quantize(walk, node)
    if node.domain != LAST:
        known(node)
    rule = RULES.get(node.kind)
    if rule is None:
        node.refuse(f"has no counterpart in the graph. Known: {', '.join(sorted(RULES))}.")
    made = rule(walk, node)
    if walk.moving(node)[0] in walk.last and node.kind not in ("Transpose", "Flatten", "Reshape"):
        walk.last.add(node.outputs[0])
    return made
