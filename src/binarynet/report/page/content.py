"""What a report shows of a model: all of it computed from the file, the engine and the images, nothing made up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binarynet.data import Split
from binarynet.graph import Graph
from binarynet.graph.ir import Conv2d, Linear, Threshold
from binarynet.report.agreement import Agreement, oracle_logits, with_native
from binarynet.report.analysis import Analysis, analyse
from binarynet.report.summary import Summary, summarise
from binarynet.runtime import Session

PROVED = 100  # images that every engine is compared on


@dataclass(frozen=True)
class Mistake:
    """An image, what it is, what the model said, and by how much that was ahead."""

    image: NDArray[np.uint8]  # (channels, height, width)
    truth: str
    answer: str
    margin: float


@dataclass(frozen=True)
class Content:
    """Of one model. confusion: (classes, classes) images, rows are the truth; None without images to be shown."""

    file: Path
    graph: Graph
    session: Session
    summary: Summary
    analysis: Analysis
    agreements: tuple[Agreement, ...]
    classes: tuple[str, ...]
    split: Split | None
    said: str
    confusion: NDArray[np.int64] | None
    mistakes: tuple[Mistake, ...]

    @property
    def products(self) -> tuple[Linear | Conv2d, ...]:
        return tuple(op for op in self.graph.ops if isinstance(op, Linear | Conv2d))

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        return tuple(op for op in self.graph.ops if isinstance(op, Threshold))

    @property
    def accuracy(self) -> float | None:
        """In percent, of the images shown."""
        if self.confusion is None or not self.confusion.sum():
            return None
        return float(100 * np.trace(self.confusion) / self.confusion.sum())


def content_of(file: Path, graph: Graph, split: Split | None, said: str, *, mistakes: int = 24) -> Content:
    """Run a model on a split (None: no images are at hand, which ``said`` explains) and look at all of it."""
    session = Session(graph)
    summary = summarise(graph, file.stat().st_size, session, (1, 100))
    classes, confusion = graph.classes, None
    worst: tuple[Mistake, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    if split is not None and len(split):
        logits = session.logits(split.images).reshape(len(split), -1).astype(np.float64)
        count = logits.shape[1]
        classes = classes if len(classes) == count else tuple(map(str, range(count)))
        answers = logits.argmax(axis=1)
        confusion = np.zeros((count, count), np.int64)
        np.add.at(confusion, (split.labels, answers), 1)
        worst = _worst(split, logits, answers, classes, mistakes)
        shown = split.images[:PROVED]
        agreements = tuple(with_native(graph, shown, oracle_logits(graph, shown)))
    return Content(file, graph, session, summary, analyse(graph), agreements, classes, split, said, confusion, worst)


def _worst(
    split: Split, logits: NDArray[Any], answers: Any, classes: tuple[str, ...], most: int
) -> tuple[Mistake, ...]:
    """The wrong answers that were furthest ahead of the truth, the furthest first."""
    rows = np.arange(len(split))
    ahead = logits[rows, answers] - logits[rows, split.labels]
    wrong = np.flatnonzero(answers != split.labels)
    order = wrong[np.argsort(-ahead[wrong], kind="stable")][:most]
    labels = split.labels
    return tuple(Mistake(split.images[k], classes[labels[k]], classes[answers[k]], float(ahead[k])) for k in order)
