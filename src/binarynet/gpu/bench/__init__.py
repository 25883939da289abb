"""``binarynet bench gpu``: the experiment of BinaryNet's Run-time folder, done again on the GPU at hand.

`products` times one matrix product by every kernel, `networks` whole nets, `timing` holds the clock and what the chip
could do at most, `report` the tables. Everything takes a device, so that tests run all of it, tiny, in the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from binarynet.errors import RuntimeUnavailable
from binarynet.gpu import one_bit
from binarynet.gpu.bench.networks import NETWORKS, measure_network, papers_networks
from binarynet.gpu.bench.products import Found, Plan, measure_product
from binarynet.gpu.bench.report import markdown
from binarynet.gpu.bench.timing import Chip, exact_libraries
from binarynet.gpu.runner import find_device
from binarynet.graph import Graph

__all__ = ["NETWORKS", "Chip", "Plan", "find_gpu", "markdown", "measure", "papers_networks"]

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
    graphs: Mapping[str, Graph],
    sizes: Sequence[int] = SIZES,
    few: Sequence[int] = FEW_ROWS,
    wide: int = 8192,
    batches: Sequence[int] = BATCHES,
    plan: Plan | None = None,
    save: Callable[[dict[str, Any]], None] = lambda document: None,
) -> dict[str, Any]:
    """All rows of both tables. ``few`` rows × a ``wide``² matrix is where reading the weights decides.

    ``save`` is handed what has been found so far after every shape and every batch size, so that whatever comes to pass
    later loses nothing. What fails is written down under ``failed``, and the rest goes on.
    """
    plan, chip = plan or Plan(), Chip.of(device)
    shapes = [(size, size, size) for size in sizes] + [(rows, wide, wide) for rows in few]
    document: dict[str, Any] = {"chip": chip.document(), "products": [], "networks": [], "failed": [], "tuned": {}}
    document["left out"] = {"bit_gemm_wgmma": why} if (why := one_bit.why_not(device)) else {}

    def add(table: str, what: str, make: Callable[[], Found]) -> None:
        try:
            found = make()
        except Exception as error:  # out of memory at one size, say
            found = Found()
            found.fail(what, error)
        document[table] += found.rows
        document["failed"] += found.failed
        document["tuned"] = tuned()
        save(document)
        if device.type == "cuda":
            torch.cuda.empty_cache()

    with exact_libraries():
        for shape in shapes:
            text = " × ".join(map(str, shape))
            add("products", text, lambda shape=shape: measure_product(device, chip, shape, plan))  # type: ignore[misc]
        for name, graph in graphs.items():
            for batch in batches:
                add(
                    "networks",
                    f"{name}, batch {batch}",
                    lambda name=name, graph=graph, batch=batch: measure_network(device, name, graph, batch, plan),  # type: ignore[misc]
                )
    return document


def tuned() -> dict[str, dict[str, str]]:
    """Kernel → the key of a product → the tile that was the fastest for it, of all products of this process."""
    from binarynet.gpu import dot, flat, xnor

    kernels = (xnor.xnor_tile, xnor.xnor_row, dot.bit_dot, dot.octet_dot, flat.flat_dot)
    return {one.base_fn.__name__: {str(key): str(tile) for key, tile in one.cache.items()} for one in kernels}
