"""This package: a session of the graph, on the best instruction set of this machine and on each of the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from binarynet.bench.suite.peers import Answers, Array, Peer
from binarynet.bench.suite.workloads import Workload
from binarynet.format import load, save
from binarynet.runtime import Session, isa


class This(Peer):
    packages: ClassVar[Mapping[str, str]] = {"binarynet": "binarynet"}
    ways: ClassVar[Mapping[str, str]] = {"default": "the instruction set that a user gets", **isa.compiled()}

    @classmethod
    def here(cls) -> Mapping[str, str]:
        others = [name for name in isa.available() if name != isa.active()]
        return {way: cls.ways[way] for way in ("default", *others)}

    def build(self, work: Workload) -> None:
        self.isa = None if self.way == "default" else self.way
        self.session = Session(work.graph, isa=self.isa, threads=self.threads)
        self.images = work.images()
        self.file = self.folder = None
        if work.kind == "W8":
            self.folder = TemporaryDirectory()
            self.file = Path(self.folder.name) / "model.bnn"
            save(work.graph, self.file)
        self.into = self.session.logits(self.images, layout="nhwc")

    def run(self) -> Array:
        if self.file:  # from the file to the first answer
            return Session(load(self.file), isa=self.isa, threads=self.threads).logits(self.images, layout="nhwc")
        return self.session.logits(self.images, layout="nhwc", out=self.into)

    def has(self, work: Workload) -> bool:
        return True

    def promise(self, work: Workload) -> Answers:
        return "same" if work.kind == "W6" else "equal"  # sums of reals depend on the instruction set

    def details(self) -> str:
        if self.file:
            laid_out = sum(step.weight_bytes for step in self.session.plan())
            return f"{self.session.isa}: {self.file.stat().st_size:,} bytes, {laid_out:,} laid out in memory"
        return f"{self.session.isa}: " + "; ".join(dict.fromkeys(self.session.kernels.values()))
