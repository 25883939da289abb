"""The one comparison: a graph on the GPU's kernels, by every method, against the oracle."""

from __future__ import annotations

import numpy as np
import torch

from binarynet.graph import Graph, interpret

ALL = ("xnor", "dot", "int8")
DEVICE = torch.device("cuda" if torch.cuda.is_available() and torch.version.cuda else "cpu")


def on_gpu(graph: Graph, codes: np.ndarray, method: str | None = None, device: torch.device = DEVICE) -> np.ndarray:
    from binarynet.gpu import Network

    with torch.inference_mode():
        return Network(graph, device, method)(torch.from_numpy(codes).to(device)).cpu().numpy()


def assert_gpu_agrees(graph: Graph, codes: np.ndarray, methods: tuple[str, ...] = ("xnor", "dot")) -> np.ndarray:
    """Same numbers, same type, same shape, with ==."""
    expected = interpret(graph, codes)
    for method in methods:
        answer = on_gpu(graph, codes, method)
        assert answer.dtype == expected.dtype
        np.testing.assert_array_equal(answer, expected, err_msg=method)
    return expected
