"""Who feeds whom in a plain torch model: its forward pass recorded by torch.fx, each step sorted by what it
does."""

from __future__ import annotations

from collections.abc import Collection

from torch import fx, nn

from binarynet.errors import InputError
from binarynet.nn.layer import BinaryLayer
from binarynet.nn.quantizers import Quantizer

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,  # ReLU6 is one
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.PReLU,
    nn.ReLU,
    nn.RReLU,
    nn.SELU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Softsign,
    nn.Tanh,
)
_MODULES: tuple[tuple[str, tuple[type[nn.Module], ...]], ...] = (
    ("layer", (nn.Linear, nn.modules.conv._ConvNd, BinaryLayer)),
    ("activation", ACTIVATIONS),
    ("quantizer", (Quantizer,)),
    ("norm", (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)),
    ("dropout", (nn.modules.dropout._DropoutNd,)),
    ("max pool", (nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd)),
    ("average pool", (nn.modules.pooling._AvgPoolNd, nn.modules.pooling._AdaptiveAvgPoolNd)),
    ("shape", (nn.Identity, nn.Flatten, nn.Unflatten)),
)
_FUNCTIONS = {  # torch functions and tensor methods, by name
    "activation": "relu relu_ relu6 leaky_relu prelu elu selu celu gelu silu mish hardswish hardtanh clamp "
    "sigmoid hardsigmoid logsigmoid softplus softsign tanh",
    "dropout": "dropout feature_dropout dropout1d dropout2d dropout3d alpha_dropout",
    "norm": "batch_norm group_norm layer_norm instance_norm",
    "max pool": "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d",
    "average pool": "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d mean",
    "shape": "flatten view reshape contiguous squeeze unsqueeze permute transpose float to",
    "join": "cat concat",
}
_CALLS = {name: kind for kind, names in _FUNCTIONS.items() for name in names.split()}


class Dataflow:
    """The recorded forward pass of `module`, in which torch's modules and ours are single steps.

    `InputError` where the forward pass cannot be recorded, which is when it branches on tensor values.
    """

    def __init__(self, module: nn.Module) -> None:
        try:
            self.nodes = list(_Tracer().trace(module).nodes)
        except Exception as error:  # whatever a user's forward raises under symbolic values
            raise InputError(
                f"{type(module).__name__}: torch.fx cannot record its forward pass ({error}), so which layer "
                "feeds which is unknown. Let no branch depend on tensor values, or put the binary layers in "
                "by hand."
            ) from error
        self.modules: dict[str, nn.Module] = dict(module.named_modules())
        self.kinds = {node: self._kind(node) for node in self.nodes}

    def module(self, node: fx.Node) -> nn.Module | None:
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def is_layer(self, module: nn.Module) -> bool:
        """Does `module` have weights to make binary, or has it binary ones?"""
        return isinstance(module, dict(_MODULES)["layer"])

    def name(self, node: fx.Node) -> str:
        """The qualified name of a module, `relu()` for a call, "the input" and "the output"."""
        if node.op == "call_module":
            return str(node.target)
        if node.op in ("call_function", "call_method"):
            return f"{_called(node)}()"
        return {"placeholder": "the input", "output": "the output"}.get(node.op, node.name)

    def calls(self, kind: str) -> dict[nn.Module, list[fx.Node]]:
        """The modules of a kind in the order of their first call, each with all of its calls."""
        found: dict[nn.Module, list[fx.Node]] = {}
        for node in self.nodes:
            module = self.module(node)
            if module is not None and self.kinds[node] == kind:
                found.setdefault(module, []).append(node)
        return found

    def above(self, node: fx.Node, through: Collection[str]) -> list[fx.Node]:
        """The steps that the values of `node` come from, looking through steps of the kinds `through`."""
        found: dict[fx.Node, None] = {}
        for source in _sources(node):
            found |= dict.fromkeys(self.above(source, through) if self.kinds[source] in through else [source])
        return list(found)

    def below(self, node: fx.Node, through: Collection[str]) -> list[fx.Node]:
        """The steps that the values of `node` go to, looking through steps of the kinds `through`."""
        found: dict[fx.Node, None] = {}
        for user in node.users:
            if node in _sources(user):
                found |= dict.fromkeys(self.below(user, through) if self.kinds[user] in through else [user])
        return list(found)

    def first_layers(self) -> set[nn.Module]:
        """Layers with no other layer anywhere before one of their calls."""
        return self._outermost([(node, node.all_input_nodes) for node in self.nodes])

    def last_layers(self) -> set[nn.Module]:
        """Layers with no other layer anywhere behind one of their calls."""
        return self._outermost([(node, list(node.users)) for node in reversed(self.nodes)])

    def _outermost(self, neighbours: list[tuple[fx.Node, list[fx.Node]]]) -> set[nn.Module]:
        beyond: dict[fx.Node, bool] = {}  # is there a layer further out?
        for node, others in neighbours:
            beyond[node] = any(beyond[other] or self.kinds[other] == "layer" for other in others)
        calls = self.calls("layer").items()
        return {module for module, nodes in calls if not all(beyond[node] for node in nodes)}

    def _kind(self, node: fx.Node) -> str:
        module = self.module(node)
        if module is not None:
            return next((kind for kind, types in _MODULES if isinstance(module, types)), "other")
        if node.op in ("call_function", "call_method"):
            return _CALLS.get(_called(node), "other")
        return node.op


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = any(isinstance(m, types) for kind, types in _MODULES if kind in ("layer", "quantizer"))
        return ours or super().is_leaf_module(m, module_qualified_name)


def _called(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _sources(node: fx.Node) -> list[fx.Node]:
    """The steps whose values `node` works on: its first argument only, where the others are settings."""
    if node.op == "output" or (node.op != "call_module" and _called(node) not in _CALLS):
        return node.all_input_nodes
    first = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
    parts = first if isinstance(first, list | tuple) else [first]
    return [part for part in parts if isinstance(part, fx.Node)]
