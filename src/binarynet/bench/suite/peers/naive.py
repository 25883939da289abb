"""A float32 convolution as its definition reads, compiled: what XNOR-Net's 58 × on a CPU was measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from binarynet.bench.suite.peers import Answers, Peer
from binarynet.bench.suite.workloads import Workload
from binarynet.graph.ir import Conv2d
from binarynet.runtime import peaks


class This(Peer):
    kinds: ClassVar[tuple[str, ...]] = ("W5",)
    packages: ClassVar[Mapping[str, str]] = {"binarynet": "binarynet"}
    ways: ClassVar[Mapping[str, str]] = {"float32": "six loops in C++, one thread, no vectors"}

    def build(self, work: Workload) -> None:
        product = work.graph.output
        assert isinstance(product, Conv2d)
        self.images = 2 * work.images().astype(np.float32) - 1
        self.weight = np.ascontiguousarray(product.weight, np.float32)
        self.into = np.empty((*self.images.shape[:3], len(self.weight)), np.float32)

    def run(self) -> Any:
        for image, into in zip(self.images, self.into, strict=True):
            peaks.naive_conv3x3(image, self.weight, into)
        return self.into

    def promise(self, work: Workload) -> Answers:
        return "equal"
