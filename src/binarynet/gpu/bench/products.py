"""One matrix product (m, k) × (k, n) of ±1 by our kernels, the papers' naive kernel and cuBLAS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from binarynet.gpu import ops
from binarynet.gpu.bench.timing import Chip, interleaved
from binarynet.gpu.product import Finish, Product
from binarynet.graph import Encoding
from binarynet.graph.ir import Linear, Value

Shape = tuple[int, int, int]  # rows m, channels n, depth k
_CHECKED_ROWS = 2


def measure_product(device: torch.device, chip: Chip, shape: Shape, seconds: float) -> list[dict[str, Any]]:
    """One row a kernel. Answers are compared with exact sums on a few rows before anything is timed.

    Raises:
        AssertionError: a kernel answers something else.
    """
    m, n, k = shape
    generator = torch.Generator().manual_seed(m + n + k)
    signs = [torch.randint(0, 2, size, generator=generator).mul_(2).sub_(1).to(torch.int8) for size in ((m, k), (n, k))]
    calls, units = _calls(device, *signs)
    exact = (signs[0][:_CHECKED_ROWS].double() @ signs[1].double().T).to(torch.int32)
    for name, call in calls.items():
        if not name.endswith("→ bits"):
            found = call()[:_CHECKED_ROWS].cpu().to(torch.int32)
            # The float16 kinds hold sums up to 2048 and 256 exactly; past that they round.
            rounded = {"cuBLAS float16": torch.float16, "cuBLAS bfloat16": torch.bfloat16}.get(name)
            wanted = exact.to(rounded).to(torch.int32) if rounded else exact
            assert torch.equal(found, wanted), f"{name} {shape}: wrong sums"
    times = interleaved(device, calls, seconds)
    packed = (m * k + n * k) / 8 + 4 * m * n
    rows = []
    for name, (low, median, high) in times.items():
        ours = name.startswith(("xnor", "bit_gemm"))
        moved = packed - (4 - 1 / 8) * m * n if name.endswith("→ bits") else packed
        rows.append(
            {
                "m": m, "n": n, "k": k, "kernel": name, "median": median, "low": low, "high": high,
                "times naive": times["naive float32"][1] / median,
                "times cuBLAS bfloat16": _ratio(times, "cuBLAS bfloat16", median),
                "share of unit": chip.share(units[name], m * n * k, median), "unit": units[name],
                "share of packed bandwidth": chip.bandwidth_share(moved, median) if ours else None,
            }
        )  # fmt: skip
    return rows


def _ratio(times: dict[str, list[float]], base: str, median: float) -> float | None:
    return times[base][1] / median if base in times else None


def _calls(device: torch.device, left: Tensor, right: Tensor) -> tuple[dict[str, Callable[[], Tensor]], dict[str, str]]:
    """The calls by name, and the unit of the chip that each works on. Weights are packed beforehand, as in a net."""
    m, k = left.shape
    n = len(right)
    product = Product(Linear("product", ("x",), right.numpy()), Value((k,), Encoding("b", 1), 1), device)
    rows = left.to(device)
    words = ops.pack(rows, None, None, "b1")
    sums = Finish("i32")
    level = torch.from_numpy(np.zeros((n, 1), np.int32)).to(device)
    bits = Finish("b1", level, torch.ones(n, dtype=torch.int8, device=device))
    real = [side.to(device, torch.float32) for side in (left, right)]
    columns = real[1].T.contiguous()
    calls: dict[str, Callable[[], Tensor]] = {
        "naive float32": lambda: ops.naive_gemm(real[0], columns),
        "xnor_gemm": lambda: product(words, sums, "xnor"),
        "pack + xnor_gemm": lambda: product(ops.pack(real[0], None, None, "b1"), sums, "xnor"),
        "xnor_gemm → bits": lambda: product(words, bits, "xnor"),
        "bit_gemm_dot": lambda: product(words, sums, "dot"),
        "bit_gemm_dot → bits": lambda: product(words, bits, "dot"),
        "cuBLAS float32": lambda: _matmul(real[0], real[1], tf32=False),
    }
    units = {name: "popcount" if "xnor" in name else "int8" for name in calls}
    units |= {"naive float32": "float32", "cuBLAS float32": "float32"}
    if device.type == "cuda":  # elsewhere these are other libraries, or missing
        half, brain = ([side.to(kind) for side in real] for kind in (torch.float16, torch.bfloat16))
        calls["cuBLAS tf32"] = lambda: _matmul(real[0], real[1], tf32=True)
        calls["cuBLAS float16"] = lambda: torch.matmul(half[0], half[1].T)
        calls["cuBLAS bfloat16"] = lambda: torch.matmul(brain[0], brain[1].T)
        units |= {"cuBLAS tf32": "tf32", "cuBLAS float16": "float16", "cuBLAS bfloat16": "float16"}
        if m > 16:  # what torch._int_mm takes
            octets = right.to(device)
            calls["cuBLAS int8"] = lambda: torch._int_mm(rows, octets.T)
            units["cuBLAS int8"] = "int8"
    return calls, units


def _matmul(left: Tensor, right: Tensor, tf32: bool) -> Tensor:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        return torch.matmul(left, right.T)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
