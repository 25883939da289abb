"""What loading and running cost in memory: the weights stay bits from the file to the kernels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from binarynet.format import save
from binarynet.format.bits import words_for
from binarynet.format.packed import Packed
from binarynet.graph import Graph
from binarynet.graph.ir import Affine, Input, Linear, Threshold

WIDTH = 4096
MEASURE = """
import sys
import numpy as np
import binarynet

session = binarynet.load(sys.argv[1])
for batch in (1, 100):
    session.predict(np.zeros((batch, 784), np.uint8))
assert not {"rich", "typer", "torch"} & set(sys.modules)
# Not ru_maxrss: that begins at what the parent had when it started this process.
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(int(peak) / 1024)
"""


def packed(random: np.random.Generator, out: int, depth: int) -> Packed:
    words = random.integers(0, 2**64, (1, out, words_for(depth)), np.uint64)
    if depth % 64:
        words[..., -1] &= np.uint64(2 ** (depth % 64) - 1)
    return Packed(words, (out, depth), "b1")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from Linux's /proc/self/status")
def test_a_process_that_runs_the_papers_mnist_net_needs_less_than_65_mb(tmp_path):
    random = np.random.default_rng(0)
    ops: list = [Input("input", (), (784,), "b8")]
    for number, depth in enumerate((784, WIDTH, WIDTH), 1):
        ops.append(Linear(f"linear{number}", (ops[-1].name,), packed(random, WIDTH, depth)))
        levels = random.integers(-50, 50, (WIDTH, 1)).astype(np.int32)
        ops.append(Threshold(f"sign{number}", (ops[-1].name,), levels, random.random(WIDTH) < 0.5))
    ops.append(Linear("linear4", (ops[-1].name,), packed(random, 10, WIDTH)))
    ops.append(Affine("logits", ("linear4",), np.ones(10, np.float32), np.zeros(10, np.float32)))
    save(Graph(tuple(ops)), tmp_path / "mlp.bnn")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "mlp.bnn"], check=True, capture_output=True, text=True, timeout=60
    )
    # MB. The interpreter with numpy alone is past 20; weights lie there twice, for one image and for many.
    assert 20 < float(done.stdout) <= 65
