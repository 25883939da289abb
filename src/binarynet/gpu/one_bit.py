"""The host's side of ``cuda/one_bit.cu``: products of ±1 on the one-bit tensor cores of compute capability 9.0.

Nothing is compiled until the first product. Then NVRTC, which torch for CUDA brings, makes machine code for sm_90a, and
a product of random signs is compared with exact sums before any other is made: the kernel was written without a GPU.
"""

from __future__ import annotations

import ctypes
import functools
from importlib.resources import files
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import pad

from binarynet.errors import RuntimeUnavailable
from binarynet.gpu import driver
from binarynet.gpu.pointwise import count_ones

ARCHITECTURE = "sm_90a"
ROWS, CHANNELS, BYTES, STAGES, THREADS = 128, 256, 128, 4, 384  # as in one_bit.cu
SHARED = STAGES * (ROWS + CHANNELS) * BYTES + 2 * STAGES * 8 + 1024  # stages, barriers, and room to align them
KERNELS = {"i32": "one_bit_sums", "b1": "one_bit_bits", "affine": "one_bit_reals"}


class Job(ctypes.Structure):
    """The fields of ``Job`` in one_bit.cu."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("out", "ones", "base", "kinds", "thresholds")),
        *((name, ctypes.c_void_p) for name in ("rising", "scale", "offset")),
        *((name, ctypes.c_int) for name in ("rows", "channels", "steps", "pixels")),
    ]  # fmt: skip


def why_not(device: torch.device) -> str | None:
    """Why these products cannot be made on ``device``, as the end of a sentence, or None."""
    if device.type != "cuda":
        return "needs a GPU of compute capability 9.0"
    capability = torch.cuda.get_device_capability(device)
    if capability != (9, 0):
        return f"needs a GPU of compute capability 9.0 (H100, H200), and this one has {capability[0]}.{capability[1]}"
    return driver.why_not()


def source() -> tuple[str, dict[str, str]]:
    """one_bit.cu, and the headers that it includes by name."""
    folder = files("binarynet.gpu") / "cuda"
    return (folder / "one_bit.cu").read_text(), {"hopper.h": (folder / "hopper.h").read_text()}


def aligned(words: Tensor) -> Tensor:
    """Words (rows, words) whose rows are multiples of 16 bytes, as the copy engine wants them; zeros are put behind."""
    more = -words.shape[1] % 4
    whole = pad(words, (0, more)) if more else words.contiguous()
    return whole if whole.data_ptr() % 16 == 0 else whole.clone()


def ones(words: Tensor) -> Tensor:
    """Bits that are 1 in each row of words (rows, words): int32 (rows,)."""
    out = words.new_empty(len(words))
    if len(words):
        count_ones[(-(-len(words) // 8),)](words, out, *words.shape, BM=8, BN=128)
    return out


def job(
    x: Tensor, out: Tensor, counts: Tensor, pixels: int, base: Tensor, kinds: Tensor | None, thresholds: Tensor | None,
    rising: Tensor | None, scale: Tensor | None, offset: Tensor | None, channels: int,
) -> Job:  # fmt: skip
    """What the kernel is told, as addresses and numbers."""
    places = (out, counts, base, kinds, thresholds, rising, scale, offset)
    steps = -(-4 * x.shape[1] // BYTES)
    return Job(*(None if one is None else one.data_ptr() for one in places), x.shape[0], channels, steps, pixels)


def launch(
    x: Tensor, weight: Tensor, out: Tensor, pixels: int, base: Tensor, kinds: Tensor | None, thresholds: Tensor | None,
    rising: Tensor | None, scale: Tensor | None, offset: Tensor | None, made: str,
) -> None:  # fmt: skip
    """`binarynet.gpu.ops.bit_gemm_wgmma` into ``out``.

    Raises:
        RuntimeUnavailable: the device has no such tensor cores, the kernel cannot be compiled, or it was found wrong.
    """
    why = why_not(x.device)
    if why:
        raise RuntimeUnavailable(f"bit_gemm_wgmma {why}; method='int8' makes the same sums on int8 tensor cores")
    with torch.cuda.device(x.device):
        if x.device.index not in _PROVEN and not torch.cuda.is_current_stream_capturing():
            prove(x.device)
        _launch(x, weight, out, pixels, base, kinds, thresholds, rising, scale, offset, made)


def _launch(
    x: Tensor, weight: Tensor, out: Tensor, pixels: int, base: Tensor, kinds: Tensor | None, thresholds: Tensor | None,
    rising: Tensor | None, scale: Tensor | None, offset: Tensor | None, made: str,
) -> None:  # fmt: skip
    if x.shape[1] % 4 or x.shape[1] != weight.shape[1]:
        raise RuntimeUnavailable(
            f"bit_gemm_wgmma: rows of {x.shape[1]} and {weight.shape[1]} words; see one_bit.aligned"
        )
    tiles = -(-x.shape[0] // ROWS) * -(-weight.shape[0] // CHANNELS)
    blocks = min(tiles, torch.cuda.get_device_properties(x.device).multi_processor_count)
    told = job(x, out, ones(x), pixels, base, kinds, thresholds, rising, scale, offset, weight.shape[0])
    maps = driver.matrix(x, BYTES, ROWS), driver.matrix(weight, BYTES, CHANNELS)
    module(x.device.index).launch(KERNELS[made], blocks, THREADS, SHARED, *maps, told)


@functools.cache
def module(device: int) -> driver.Module:
    """The kernels on one device, compiled at the first call."""
    return driver.Module(driver.compiled(*source(), ARCHITECTURE))


_PROVEN: set[int] = set()


def prove(device: torch.device, shape: tuple[int, int, int] = (2 * ROWS + 3, CHANNELS + 5, 64 * 67)) -> None:
    """Compare one product of random signs with exact sums.

    Raises:
        RuntimeUnavailable: they differ.
    """
    rows, channels, depth = shape
    made = torch.Generator().manual_seed(prod(shape))
    x, w = (torch.randint(-(2**31), 2**31, (n, depth // 32), generator=made).int().to(device) for n in (rows, channels))
    out = torch.full((rows, channels), -1, dtype=torch.int32, device=device)
    base = (depth - 2 * ones(w))[None]
    _launch(aligned(x), aligned(w), out, rows, base, None, None, None, None, None, "i32")
    bits = torch.arange(32, dtype=torch.int32, device=device)
    real = [((m[:, :, None] >> bits & 1) * 2 - 1).reshape(len(m), depth).double() for m in (x, w)]
    wrong = int((out != (real[0] @ real[1].T).int()).sum())
    if wrong:
        raise RuntimeUnavailable(
            f"bit_gemm_wgmma: {wrong} of {out.numel()} sums are wrong on {torch.cuda.get_device_name(device)}; take "
            "method='int8', and please report it"
        )
    _PROVEN.add(device.index)
