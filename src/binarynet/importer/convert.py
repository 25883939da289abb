"""Read, run, fold, prove."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.errors import BinarynetError, GraphError, ImportedModelError, LoweringError, takes
from binarynet.fold import Folder, Link, Pending, answers, proof
from binarynet.fold.link import division
from binarynet.fold.operand import Recode
from binarynet.fold.shapes import codes, graph_shape
from binarynet.graph import Encoding, Graph, Output, verify
from binarynet.graph.ir import Input
from binarynet.importer.arithmetic import Arithmetic
from binarynet.importer.model import Model, Node, load
from binarynet.importer.rules import take
from binarynet.importer.run import Values, run
from binarynet.importer.walk import Walk

PIXELS = ("byte/255", "byte", "bipolar", "real")
WAYS = ("Put a quantizer before it, or allow real products.", "Quantize its weights, or allow real products.")
_SHOWN = 8  # images


@takes(path=(str | os.PathLike, "the path of an .onnx file"))
def import_onnx(
    path: str | os.PathLike[str],
    pixels: str | None = None,
    meta: Mapping[str, str] | None = None,
    *,
    allow_real: bool = False,
    images: NDArray[Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> Graph:
    """The integer graph of an ONNX file, proved equal to the file on a few images before it is answered.

    ``pixels`` is what the file's input is of a raw byte of the image: ``byte/255`` (in float32), ``byte``; or no byte
    but ``bipolar``, ±1 given as bits, or ``real``, any number. Without it, ``byte`` where the file says that its input
    is an unsigned integer, else ``byte/255``. ``meta`` is free text that is added to the file's own. ``allow_real``
    lets products read reals or hold real weights. ``images`` (n, …) in the file's layout, uint8 or float32, are what
    the proof compares; without them it draws some. ``say`` is told, in a line each, what was left out and compared.

    Raises:
        ImportedModelError: a node has no exact integer counterpart, or the graph answers something else than the file;
            the text names it, its operator and the reason.
    """
    try:
        return _imported(path, pixels, meta, allow_real, images, say or (lambda line: None))
    except (GraphError, LoweringError) as error:  # a name or an op that no graph has
        raise ImportedModelError(f"{path}: {error}") from None


def _imported(
    path: str | os.PathLike[str],
    pixels: str | None,
    meta: Mapping[str, str] | None,
    allow_real: bool,
    images: NDArray[Any] | None,
    say: Callable[[str], None],
) -> Graph:
    model, pixels = _model(path, pixels)
    raw = _drawn(model, pixels) if images is None else np.asarray(images)[:_SHOWN].reshape(-1, *model.shape)
    arithmetic = Arithmetic(model.opset)
    values = run(model, arithmetic, _given(raw, pixels))
    names = model.answers
    model = replace(model, answers=tuple(_end(model, values, name, say) for name in names))
    try:
        walk, outputs = _walked(
            model, arithmetic, values, pixels, allow_real, _ENCODING.get(pixels) or f"u{_bits(model)}"
        )
    except Recode:
        walk, outputs = _walked(model, arithmetic, values, pixels, allow_real, f"b{_bits(model)}")
    outputs = tuple(replace(one, name=name) for one, name in zip(outputs, names, strict=False))  # none, of one answer
    graph = Graph(tuple(walk.folder.ops), {**model.meta, **(meta or {})}, outputs)
    say(str(_proved(walk, raw)))
    graph = proof.passed(graph, codes(raw[:1], graph.input.shape))
    verify(graph)
    return graph


def shown(path: str | os.PathLike[str], images: NDArray[Any], pixels: str | None = None) -> NDArray[np.float32]:
    """Raw images (n, channels, height, width) as the file itself takes them: float32, in its shape.

    Raises:
        ImportedModelError: as `import_onnx`.
    """
    model, pixels = _model(path, pixels)
    return _given(images.reshape(len(images), *model.shape), pixels)


_ENCODING = {"real": "f32", "bipolar": "b1"}


def _model(path: str | os.PathLike[str], pixels: str | None) -> tuple[Model, str]:
    if pixels not in (None, *PIXELS):
        raise ImportedModelError(f"input {pixels!r} is unknown; known: {', '.join(PIXELS)}")
    model = load(Path(path))
    return model, pixels or ("byte/255" if model.codes is None else "byte")


def _given(raw: NDArray[Any], pixels: str) -> NDArray[np.float32]:
    x = raw.astype(np.float32)
    if pixels == "bipolar":
        return 2 * x - 1
    return x / np.float32(255) if pixels == "byte/255" else x


def _bits(model: Model) -> int:
    return ((model.codes or 256) - 1).bit_length()


def _drawn(model: Model, pixels: str) -> NDArray[Any]:
    rng, shape = np.random.default_rng(1), (_SHOWN, *model.shape)
    if pixels == "real":
        return (2 * rng.standard_normal(shape)).astype(np.float32)
    return rng.integers(0, 2 if pixels == "bipolar" else model.codes or 256, shape, np.uint8)


def _end(model: Model, values: Values, answer: str, say: Callable[[str], None]) -> str:
    """What is answered instead of an output: a softmax at the end changes no class."""
    if answer not in values.made:
        raise ImportedModelError(f"the output {answer!r} does not depend on the input")
    last = next((node for node in model.nodes if answer in node.outputs), None)
    rank = len(values.shape(answer))
    if last and last.kind in ("Softmax", "LogSoftmax") and last.get("axis", -1) % rank == 1 and rank == 2:
        say(f"{last.name} ({last.kind}) is left out: the graph answers the numbers before it")
        return last.inputs[0]
    return answer


Walked = tuple[Walk, tuple[Output, ...]]


def _walked(
    model: Model, arithmetic: Arithmetic, values: Values, pixels: str, allow_real: bool, encoding: str
) -> Walked:
    nodes = _needed(model, values)
    readers = Counter(name for node in nodes for name in node.inputs)
    walk = Walk(model, Folder(allow_real, WAYS), arithmetic, values, {}, readers)
    turned = graph_shape(model.shape)
    walk.folder.emit(nodes[0], Input("input", (), turned, encoding))
    walk.pendings[model.input] = Pending("input", _start(encoding, pixels, turned[-1], model), step=0)
    for number, node in enumerate(nodes, 1):
        try:
            walk.pendings[node.outputs[0]] = replace(take(walk, node), step=number)
        except (BinarynetError, Recode):
            raise
        except Exception as error:  # of a rule that met what no exporter writes
            node.refuse(f"has no exact counterpart ({type(error).__name__}: {error}).")
    makers = {node.outputs[0]: node for node in nodes}
    for name in model.answers:
        walk.pendings[name] = answers.ordered(walk.folder, makers.get(name, nodes[-1]), walk.pending(name))
    ends = [(name, makers.get(name, nodes[-1]), walk.pending(name), len(values.shape(name))) for name in model.answers]
    return walk, answers.answer(walk.folder, ends)


def _start(encoding: str, pixels: str, channels: int, model: Model) -> tuple[Link, ...]:
    """What the file's input is of the graph's numbers."""
    links: tuple[Link, ...] = ()
    if encoding[0] == "b" and pixels != "bipolar":  # the file reads bytes: c = (2c − high + high) / 2
        high = Encoding.parse(encoding).high
        half, middle = np.full(channels, 0.5), np.full(channels, high / 2)
        links = (Link("input", "byte", lambda x: (x + high) / 2, (half, middle)),)
    return (*links, division("input", 255, channels)) if pixels == "byte/255" else links


def _needed(model: Model, values: Values) -> list[Node]:
    """The nodes that the answers depend on and that depend on the image, in order."""
    makers = {node.outputs[0]: node for node in model.nodes}
    found: set[str] = set()
    waiting = list(model.answers)
    while waiting:
        name = waiting.pop()
        if name in values.made and name in makers and name not in found:
            found.add(name)
            waiting += makers[name].inputs
    nodes = [node for node in model.nodes if node.outputs[0] in found]
    if not nodes:
        raise ImportedModelError("the file has no nodes between its input and its output")
    return nodes


def _proved(walk: Walk, raw: NDArray[Any]) -> proof.Proof:
    names = [walk.model.input, *(node.outputs[0] for node in _needed(walk.model, walk.values))]
    nodes = {node.outputs[0]: node for node in walk.model.nodes}
    recorded = []
    for name in names:
        value = walk.values.stacked(name)
        recorded.append(np.moveaxis(value, -1, 1) if walk.is_last(name) else value)

    def refuse(number: int, what: str) -> None:
        nodes[names[max(number, 1)]].refuse(what, "Cut the file off before it, or report this file.")

    first = walk.folder.ops[0]
    assert isinstance(first, Input)
    return proof.prove(walk.folder, codes(raw, first.shape), [walk.pendings[name] for name in names], recorded, refuse)
