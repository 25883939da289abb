"""What becomes of each module of a model: decided as a whole before anything is changed."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from torch import fx, nn

from binarynet.errors import InputError
from binarynet.nn.conv import BinaryConv1d, BinaryConv2d
from binarynet.nn.convert.config import SETTINGS, Change, ConvertConfig
from binarynet.nn.convert.dataflow import Dataflow
from binarynet.nn.layer import BinaryLayer
from binarynet.nn.linear import BinaryLinear
from binarynet.nn.quantizers import ByteInput, Quantizer, get

Spec = str | Quantizer | None
BINARY: dict[type[nn.Module], type[BinaryLayer]] = {
    nn.Linear: BinaryLinear,
    nn.Conv1d: BinaryConv1d,
    nn.Conv2d: BinaryConv2d,
}
_ONE_SIDED = (nn.ReLU, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Softplus, nn.LogSigmoid)
_CARRY = ("shape", "max pool", "dropout")  # give ±1 for ±1, or the 0 of dropout
_KEEP_SIDE = (*_CARRY, "average pool", "join")  # give nothing negative for nothing negative


class Plan:
    """Decides everything and changes nothing: what replaces which module, and the report."""

    def __init__(self, flow: Dataflow, config: ConvertConfig) -> None:
        self.flow, self.config = flow, config
        self.replacements: dict[nn.Module, nn.Module] = {}
        self._rows: dict[nn.Module, Change] = {}
        self._layers = flow.calls("layer")
        self._settings: dict[nn.Module, dict[str, Any]] = {}  # of the layers to be made binary
        self._quantizers: dict[nn.Module, Spec] = {}  # at the input of every layer that is or will be binary
        self._choose_layers()
        self._refuse_activation_calls()
        self._drop_activations()
        quantized_before = self._quantize_before_dropout()
        for layer in self._settings:
            self._binarize(layer, layer in quantized_before)
        called = [module for module in map(flow.module, flow.nodes) if module is not None]
        self.changes = tuple(self._rows[m] for m in dict.fromkeys([*called, *self._rows]) if m in self._rows)

    # -- which layers ----------------------------------------------------------------------------------------

    def _choose_layers(self) -> None:
        config, first, last = self.config, self.flow.first_layers(), self.flow.last_layers()
        names = {m: name for name, m in self.flow.modules.items() if self.flow.is_layer(m)}
        for pattern in config.overrides:
            if not any(fnmatchcase(name, pattern) for name in names.values()):
                known = ", ".join(names.values())
                raise InputError(f"ConvertConfig: overrides[{pattern!r}] matches no layer. Layers: {known}.")
        for layer, name in names.items():
            pattern = next((pattern for pattern in config.overrides if fnmatchcase(name, pattern)), "")
            override = config.overrides.get(pattern, {})
            if isinstance(layer, BinaryLayer):
                self._quantizers[layer] = layer.input_quantizer
                self._note(layer, name, "kept", "already binary")
            elif layer not in self._layers:
                self._note(layer, name, "kept float", "the forward pass does not call it")
            elif override is None:
                self._note(layer, name, "kept float", f"overrides[{pattern!r}] is None")
            elif layer in first and config.first == "float":
                self._note(layer, name, "kept float", "first='float'")
            elif layer in last and config.last == "float":
                self._note(layer, name, "kept float", "last='float'")
            elif obstacle := _obstacle(layer):
                self._note(layer, name, "kept float", obstacle)
            else:
                self._settings[layer] = {key: getattr(config, key) for key in SETTINGS}
                if layer in first:
                    self._settings[layer]["input_quantizer"] = "byte_input"
                self._settings[layer] |= override
                wanted = self._settings[layer]["input_quantizer"]
                explicit = "input_quantizer" in override
                self._quantizers[layer] = wanted if explicit else self._at_input(layer, wanted)

    def _at_input(self, layer: nn.Module, wanted: Spec) -> Spec:
        """`wanted`, or None where the input of `layer` is quantized already."""
        quantizer = get(wanted)
        if quantizer is None:
            return None
        sources = [source for node in self._layers[layer] for source in self.flow.above(node, _CARRY)]
        if all(self._bits(source) == quantizer.bits for source in sources):
            return None
        strangers = [source for source in sources if source.op != "placeholder"]
        if isinstance(quantizer, ByteInput) and strangers:
            raise InputError(
                f"{self._name(layer)} ({type(layer).__name__}): a binary first layer reads raw bytes through "
                f"ByteInput, but {self.flow.name(strangers[0])} stands between the input and it. Remove that "
                "step, or choose first='float', or give the layer's input_quantizer in overrides."
            )
        return wanted

    # -- what stands between them ----------------------------------------------------------------------------

    def _refuse_activation_calls(self) -> None:
        for node in self.flow.nodes:
            if self.flow.kinds[node] == "activation" and self.flow.module(node) is None:
                for end in self.flow.below(node, _KEEP_SIDE):
                    if self._takes_sign(end):
                        raise InputError(
                            f"{self.flow.name(end)}: the forward calls {self.flow.name(node)} before it, "
                            "so the sign may be +1 everywhere. A call cannot be replaced in place: write it "
                            "as a module such as nn.ReLU(), or keep the layer float through overrides."
                        )

    def _drop_activations(self) -> None:
        for activation, nodes in self.flow.calls("activation").items():
            ends = list(dict.fromkeys(end for node in nodes for end in self.flow.below(node, _KEEP_SIDE)))
            signs = [end for end in ends if self._takes_sign(end)]
            others = ", ".join(self.flow.name(end) for end in ends if end not in signs)
            name, kind = self._name(activation), type(activation).__name__
            if signs and _crosses_zero(activation):
                self._note(activation, name, "kept", "leaves the sign behind it as it is")
                continue
            if signs:
                effect = "would be constant behind" if isinstance(activation, _ONE_SIDED) else "does not need"
                reason = f"the sign taken by {self.flow.name(signs[0])} {effect} a {kind}"
                reason += f"; {others} goes without it too" if others else ""
            elif all(self._before_norm_and_sign(node) for node in nodes):
                reason = f"out of the way, so that {others} and the sign behind it fold into one threshold"
            else:
                self._note(activation, name, "kept", f"feeds {others}")
                continue
            self._replace(activation, nn.Identity(), reason)
            self.flow.kinds |= dict.fromkeys(nodes, "shape")  # what an Identity is

    def _before_norm_and_sign(self, node: fx.Node) -> bool:
        """Is `node` all that stands between binary layers and norms that only a sign looks at?"""
        norms = self.flow.below(node, _KEEP_SIDE)
        behind = [end for norm in norms for end in self.flow.below(norm, _KEEP_SIDE)]
        above = [self.flow.module(source) for source in self.flow.above(node, _KEEP_SIDE)]
        return (
            bool(behind)
            and all(self.flow.kinds[norm] == "norm" for norm in norms)
            and all(self._takes_sign(end) for end in behind)
            and all(source in self._quantizers for source in above)
        )

    def _quantize_before_dropout(self) -> set[nn.Module]:
        """Put quantizers in front of dropouts where all layers behind agree; returns those layers."""
        done: set[nn.Module] = set()
        for dropout, nodes in self.flow.calls("dropout").items():
            layers = {self.flow.module(end) for node in nodes for end in self.flow.below(node, _CARRY)}
            wanted = {self._quantizers[m] if m in self._settings else None for m in layers}
            calls = {call for m in layers if m is not None for call in self._layers.get(m, [])}
            fed = {call for call in calls if set(nodes) & set(self._nearest(call))}
            quantizer = get(next(iter(wanted))) if len(wanted) == 1 else None
            if quantizer is not None and fed == calls and not any(map(self._behind_dropout, nodes)):
                wrapped = nn.Sequential(quantizer, dropout)
                reason = "quantized before values are dropped, so that a dropped one counts 0 from there on"
                self._replace(dropout, wrapped, reason, f"{_spec(quantizer)}, {type(dropout).__name__}")
                done |= {m for m in layers if m is not None}
        return done

    # -- the layers themselves -------------------------------------------------------------------------------

    def _binarize(self, layer: nn.Module, quantized_before: bool) -> None:
        settings, quantizer, nodes = self._settings[layer], self._quantizers[layer], self._layers[layer]
        reasons = [f"input {_spec(quantizer)}" if quantizer is not None else "input as it comes"]
        if quantized_before:
            reasons, quantizer = ["input quantized before the dropout"], None
        elif quantizer is not None and any(map(self._behind_dropout, nodes)):
            reasons.append("a value that dropout sets to 0 counts +1 here")
        reasons.append(f"weight {_spec(settings['weight_quantizer'])}, latent weights as they were")
        assert isinstance(layer.weight, nn.Parameter)
        if outside := (layer.weight.detach().abs() > 1).float().mean().item():
            reasons.append(f"{outside:.2%} of them beyond [-1, 1] until the first clip")
        ends = [end for node in nodes for end in self.flow.below(node, (*_KEEP_SIDE, "activation"))]
        if any(self._takes_sign(end) for end in ends):
            reasons.append("no norm before the next sign")
        if any(end.op == "output" for end in ends):
            reasons.append("no norm behind it: the answers are unscaled sums")
        new = _binary_like(layer, {**settings, "input_quantizer": quantizer})
        self._replace(layer, new, "; ".join(reasons), type(new).__name__)

    # -- bookkeeping -----------------------------------------------------------------------------------------

    def _nearest(self, node: fx.Node) -> list[fx.Node]:
        return self.flow.above(node, ("shape", "max pool"))

    def _behind_dropout(self, node: fx.Node) -> bool:
        return any(self.flow.kinds[source] == "dropout" for source in self._nearest(node))

    def _bits(self, node: fx.Node) -> int | None:
        module = self.flow.module(node)
        return module.bits if isinstance(module, Quantizer) else None

    def _takes_sign(self, node: fx.Node) -> bool:
        """Does `node` look at nothing but the sign of its input? A one-bit quantizer, or a layer with one."""
        module = self.flow.module(node)
        quantizer = get(self._quantizers.get(module)) if module is not None else None
        return self._bits(node) == 1 or (quantizer is not None and quantizer.bits == 1)

    def _name(self, module: nn.Module) -> str:
        return next(name for name, m in self.flow.modules.items() if m is module)

    def _note(self, module: nn.Module, name: str, action: str, reason: str) -> None:
        self._rows[module] = Change(name, type(module).__name__, action, reason)

    def _replace(self, module: nn.Module, new: nn.Module, reason: str, action: str = "") -> None:
        self.replacements[module] = new.train(module.training)
        self._note(module, self._name(module), action or type(new).__name__, reason)


def _obstacle(layer: nn.Module) -> str:
    """Why a layer cannot be made binary, "" if it can."""
    if type(layer) not in BINARY:
        return f"only {', '.join(kind.__name__ for kind in BINARY)} themselves are made binary"
    if layer._forward_hooks or layer._forward_pre_hooks or "weight" not in layer._parameters:
        return "it carries forward hooks, as weight_norm sets them"
    if (mode := getattr(layer, "padding_mode", "zeros")) != "zeros":
        return f"padding_mode={mode!r}; a binary convolution pads with 0, 1 or -1"
    return ""


def _crosses_zero(activation: nn.Module) -> bool:
    """A hardtanh with 0 inside: it keeps every sign, and lowering knows it."""
    return isinstance(activation, nn.Hardtanh) and activation.min_val < 0 < activation.max_val


def _spec(spec: Spec) -> str:
    quantizer = get(spec)
    return "float" if quantizer is None else quantizer.name


def _binary_like(layer: nn.Module, settings: dict[str, Any]) -> BinaryLayer:
    """The binary counterpart of a torch layer, around the very parameters of it."""
    settings = {**settings, "bias": layer.bias is not None, "device": "meta"}  # nothing is allocated
    new: BinaryLayer
    if isinstance(layer, nn.Linear):
        del settings["pad_value"]
        new = BinaryLinear(layer.in_features, layer.out_features, **settings)
    else:
        assert isinstance(layer, nn.Conv1d | nn.Conv2d)
        places = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
        kind: Any = BINARY[type(layer)]
        new = kind(**{place: getattr(layer, place) for place in places}, **settings)
    new.weight, new.bias = layer.weight, layer.bias
    return new
