"""This package: a session of the graph, on the best instruction set of this machine and on each of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from binarynet.bench.suite.peers import Answers, Array, Peer
from binarynet.bench.suite.workloads import Workload
from binarynet.runtime import Session, isa


class This(Peer):
    packages: ClassVar[Mapping[str, str]] = {"binarynet": "binarynet"}
    ways: ClassVar[Mapping[str, str]] = {"default": "the instruction set that a user gets", **isa.compiled()}

    @classmethod
    def here(cls) -> Mapping[str, str]:
        others = [name for name in isa.available() if name != isa.active()]
        return {way: cls.ways[way] for way in ("default", *others)}

    def build(self, work: Workload) -> None:
        name = None if self.way == "default" else self.way
        self.session = Session(work.graph, isa=name, threads=self.threads)
        self.images = work.images()
        self.into = self.session.logits(self.images, layout="nhwc")

    def run(self) -> Array:
        return self.session.logits(self.images, layout="nhwc", out=self.into)

    def has(self, work: Workload) -> bool:
        return True

    def promise(self, work: Workload) -> Answers:
        return "equal"

    def details(self) -> str:
        return f"{self.session.isa}: " + "; ".join(dict.fromkeys(self.session.kernels.values()))
