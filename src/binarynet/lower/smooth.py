"""Smooth functions, and their straight stand-ins: parts of a threshold, ops, and gates."""

from __future__ import annotations

import numpy as np

from binarynet.fold import Folder, Link, Pending, joins
from binarynet.fold.link import applied, division, line
from binarynet.graph.functions import apply
from binarynet.lower.elementwise import link
from binarynet.lower.step import Step


def function(folder: Folder, step: Step) -> Pending:
    """sigmoid, tanh, erf: part of a threshold before a quantizer, else an op."""
    return link(folder, step, "self", step.op, function=step.op)


_ROOTS = {"sqrt": ("sqrt",), "rsqrt": ("sqrt", "reciprocal"), "reciprocal": ("reciprocal",)}


def root(folder: Folder, step: Step) -> Pending:
    """sqrt, rsqrt, reciprocal: ops, wherever they stand. They have a place where they end or turn, 0."""
    parts = tuple(applied(f"{step.name}.{one}", one) for one in _ROOTS[step.op])
    return folder.real(step, link(folder, step, "self", step.op, steps=parts, monotone=False))


def hard_sigmoid(folder: Folder, step: Step) -> Pending:
    """clip(x + 3, 0, 6) / 6."""
    return link(folder, step, "self", "hardsigmoid", steps=_hard(step.name, step.before().shape[1]))


def _hard(name: str, channels: int) -> tuple[Link, ...]:
    six = np.float32(6)
    clip = Link(f"{name}.clip", "clip", lambda x: np.clip(x, 0, six), borders=(0.0, 6.0))
    return (line(f"{name}.shift", 1, 3, channels), clip, division(f"{name}.sixth", 6, channels))


def gated(folder: Folder, step: Step) -> Pending:
    """x times a function of x: SiLU x σ(x), Hardswish x hardsigmoid(x), GELU x (1 + erf(x / √2)) / 2 or with tanh."""
    x = folder.real(step, step.pending())
    channels, name = folder.value(x).channels, step.name
    kind = step.op
    if kind == "gelu":
        kind = {"none": "erf", "tanh": "tanh"}[step.plain("approximate")]

    def of(function: str) -> Link:
        return Link(f"{name}.{function}", function, lambda y: apply(function, y), function=function)

    at = x
    if kind == "hardswish":
        links = _hard(name, channels)
    elif kind == "silu":
        links = (of("sigmoid"),)
    elif kind == "erf":
        links = (line(f"{name}.root", 0.5**0.5, 0, channels), of("erf"), line(f"{name}.half", 0.5, 0.5, channels))
    else:
        square = joins.multiply(folder, step, x, x)
        at = joins.multiply(
            folder, step, folder.real(step, square.bare(square.name, line(f"{name}.cube", 0.044715, 1, channels))), x
        )
        links = (
            line(f"{name}.root", (2 / np.pi) ** 0.5, 0, channels),
            of("tanh"),
            line(f"{name}.half", 0.5, 0.5, channels),
        )
    gate = folder.real(step, at.bare(at.name, *links))
    return joins.multiply(folder, step, x, gate)
