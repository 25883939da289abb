"""Which rule takes which ATen operator. A module and its function are one operator by then."""

from __future__ import annotations

from collections.abc import Callable

from binarynet.fold import Folder, Pending
from binarynet.lower import elementwise as each
from binarynet.lower import smooth, structure
from binarynet.lower.step import Step

Rule = Callable[[Folder, Step], Pending]

# operators, what they are in modules and functions of torch, rule
TABLE: tuple[tuple[str, str, Rule], ...] = (
    ("quantize", "every quantizer of `binarynet.nn`", each.quantize),
    ("sign", "`sign`", each.sign),
    ("ge gt le lt", "`x >= c` and its like", each.compare),
    ("where", "`where(x >= c, a, b)` with constants", each.choose),
    ("round floor ceil trunc", "`round` and its like behind a clip", each.whole),
    ("convolution", "`Conv1d`, `Conv2d`, `ConvTranspose2d`", structure.convolution),
    ("addmm", "`Linear`", structure.addmm),
    ("mm", "`Linear(bias=False)`, `x @ w`", structure.mm),
    ("add sub rsub mul div", "`+ − × ÷` with constants and parameters, and of two values", each.arithmetic),
    ("neg", "`−x`", each.negate),
    (
        "native_batch_norm _native_batch_norm_legit_no_training _batch_norm_no_update",
        "`BatchNorm1d`, `BatchNorm2d`, `SyncBatchNorm`, `ShiftBatchNorm`",
        each.batch_norm,
    ),
    ("relu hardtanh clamp clamp_min clamp_max", "`ReLU`, `ReLU6`, `Hardtanh`, `clamp`", each.clip),
    ("_prelu_kernel leaky_relu", "`PReLU`, `LeakyReLU`", each.leaky),
    ("abs", "`abs`", each.magnitude),
    ("sigmoid tanh erf", "`Sigmoid`, `Tanh`, `erf`", smooth.function),
    ("sqrt rsqrt reciprocal", "`sqrt`, `rsqrt`, `reciprocal`", smooth.root),
    ("hardsigmoid", "`Hardsigmoid`", smooth.hard_sigmoid),
    ("silu hardswish gelu", "`SiLU`, `Hardswish`, `GELU`", smooth.gated),
    (each.RISING, "`ELU`, `Softplus` … right before a quantizer", each.rising),
    ("max_pool2d_with_indices", "`MaxPool1d`, `MaxPool2d`", structure.max_pool),
    ("adaptive_max_pool2d", "`AdaptiveMaxPool1d`, `AdaptiveMaxPool2d`", structure.adaptive_max),
    ("avg_pool2d", "`AvgPool1d`, `AvgPool2d`", structure.average_pool),
    ("_adaptive_avg_pool2d", "`AdaptiveAvgPool1d`, `AdaptiveAvgPool2d`", structure.adaptive_average),
    ("mean sum amax", "`mean((2, 3))`, `sum`, `amax`", structure.reduce),
    ("cat stack", "`cat`; `stack` of parts of one value", structure.concat),
    (
        structure.MOVES,
        "`flatten`, `view`, slices, `permute`, `repeat`, `expand`, `flip`, `PixelShuffle`, nearest `Upsample` …",
        structure.move,
    ),
    (
        "alias clone copy detach _to_copy lift_fresh contiguous",
        "`Identity`, `Dropout`, `detach`, `float` …",
        structure.same,
    ),
    ("constant_pad_nd", "`ZeroPad2d`, `F.pad`; other numbers than 0 before a convolution", structure.pad),
    ("native_layer_norm native_group_norm", "", structure.statistics),
    ("random native_dropout bernoulli", "", structure.random),
    ("_softmax _log_softmax", "`Softmax`, `LogSoftmax` at the end", structure.softmax),
)
RULES: dict[str, Rule] = {name: rule for names, _, rule in TABLE for name in names.split()}


def take(folder: Folder, step: Step) -> Pending:
    """What is pending behind a step.

    Raises:
        LoweringError: no rule knows the operator, or an argument of it.
    """
    rule = RULES.get(step.op)
    if rule is None:
        step.refuse(
            f"the operator {step.op!r} has no counterpart in the graph.",
            "docs/architecture.md lists what lowers; use one of those, or leave this layer out of the exported model.",
        )
    made = rule(folder, step)
    if unread := step.unread():
        step.refuse(f"{', '.join(unread)} has no counterpart.", "Leave it at its default.")
    return made
