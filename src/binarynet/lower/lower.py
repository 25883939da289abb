"""Record, fold, prove."""

from __future__ import annotations

import copy
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from binarynet.errors import LoweringError, takes
from binarynet.fold import Folder, Link, Pending, Proof, answers, proof
from binarynet.fold.operand import Recode
from binarynet.fold.shapes import codes, graph_shape
from binarynet.graph import Graph, Output, verify
from binarynet.graph.ir import Conv2d, Input, Linear
from binarynet.lower.record import Recording, record
from binarynet.lower.returned import returned
from binarynet.lower.rules import take
from binarynet.lower.step import Ref, Step, Walk
from binarynet.nn import ByteInput, native

WAYS = (
    'Put a sign before it, give it input_quantizer="ste_sign", or ByteInput() if it is the first layer; '
    "or say lower(…, allow_real=True).",
    'Use a binary layer with weight_quantizer="ste_sign", or binarynet.nn.convert(model); '
    "or say lower(…, allow_real=True).",
)
_FEW, _MOST = 2, 16  # images that are recorded, and compared
_BUDGET = 50_000_000  # products that the proof computes, if that is more than one image


@takes(
    model=(nn.Module, "a torch.nn.Module"),
    shape=(tuple | list, "(channels, height, width) of an image, or (features,)"),
    meta=(Mapping | None, "texts by name, or None"),
)
def lower(
    model: nn.Module,
    shape: tuple[int, ...],
    meta: Mapping[str, str] | None = None,
    *,
    allow_real: bool = False,
    images: NDArray[Any] | Tensor | None = None,
    say: Callable[[str], None] | None = None,
) -> Graph:
    """The integer graph of ``model`` in eval mode, for images of ``shape`` (channels, height, width), (channels,
    length) or (features,), proved equal to the module on a few images before it is answered.

    ``meta`` is free text that the file will carry; ``meta["classes"]`` are the class names, one a line.
    ``allow_real`` lets linear and convolutional layers read real inputs (W1A32) or hold real weights; without it they
    are refused, so that nothing runs in float32 by oversight. ``images`` (n, *shape), uint8 or float32, are what the
    proof compares; without them it draws bytes if the model has a `ByteInput`, else reals. ``say`` is told, in a line
    each, what was looked through or left out, and what was compared.

    Raises:
        LoweringError: a layer has no exact integer counterpart, or the graph answers something else than the module;
            the text names the layer, the reason and the way out.
    """
    say = say or (lambda line: None)
    if not isinstance(model, nn.Module):
        raise LoweringError(f"lower takes a torch.nn.Module, not {type(model).__name__}.")
    model = _unwrapped(model, say)
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        model = copy.deepcopy(model).cpu()
    for name, parameter in model.named_parameters():
        if parameter.dtype != torch.float32:
            raise LoweringError(
                f"{name} is {str(parameter.dtype).removeprefix('torch.')}, and the graph is that of the float32 model. "
                "Call model.float() before lowering."
            )
    shape = tuple(int(size) for size in shape)
    with _evaluating(model):
        first = record(model, _images(model, shape, images, _FEW, seed=1))
        first.answers = {name: _answer(first, number, say) for name, number in first.answers.items()}
        folder, walk, outputs = _folded(first, shape, allow_real)
        count = min(_MOST, max(1, _BUDGET // max(1, _products(folder))))
        shown = _images(model, shape, images, count, seed=2)
        again = record(model, shown)
        _same_path(walk.steps, again.steps)
        with torch.no_grad(), native.off():
            answer = returned(model, model(shown))
        made = {name: again.steps[number].value for name, number in again.answers.items()}
        if answer.keys() != made.keys() or not all(_equal(answer[name], made[name]) for name in made):
            raise LoweringError(
                f"{type(model).__name__}: answers something else in a second run on the same images, so it has a "
                "state or draws at random. Keep both out of eval mode."
            )
    graph = Graph(tuple(folder.ops), dict(meta or {}), outputs)
    say(str(_proved(folder, walk, again, shown)))
    graph = proof.passed(graph, codes(shown[:1].numpy(), graph.input.shape))
    verify(graph)
    return graph


Folded = tuple[Folder, Walk, tuple[Output, ...]]


def _folded(recording: Recording, shape: tuple[int, ...], allow_real: bool) -> Folded:
    """All steps that the answer needs, folded."""
    real = recording.steps[0].value.is_floating_point()
    try:
        return _walked(recording, shape, allow_real, "f32" if real else "u8")
    except Recode:
        return _walked(recording, shape, allow_real, "b8")


def _walked(recording: Recording, shape: tuple[int, ...], allow_real: bool, encoding: str) -> Folded:
    steps, needed = recording.steps, _needed(recording)
    readers = Counter(ref.step for number in needed for ref in _refs(steps[number]))
    folder = Folder(allow_real, WAYS)
    walk = Walk(steps, [None] * len(steps), recording.units, readers, folder)
    folder.emit(steps[0], Input("input", (), graph_shape(shape), encoding))
    start = Pending("input", step=0)
    if encoding == "b8":  # steps read bytes: c = (2c − 255 + 255) / 2
        half, middle = np.full(folder.value(start).channels, 0.5), np.full(folder.value(start).channels, 127.5)
        start = replace(start, links=(Link("input", "byte", lambda x: (x + 255) / 2, (half, middle)),))
    walk.pendings[0] = start
    for number in needed:
        step = steps[number]
        step.walk = walk
        step.asked.clear()
        if number:
            walk.pendings[number] = replace(take(folder, step), step=number)
    for number in recording.answers.values():
        walk.pendings[number] = answers.ordered(folder, steps[number], walk.settled(number))
    ends = [(name, steps[one], walk.settled(one), steps[one].value.ndim) for name, one in recording.answers.items()]
    return folder, walk, answers.answer(folder, ends)


def _needed(recording: Recording) -> list[int]:
    """The steps that the answers depend on, in order."""
    found, waiting = {0}, list(recording.answers.values())
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += [ref.step for ref in _refs(recording.steps[number])]
    return sorted(found)


def _refs(step: Step) -> list[Ref]:
    return [one for one in tree_leaves(list(step.arguments.values())) if isinstance(one, Ref)]


def _answer(recording: Recording, number: int, say: Callable[[str], None]) -> int:
    """The step that is answered: a softmax at the end changes no class, and is left out."""
    step = recording.steps[number]
    if step.op in ("_softmax", "_log_softmax") and step.arguments["dim"] % step.value.ndim == 1:
        say(f"{step.name} ({step.described}) is left out: the graph answers the numbers before it")
        return int(step.arguments["self"].step)
    return number


def _proved(folder: Folder, walk: Walk, again: Recording, shown: Tensor) -> Proof:
    def refuse(number: int, what: str) -> None:
        walk.steps[number].refuse(what, "Lower the layers before it alone, or report this network.")

    recorded = [
        None if pending is None else step.value.float().numpy()
        for step, pending in zip(again.steps, walk.pendings, strict=True)
    ]
    first = folder.ops[0]
    assert isinstance(first, Input)
    return proof.prove(folder, codes(shown.numpy(), first.shape), walk.pendings, recorded, refuse)


def _same_path(first: list[Step], second: list[Step]) -> None:
    """Other images, and another number of them, must meet the same operators and constants."""
    for one, other in zip(first, second, strict=False):
        if (one.op, one.name) != (other.op, other.name):
            one.refuse(
                "another batch takes another path here.", "Let no branch depend on values or on the size of a batch."
            )
        for name, constant in one.arguments.items():
            if isinstance(constant, Tensor) and not _alike(constant, other.arguments[name]):
                one.refuse(f"its {name!r} is another for other images.", "Compute with tensors of torch alone.")
    if len(first) != len(second):
        first[-1].refuse("another batch takes another path behind it.", "Let no branch depend on the size of a batch.")


def _alike(one: Tensor, other: Any) -> bool:
    if one is other:
        return True
    if not isinstance(other, Tensor) or one.dtype != other.dtype or one.ndim != other.ndim:
        return False
    if one.shape != other.shape and one.ndim:  # filled for each image of a batch
        one, other = one[:1], other[:1]
    return _equal(one, other)


def _equal(one: Tensor, other: Tensor) -> bool:
    """The same numbers, and NaN in the same places."""
    return torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


def _unwrapped(model: nn.Module, say: Callable[[str], None]) -> nn.Module:
    """The module inside torch.compile, DataParallel, DistributedDataParallel or AveragedModel."""
    while (inside := _WRAPPERS.get(f"{type(model).__module__}.{type(model).__name__}")) is not None:
        say(f"{type(model).__name__}: lowered is the module inside")
        model = getattr(model, inside)
    return model


# By name: to import torch's compiler takes longer than most networks take to lower.
_WRAPPERS = {
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.optim.swa_utils.AveragedModel": "module",
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
}


def _images(model: nn.Module, shape: tuple[int, ...], given: Any, count: int, seed: int) -> Tensor:
    if given is not None:
        images = torch.as_tensor(given)
        if tuple(images.shape[1:]) != shape or not len(images):
            raise LoweringError(f"images have the shape {tuple(images.shape)}; (n, {', '.join(map(str, shape))}) fits.")
        bytewise = any(isinstance(module, ByteInput) for module in model.modules())
        if bytewise and images.dtype != torch.uint8:
            raise LoweringError(f"images are {images.dtype}; a model with a ByteInput is proved on bytes (uint8).")
        images = images[:count].float() if images.is_floating_point() else images[:count]
        return images if len(images) == count or seed != 1 else torch.cat([images] * count)[:count]
    rng = torch.Generator().manual_seed(seed)
    if any(isinstance(module, ByteInput) for module in model.modules()):
        return torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)
    return torch.randn((count, *shape), generator=rng) * 2


def _products(folder: Folder) -> int:
    """Products in one image."""
    layers = [op for op in folder.ops if isinstance(op, Linear | Conv2d)]
    return sum(prod(op.weight_shape) * prod(folder.types[op.name].shape[:-1]) for op in layers)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode, and nothing compiled, for a while; afterwards each submodule has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        # Nothing is compiled that torch's compiler has not been imported for.
        with torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
