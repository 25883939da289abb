"""One matrix product (m, k) × (k, n) of ±1 by our kernels, the papers' baseline and cuBLAS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from binarynet.gpu import ops
from binarynet.gpu.bench.timing import Chip, interleaved, replayable
from binarynet.gpu.product import Finish, Product
from binarynet.graph import Encoding
from binarynet.graph.ir import Linear, Value

Shape = tuple[int, int, int]  # rows m, channels n, depth k
BASELINE, UNTILED = "papers' float32", "untiled float32"
_OURS = ("xnor", "pack", "bit_gemm", "octet")


@dataclass(frozen=True)
class Plan:
    """What is measured and how long: ``only`` keeps kernels and engines whose name holds one of these texts; the
    baseline kernels are left out where a side is above ``skip_naive_above``; ``replay`` lets products of few rows and
    small batches run as CUDA graphs, since a launch from Python takes longer than they do."""

    seconds: float = 0.2
    only: tuple[str, ...] = ()
    skip_naive_above: int = 8192
    replay: bool = True

    def wants(self, name: str) -> bool:
        return not self.only or any(text in name for text in self.only)


@dataclass
class Found:
    """Rows of one table, and what could not be measured, with the reason: the others go on without it."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)

    def fail(self, what: str, error: object) -> None:
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        self.failed.append({"what": what, "error": text[:2000]})


def measure_product(device: torch.device, chip: Chip, shape: Shape, plan: Plan) -> Found:
    """One row a kernel.

    All sums of every kernel are compared with exact ones first. A kernel of ours that answers others is not timed,
    nor is one that cannot run: both are `Found.failed`. A library's that rounds is timed and says so.
    """
    m, n, k = shape
    found, place = Found(), f"{m} × {k} by {k} × {n}"
    generator = torch.Generator().manual_seed(m + n + k)
    left, right = (
        torch.randint(0, 2, size, generator=generator).mul_(2).sub_(1).to(device, torch.int8)
        for size in ((m, k), (n, k))
    )
    exact = torch.cat([part.double() @ right.double().T for part in torch.split(left, 1024)]).to(torch.int32)
    level = exact.float().mean(0).round().to(torch.int32)[:, None].contiguous()
    calls, units = _calls(device, left, right, level, plan)
    bits = ops.pack(torch.where(exact >= level.T, 1, -1).to(torch.int8), None, None, "b1")
    timed: dict[str, Callable[[], object]] = {}
    rounded = {}
    for name, call in calls.items():
        try:
            answer = call()
            wanted = bits if name.endswith("→ bits") else exact
            wrong = int((answer != wanted).sum())
            if wrong and name.startswith((*_OURS, BASELINE, UNTILED)):
                raise AssertionError(f"{wrong} of {wanted.numel()} numbers are wrong")
            rounded[name] = wrong
            timed[name] = replayable(call) if plan.replay and m <= 64 and device.type == "cuda" else call
        except Exception as error:  # whatever one kernel meets, the others are measured
            found.fail(f"{name}, {place}", error)
    times = interleaved(device, timed, plan.seconds, lambda name, error: found.fail(f"{name}, {place}", error))
    packed = (m * k + n * k) / 8 + 4 * m * n
    for name, (low, median, high) in times.items():
        moved = packed - (4 - 1 / 8) * m * n if name.endswith("→ bits") else packed
        found.rows.append(
            {
                "m": m, "n": n, "k": k, "kernel": name, "median": median, "low": low, "high": high,
                "times baseline": _ratio(times, BASELINE, median),
                "times cuBLAS bfloat16": _ratio(times, "cuBLAS bfloat16", median),
                "times cuBLAS float32": _ratio(times, "cuBLAS float32", median),
                "share of unit": chip.share(units[name], m * n * k, median), "unit": units[name],
                "share of packed bandwidth": chip.bandwidth_share(moved, median) if name.startswith(_OURS) else None,
                "rounded sums": rounded[name],
            }
        )  # fmt: skip
    return found


def _ratio(times: dict[str, list[float]], base: str, median: float) -> float | None:
    return times[base][1] / median if base in times else None


def _calls(
    device: torch.device, left: Tensor, right: Tensor, level: Tensor, plan: Plan
) -> tuple[dict[str, Callable[[], Tensor]], dict[str, str]]:
    """The calls by name, and the unit of the chip that each works on. Weights are packed beforehand, as in a net."""
    m, k = left.shape
    n = len(right)
    product = Product(Linear("product", ("x",), right.cpu().numpy()), Value((k,), Encoding("b", 1), 1), device)
    words = ops.pack(left, None, None, "b1")
    sums = Finish("i32")
    bits = Finish("b1", level, torch.ones(n, dtype=torch.int8, device=device))
    real = [side.float() for side in (left, right)]
    columns = real[1].T.contiguous()
    calls: dict[str, Callable[[], Tensor]] = {}
    if max(m, n, k) <= plan.skip_naive_above:
        calls[BASELINE] = lambda: ops.tiled_gemm(real[0], columns)
        calls[UNTILED] = lambda: ops.untiled_gemm(real[0], columns)
    calls |= {
        "xnor_gemm": lambda: product(words, sums, "xnor"),
        "pack + xnor_gemm": lambda: product(ops.pack(real[0], None, None, "b1"), sums, "xnor"),
        "xnor_gemm → bits": lambda: product(words, bits, "xnor"),
        "bit_gemm_dot": lambda: product(words, sums, "dot"),
        "bit_gemm_dot → bits": lambda: product(words, bits, "dot"),
        "octet_gemm_dot": lambda: product(words, sums, "int8"),
        "octet_gemm_dot → bits": lambda: product(words, bits, "int8"),
    }
    if "wgmma" in product.methods:
        calls["bit_gemm_wgmma"] = lambda: product(words, sums, "wgmma")
        calls["pack + bit_gemm_wgmma"] = lambda: product(ops.pack(real[0], None, None, "b1"), sums, "wgmma")
        calls["bit_gemm_wgmma → bits"] = lambda: product(words, bits, "wgmma")
    calls["cuBLAS float32"] = lambda: torch.matmul(real[0], real[1].T)
    if device.type == "cuda":  # elsewhere these are other libraries, or missing
        half, brain = ([side.to(kind) for side in real] for kind in (torch.float16, torch.bfloat16))
        calls["cuBLAS tf32"] = lambda: _tf32(real[0], real[1])
        calls["cuBLAS float16"] = lambda: torch.matmul(half[0], half[1].T)
        calls["cuBLAS bfloat16"] = lambda: torch.matmul(brain[0], brain[1].T)
        if m > 16:  # what torch._int_mm takes
            calls["cuBLAS int8"] = lambda: torch._int_mm(left, right.T)
    return {name: call for name, call in calls.items() if plan.wants(name)}, {name: _unit(name) for name in calls}


def _unit(name: str) -> str:
    """The unit of the chip that a kernel works on, as `Chip.rates` names it."""
    if "xnor" in name:
        return "popcount"
    if "wgmma" in name:
        return "one-bit"
    known = {"cuBLAS tf32": "tf32", "cuBLAS float16": "float16", "cuBLAS bfloat16": "float16"}
    return known.get(name, "float32" if "float32" in name else "int8")


def _tf32(left: Tensor, right: Tensor) -> Tensor:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        return torch.matmul(left, right.T)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
