"""``binarynet bench gpu``: the experiment of BinaryNet's Run-time folder, done again on the GPU at hand.

`products` times one matrix product by every kernel, `networks` whole nets, `timing` holds the clock and what the chip
could do at most, `report` the tables. Everything takes a device, so that tests run all of it, tiny, in the interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from binarynet.errors import RuntimeUnavailable
from binarynet.gpu.bench.networks import measure_network, papers_networks
from binarynet.gpu.bench.products import measure_product
from binarynet.gpu.bench.report import markdown
from binarynet.gpu.bench.timing import Chip
from binarynet.gpu.runner import find_device
from binarynet.graph import Graph

__all__ = ["Chip", "find_gpu", "markdown", "measure", "papers_networks"]

SIZES = (1024, 2048, 4096, 8192, 16384)
FEW_ROWS = (1, 2, 4, 8, 16)
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)


def find_gpu() -> torch.device:
    """The GPU that the experiment runs on.

    Raises:
        RuntimeUnavailable: there is none, or kernels are interpreted.
    """
    if not torch.cuda.is_available():
        raise RuntimeUnavailable(
            f"bench gpu needs a CUDA GPU and a torch built for it; torch {torch.__version__} finds none"
        )
    return find_device("cuda")


def measure(
    device: torch.device,
    graphs: dict[str, Graph],
    sizes: Sequence[int] = SIZES,
    few: Sequence[int] = FEW_ROWS,
    wide: int = 8192,
    batches: Sequence[int] = BATCHES,
    seconds: float = 0.2,
) -> dict[str, Any]:
    """All rows of both tables. ``few`` rows × a ``wide``² matrix is where reading the weights decides."""
    chip = Chip.of(device)
    shapes = [(size, size, size) for size in sizes] + [(rows, wide, wide) for rows in few]
    return {
        "chip": chip.document(),
        "products": [row for shape in shapes for row in measure_product(device, chip, shape, seconds)],
        "networks": [
            row for name, graph in graphs.items() for row in measure_network(device, name, graph, batches, seconds)
        ],
    }
