"""Turn a plain torch model into a binary one, in place, and say what was done.

    Conv - BN - ReLU - Pool - Dropout - Conv        becomes
    Conv - BN - Identity - Pool - (sign - Dropout) - Conv

The sign stands where the next binary layer takes its input, or before the dropout on the way there, since
dropout of ±1 gives 0 and a dropped 0 would be read as +1. A ReLU before a sign would make it +1 everywhere,
so it goes.
"""

from __future__ import annotations

from torch import nn

from binarynet.errors import InputError, takes
from binarynet.nn.convert.config import ConvertConfig, ConvertReport
from binarynet.nn.convert.dataflow import Dataflow
from binarynet.nn.convert.plan import BINARY, Plan


@takes(module=(nn.Module, "a torch.nn.Module"))
def convert(module: nn.Module, config: ConvertConfig | None = None) -> ConvertReport:
    """Replace the Linear, Conv1d and Conv2d layers of `module` by binary ones, in place; says what it did.

    Weights and biases stay the same `Parameter` objects with the same values and names: the weights are
    latent weights from here on, so a checkpoint of the float model still loads. Activations whose result only
    meets a sign become `Identity`; subclasses of the torch layers, layers with hooks (`weight_norm`) and
    convolutions that pad by reflection are kept. Either everything is converted or, on an error, nothing.

    `InputError`: the forward pass cannot be recorded; an activation in front of a sign is a function call and
    not a module; something other than a reshape, a max pool or dropout stands between the input and a first
    layer that should read bytes; a pattern of `overrides` matches no layer.
    """
    if type(module) in BINARY:
        raise InputError(f"{type(module).__name__} itself cannot be replaced in place: wrap it in nn.Sequential.")
    plan = Plan(Dataflow(module), config or ConvertConfig())
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if child in plan.replacements:
                parent._modules[name] = plan.replacements[child]
    return ConvertReport(plan.changes)
