"""The libraries that the suite compares: one file each, found by its name.

A file ``peers/<library>.py`` holds one class ``This(Peer)``. It runs in a process of its own, so it may set up its
library as it likes. Measuring counts `Peer.run` alone: what is prepared in `Peer.build` (weights, layouts, compiled
code, memory for answers) is free, what happens to activations is not.
"""

from __future__ import annotations

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from binarynet.bench.suite.workloads import Workload
from binarynet.errors import InputError, closest

Array = NDArray[Any]
Answers = Literal["equal", "same", "near", "own"]
_WITHIN = {"equal": 0.0, "same": 1e-5, "near": 1e-2}  # of the largest number


TWINNED = ("W6", "W7")
"""The kinds whose float32 twin the libraries run that read ONNX, and its int8 form (bench/suite/exported.py)."""

OTHER_NETS = {
    "resnet18-int8": "another net on the same images: ResNet-18, random weights, static quantization",
    "mobilenetv2-int8": "another net on the same images: MobileNetV2, random weights, static quantization",
}
"""Ways that run what one would pick instead of the workload's net, to be read as that."""


class NotHere(Exception):
    """This way of the library has no such workload; the text says why."""


class Peer(ABC):
    """One library, used in one of its ways, with a number of threads.

    Attributes:
        kinds: of the workloads that it can run.
        packages: import name → distribution, of everything that must be installed.
        ways: name → what it is, in a few words.
    """

    kinds: ClassVar[tuple[str, ...]] = ("W1", "W2", "W3", "W4")
    packages: ClassVar[Mapping[str, str]] = {}
    ways: ClassVar[Mapping[str, str]] = {}

    def __init__(self, way: str, threads: int) -> None:
        self.way, self.threads = way, threads

    @classmethod
    def available(cls) -> str | None:
        """None, or one line that names the missing package."""
        missing = [package for name, package in cls.packages.items() if find_spec(name) is None]
        if not missing:
            return None
        return f"not installed: {', '.join(missing)} (pip install 'binarynet[peers]' -c constraints.txt)"

    @classmethod
    def version(cls) -> str:
        return ", ".join(f"{package} {metadata.version(package)}" for package in cls.packages.values())

    @classmethod
    def here(cls) -> Mapping[str, str]:
        """The ways that make sense on this machine; all of them unless a library says otherwise."""
        return cls.ways

    @abstractmethod
    def build(self, work: Workload) -> None:
        """Prepare everything but the activations.

        Raises:
            NotHere: there is no such thing in this library.
        """

    @abstractmethod
    def run(self) -> Any:
        """Input as the library likes it, one number an element → its answer, in whatever form it comes."""

    def answer(self, raw: Any) -> Array:
        """What `run` gave, as the oracle would write it. Not timed."""
        return np.asarray(raw)

    def promise(self, work: Workload) -> Answers:
        """How the answer relates to the oracle's: ``equal`` bits; the ``same`` but for rounding of the last floats;
        ``near``; or ``own``, a float net of the same shape whose numbers mean something else."""
        return "equal" if work.is_product else "own"

    def has(self, work: Workload) -> bool:
        """Whether there is any point in `build`; libraries of whole products and nets have none that ends in bits."""
        return work.kind in self.kinds and not work.to_bits

    def details(self) -> str:
        """What really runs, if the library tells; after `build`."""
        return ""


def reads_other_nets(work: Workload) -> bool:
    """Where the nets of `OTHER_NETS` stand: beside the binary ResNet-18."""
    return work.kind == "W6" and "ResNet-18" in work.name


def compared(answer: Array, expected: Array, promise: Answers) -> str:
    """The best word of `Peer.promise` that is true of an answer, or ``"wrong"`` if it is worse than promised."""
    if answer.shape != expected.shape:
        return "wrong"
    if np.array_equal(answer, expected):
        return "equal"
    error = np.abs(answer.astype(np.float64) - expected).max() / np.abs(expected).max()
    for word, within in _WITHIN.items():
        if error <= within:
            return word
        if word == promise:
            return "wrong"
    return "own"


def names() -> list[str]:
    """All peers, this package itself first."""
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return sorted(found, key=lambda name: name != "binarynet")


def get(name: str) -> type[Peer]:
    """Raises InputError for a name that is not in `names`."""
    if name not in names():
        raise InputError(f"there is no peer {name!r}.{closest(name, names())} There are {', '.join(names())}.")
    peer: type[Peer] = import_module(f"{__name__}.{name}").This
    return peer
