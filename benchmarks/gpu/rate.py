"""Multiply-adds a clock of the tensor cores' instructions, among them the one-bit ones: python rate.py OUT.jsonl

One line of JSON an instruction, written when it is found. It is what decides whether ``method="wgmma"`` can pay: by
counting it does where ``group and b1`` has more than twice the rate of ``group s8``.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import torch

from binarynet.errors import BinarynetError, RuntimeUnavailable
from binarynet.gpu import driver, one_bit
from binarynet.gpu.bench import find_gpu

LOOPS = 20_000
# kernel: (name, threads, bytes of shared memory, multiply-adds of a block in one loop)
INSTRUCTIONS = {
    "group_one_bit": ("wgmma m64n256k256 and.popc", 256, 49152 + 1024, 2 * 4 * 64 * 256 * 256),
    "group_octets": ("wgmma m64n256k32 s8", 256, 49152 + 1024, 2 * 4 * 64 * 256 * 32),
    "warp_and": ("mma m16n8k256 and.popc", 512, 0, 16 * 8 * 16 * 8 * 256),
    "warp_xor": ("mma m16n8k256 xor.popc", 512, 0, 16 * 8 * 16 * 8 * 256),
    "warp_octets": ("mma m16n8k32 s8", 512, 0, 16 * 8 * 16 * 8 * 32),
}


class Result(ctypes.Structure):
    """The fields of ``Result`` in mma_rate.cu."""

    _fields_ = [("sums", ctypes.c_void_p), ("clocks", ctypes.c_void_p), ("loops", ctypes.c_int)]


def source() -> tuple[str, dict[str, str]]:
    """mma_rate.cu and its header."""
    return Path(__file__).with_name("mma_rate.cu").read_text(), one_bit.source()[1]


def measure(device: torch.device, out: Path) -> int:
    """How many instructions could not be measured."""
    blocks = torch.cuda.get_device_properties(device).multi_processor_count
    sums = torch.empty(blocks * 512, dtype=torch.int32, device=device)
    clocks = torch.empty(blocks, dtype=torch.int64, device=device)
    module = driver.Module(driver.compiled(*source(), one_bit.ARCHITECTURE))
    told = Result(sums.data_ptr(), clocks.data_ptr(), LOOPS)
    failed = 0
    for kernel, (name, threads, shared, products) in INSTRUCTIONS.items():
        line: dict[str, object] = {"instruction": name}
        try:
            best = float("inf")
            for _ in range(4):
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                module.launch(kernel, blocks, threads, shared, told)
                end.record()
                end.synchronize()
                best = min(best, 1e-3 * start.elapsed_time(end))
            line["multiply-adds a clock and multiprocessor"] = round(products * LOOPS / int(clocks.median()))
            line["10^12 multiply-adds a second"] = round(products * LOOPS * blocks / best / 1e12, 1)
        except (BinarynetError, RuntimeError) as error:
            line["error"] = str(error)
            failed += 1
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
    return failed


if __name__ == "__main__":
    try:
        gpu = find_gpu()
        if why := one_bit.why_not(gpu):
            raise RuntimeUnavailable(f"the one-bit instructions {why}")
        sys.exit(bool(measure(gpu, Path(sys.argv[1]))))
    except RuntimeUnavailable as error:
        sys.exit(print(error, file=sys.stderr) or 2)
